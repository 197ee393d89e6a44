-- What providers say afterwards: each event once, and what it says of a call whose answer was lost.

create table provider_event (              -- what was heard; there is no brand before it is known what it is about
  bucket integer not null,                 -- of the hash
  provider_id text not null,
  event_hash bytea not null,               -- of the provider's own id for it
  heard_at timestamptz not null,
  primary key (bucket, provider_id, event_hash)
);

-- Only for providers whose events carry no key of ours. An index on delivery.reference would make every record of every
-- delivery pay for them: 60,000 updates, 200 at a time, fell from 14,000 to 7,200 a second, and wrote a quarter more WAL.
create table delivery_reference (
  bucket integer not null,                 -- of the hash of provider and reference
  provider_id text not null,
  reference text not null,
  message_id uuid not null,
  n integer not null,
  primary key (bucket, provider_id, reference)
);

alter table delivery add column heard text check (heard in ('taken', 'refused'));
alter table delivery add column heard_reason text;

alter table suppression drop constraint suppression_reason_check;
alter table suppression add constraint suppression_reason_check
  check (reason in ('hard_bounce', 'complaint', 'manual', 'unsubscribe', 'stop'));

-- So that what is heard late is held against what was lifted since.
create index suppression_lifted on suppression (bucket, address_hash) where lifted_at is not null;

grant select, insert on provider_event, delivery_reference to comms_engine;
grant delete on device to comms_engine;

do $$
declare held text;
begin
  foreach held in array array['provider_event', 'delivery_reference'] loop
    execute format('alter table %I enable row level security', held);
    execute format('create policy engine on %I to comms_engine using (true) with check (true)', held);
  end loop;
end $$;
