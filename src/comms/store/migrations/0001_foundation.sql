-- The foundation: set-up, messages, the queue, the ledger; three roles; row-level security.
--
-- Every key of a message's table begins with its bucket, and nothing joins across buckets, so
-- that the same schema can be spread over many machines.

-- Roles ------------------------------------------------------------------------------------
-- The owner migrates and writes set-up. comms_api reads and changes one brand's rows at a time,
-- held to that brand by the policies below. comms_engine accepts, claims and records in batches.

do $$
begin
  if not exists (select from pg_roles where rolname = 'comms_api') then create role comms_api nologin; end if;
  if not exists (select from pg_roles where rolname = 'comms_engine') then create role comms_engine nologin; end if;
  execute format('grant comms_api, comms_engine to %I', current_user);
end $$;

-- Set-up -----------------------------------------------------------------------------------

create table installation (
  one boolean primary key default true check (one),
  epoch bigint not null default 1,         -- moves with every change of set-up or tokens
  proof bytea                              -- tells a wrong master key from the right one
);
insert into installation default values;

create table brand (
  brand_id text primary key,
  settings jsonb not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

create table brand_key (
  brand_id text not null references brand,
  purpose text not null check (purpose in ('seal', 'hash')),
  key_id integer not null,
  wrapped bytea not null,
  created_at timestamptz not null,
  retired_at timestamptz,
  primary key (brand_id, purpose, key_id)
);

create table person_key (
  bucket integer not null,
  brand_id text not null,
  person_hash bytea not null,
  wrapped bytea not null,
  created_at timestamptz not null,
  destroyed_at timestamptz,
  primary key (bucket, brand_id, person_hash)
);

create table provider (
  provider_id text primary key,
  kind text not null,
  settings jsonb not null,
  secrets bytea,
  secret_names text[] not null default '{}',
  baa boolean not null default false,
  limits jsonb not null default '{}',
  brands text[],
  created_at timestamptz not null,
  updated_at timestamptz not null
);

create table template (
  template_id uuid primary key,
  brand_id text not null references brand,
  key text not null,
  channel text not null,
  description text,
  category text not null,
  max_late integer not null,
  on_unknown text not null check (on_unknown in ('prefer_silence', 'prefer_duplicate')),
  current_version_id uuid,
  created_by text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  unique (brand_id, key, channel)
);

create table template_version (
  version_id uuid primary key,
  template_id uuid not null references template,
  brand_id text not null,
  version_number integer not null,
  source jsonb not null,
  variables text[] not null,
  created_by text not null,
  created_at timestamptz not null,
  unique (template_id, version_number)
);

create table token (
  token_id uuid primary key,
  name text not null,
  hash bytea not null unique,              -- SHA-256 of 256 random bits: there is nothing to guess
  brand_id text not null,                  -- '*' for any
  person bytea,                            -- sealed; null for a service's token
  scopes text[] not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz
);
create unique index token_name on token (name) where revoked_at is null;

-- Messages ---------------------------------------------------------------------------------

create table dedup (                       -- outlives the messages it speaks of
  bucket integer not null,
  brand_id text not null,
  key_hash bytea not null,
  message_id uuid not null,
  kind text not null check (kind in ('schedule', 'send')),
  fingerprint bytea not null,              -- a keyed hash a member, so that a conflict can name them
  primary key (bucket, brand_id, key_hash)
);

create table message (                     -- what was asked, and how it ended
  bucket integer not null,
  id uuid not null,
  brand_id text not null,
  kind text not null,
  channel text not null,
  template_key text not null,
  template_id uuid not null,
  version_id uuid not null,
  hipaa boolean not null,
  person_hash bytea not null,
  recipient_hash bytea not null,
  address bytea not null,                  -- sealed: person_id, recipient, dedup_key
  variables bytea not null,                -- sealed
  scheduled_at timestamptz not null,
  zone text,
  wall timestamp,
  created_at timestamptz not null,
  outcome text check (outcome in ('sent', 'failed', 'cancelled', 'suppressed', 'expired')),
  sent_at timestamptz,
  cancelled_at timestamptz,
  failure_reason text,
  provider_id text,
  decision jsonb,
  primary key (bucket, id),
  check ((outcome = 'sent') = (sent_at is not null) or outcome is null and sent_at is null),
  check ((outcome = 'cancelled') = (cancelled_at is not null) or outcome is null and cancelled_at is null)
) with (fillfactor = 85);
create index message_newest on message (brand_id, id desc);
create index message_person on message (brand_id, person_hash);

create table queue (                       -- thin, since its dead rows are many: only what can still move
  bucket integer not null,
  id uuid not null,
  brand_id text not null,
  state text not null default 'scheduled' check (state in ('scheduled', 'sending', 'unknown')),
  due_at timestamptz not null,
  deadline timestamptz not null,
  attempt integer not null default 0,
  owner uuid,
  lease_until timestamptz,
  primary key (bucket, id),
  check ((state = 'sending') = (owner is not null and lease_until is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
create index queue_due on queue (due_at, bucket, id) where state = 'scheduled';
create index queue_lease on queue (lease_until) where state = 'sending';

create table delivery (                    -- one a message; for a push to a person one a device
  bucket integer not null,
  message_id uuid not null,
  n integer not null,
  brand_id text not null,
  provider_id text not null,
  payload bytea not null,                  -- sealed: recipient and rendered content, the same for every attempt
  attempt integer not null,                -- the mark: this attempt is being handed over
  begun_at timestamptz not null,
  outcome text check (outcome in ('accepted', 'rejected', 'try_later', 'misconfigured', 'lost')),
  reason text,
  reference text,
  ended_at timestamptz,
  primary key (bucket, message_id, n)
) with (fillfactor = 85);

create table ledger (                      -- what happened, in order: append-only
  bucket integer not null,
  n bigint generated always as identity,
  message_id uuid,                         -- null for a change of set-up
  brand_id text not null,
  at timestamptz not null,
  event text not null,
  details jsonb,
  actor text,
  request_id uuid
);
create index ledger_message on ledger (bucket, message_id, n) where message_id is not null;

create view message_now with (security_invoker = true) as
select m.*, coalesce(m.outcome, q.state) as status, q.due_at, q.deadline, q.attempt
  from message m left join queue q using (bucket, id);

-- In-app, devices, sandbox -------------------------------------------------------------------

create table inbox_item (
  bucket integer not null,
  id uuid not null,
  brand_id text not null,
  person_hash bytea not null,
  category text not null,
  content bytea not null,                  -- sealed: person_id, title, body, action_url
  created_at timestamptz not null,
  read_at timestamptz,
  primary key (bucket, id)
);
create index inbox_person on inbox_item (brand_id, person_hash, id desc);

create table device (
  device_id uuid primary key,              -- from a keyed hash of the token: the same token is the same device
  brand_id text not null,
  person_hash bytea not null,
  kind text not null check (kind in ('fcm', 'apns', 'expo', 'webpush')),
  content bytea not null,                  -- sealed: person_id, token
  app text,
  created_at timestamptz not null
);
create index device_person on device (brand_id, person_hash);

create table sandbox_item (
  bucket integer not null,
  n bigint generated always as identity,
  brand_id text not null,
  message_id uuid not null,
  provider_id text not null,
  channel text not null,
  content bytea not null,                  -- sealed: recipient, subject, body
  received_at timestamptz not null,
  primary key (bucket, n)
);
create index sandbox_brand on sandbox_item (brand_id, n desc);

-- Rights -------------------------------------------------------------------------------------

grant select on all tables in schema public to comms_engine, comms_api;
revoke select on brand_key, person_key, provider, token from comms_api;
grant insert on dedup, message, queue, delivery, ledger, inbox_item, sandbox_item to comms_engine;
grant update on message, queue, delivery to comms_engine;
grant delete on queue to comms_engine;
grant insert on ledger, device to comms_api;
grant update on message, queue, delivery, inbox_item, device to comms_api;
grant delete on queue, device to comms_api;

do $$
declare held text;
begin
  foreach held in array array['dedup', 'message', 'queue', 'delivery', 'ledger', 'inbox_item', 'device', 'sandbox_item'] loop
    execute format('alter table %I enable row level security', held);
    execute format('create policy engine on %I to comms_engine using (true) with check (true)', held);
    execute format($p$create policy one_brand on %I to comms_api
      using (current_setting('comms.brand', true) in (brand_id, '*'))
      with check (current_setting('comms.brand', true) in (brand_id, '*'))$p$, held);
  end loop;
end $$;
