-- What persons allow, and addresses that are not written to: read again whenever a message is about to go.
-- As everywhere, each key begins with a bucket: that of the person, or of the address.

create table consent (                     -- the law's permission: one row a person, channel and category
  bucket integer not null,
  id uuid not null,                        -- from a keyed hash of person, channel and category
  brand_id text not null,
  person_hash bytea not null,
  channel text not null,
  category text not null,
  opted_in boolean not null,
  content bytea not null,                  -- sealed: person_id, source
  created_at timestamptz not null,
  changed_at timestamptz not null,
  primary key (bucket, id)
);
create index consent_person on consent (bucket, brand_id, person_hash);

create table preference (                  -- the person's own switch
  bucket integer not null,
  id uuid not null,                        -- as a consent's
  brand_id text not null,
  person_hash bytea not null,
  channel text not null,
  category text not null,
  enabled boolean not null,
  content bytea not null,                  -- sealed: person_id
  created_at timestamptz not null,
  changed_at timestamptz not null,
  primary key (bucket, id)
);
create index preference_person on preference (bucket, brand_id, person_hash);

create table suppression (                 -- an address that is not written to, for one reason; lifted, never deleted
  bucket integer not null,
  id uuid not null,
  brand_id text not null,
  channel text not null,
  address_hash bytea not null,
  reason text not null check (reason in ('hard_bounce', 'complaint', 'manual', 'unsubscribe')),
  content bytea not null,                  -- sealed: address, source
  suppressed_at timestamptz not null,
  lifted_at timestamptz,
  primary key (bucket, id)
);
create unique index suppression_stands on suppression (bucket, brand_id, channel, address_hash, reason)
  where lifted_at is null;

grant select on consent, preference, suppression to comms_api, comms_engine;
grant insert, update on consent, preference, suppression to comms_api;
grant insert, update on suppression to comms_engine;

do $$
declare held text;
begin
  foreach held in array array['consent', 'preference', 'suppression'] loop
    execute format('alter table %I enable row level security', held);
    execute format('create policy engine on %I to comms_engine using (true) with check (true)', held);
    execute format($p$create policy one_brand on %I to comms_api
      using (current_setting('comms.brand', true) in (brand_id, '*'))
      with check (current_setting('comms.brand', true) in (brand_id, '*'))$p$, held);
  end loop;
end $$;
