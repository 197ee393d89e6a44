-- Retention: how far content has been looked through, and what was too young when it was its turn. Both are written by
-- whoever erases, in the order in which messages were accepted, along the index that lists them: acceptance pays nothing.

create table retention_walk (
  brand_id text not null references brand,
  hipaa boolean not null,
  up_to uuid not null,                     -- messages up to this one were looked at
  primary key (brand_id, hipaa)
);

create table retention_later (             -- looked at, and not ended, or not for long enough
  bucket integer not null,
  id uuid not null,
  brand_id text not null,
  hipaa boolean not null,
  since timestamptz not null,              -- when it had ended, or did not have yet
  primary key (bucket, id)
);
create index retention_later_since on retention_later (brand_id, hipaa, since);

create table retention_turn (              -- one worker at a time
  one boolean primary key default true check (one),
  owner uuid not null,
  until timestamptz not null,
  paged_at timestamptz not null            -- when tables without an order in time were last gone through
);

-- When a message ended: of most the row says so, of the others the ledger.
create view message_end with (security_invoker = true) as
select bucket, id, brand_id, hipaa, address <> ''::bytea or decision is not null as has_content,
       case when outcome is not null then coalesce(sent_at, cancelled_at, (
         select max(l.at) from ledger l where l.bucket = m.bucket and l.message_id = m.id
            and l.event in ('failed', 'suppressed', 'expired', 'settled')), created_at) end as ended_at
  from message m;

-- A fifth of a large table is too much to leave dead: what retention frees is used again by what comes in.
alter table message set (autovacuum_vacuum_scale_factor = 0.02);
alter table delivery set (autovacuum_vacuum_scale_factor = 0.02);
alter table provider_event set (autovacuum_vacuum_scale_factor = 0.02);

grant select on message_end to comms_engine, comms_api;
grant select, insert, update, delete on retention_walk, retention_later, retention_turn to comms_engine;
grant delete on delivery, delivery_reference, provider_event, inbox_item, sandbox_item to comms_engine;

do $$
declare held text;
begin
  foreach held in array array['retention_walk', 'retention_later', 'retention_turn'] loop
    execute format('alter table %I enable row level security', held);
    execute format('create policy engine on %I to comms_engine using (true) with check (true)', held);
  end loop;
end $$;
