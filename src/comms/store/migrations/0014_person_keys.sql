-- A person's content is sealed under a secret of the person's own, which an erasure destroys.
-- The secret is wrapped with the key of an epoch, which is kept outside the database: what back-ups hold
-- of it ends with that key.

create table key_epoch (
  epoch integer primary key check (epoch > 0),
  proof bytea not null,                    -- tells another key of the same number from the right one
  made_at timestamptz not null,
  replaced_at timestamptz,
  destroyed_at timestamptz                 -- its key is gone, and no live secret is wrapped with it
);

alter table person_key
  add column generation integer not null default 1 check (generation between 1 and 65535),
  add column epoch integer not null default 0,          -- 0: wrapped with the master key
  alter column wrapped drop not null,                   -- null: destroyed, as destroyed_at says
  add check ((wrapped is null) <= (destroyed_at is not null));
alter table person_key alter column generation drop default, alter column epoch drop default;
create index person_key_epoch on person_key (epoch) where wrapped is not null;
create index person_key_destroyed on person_key (destroyed_at) where destroyed_at is not null;

-- By which an erased person's tokens are found.
alter table token add column person_hash bytea;
create index token_person on token (brand_id, person_hash) where person_hash is not null;

grant select on key_epoch to comms_engine, comms_api;
grant select, insert, update on person_key to comms_engine, comms_api;
alter table person_key enable row level security;
create policy engine on person_key to comms_engine using (true) with check (true);
create policy one_brand on person_key to comms_api
  using (current_setting('comms.brand', true) in (brand_id, '*'))
  with check (current_setting('comms.brand', true) in (brand_id, '*'));

-- What an erasure removes, and what it empties that was sealed before persons had keys.
grant delete on consent, preference to comms_api;
grant update on sandbox_item to comms_api;
