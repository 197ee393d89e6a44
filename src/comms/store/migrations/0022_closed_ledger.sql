-- The ledger is closed piece by piece: what stands in a link is complete, in order, and chained to what was
-- before. Who tells others of it (events out) reads up to there, and never past a transaction that still writes.

-- An entry as it is hashed, exported and verified; with the members' names in it, it would take twice the time.
create view ledger_line with (security_invoker = true) as
select n, json_build_array(n, bucket, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
         actor, event, brand_id, message_id, request_id, details)::text as line
  from ledger;

create table audit_link (                  -- one a group of entries that were committed by then
  link bigint primary key,                 -- 1, 2, 3 ...
  last_n bigint not null unique,           -- entries up to here, from the link before
  entries integer not null,
  marks bytea not null,                    -- eight bytes of each entry's SHA-256, so that a broken one can be named
  hash bytea not null,                     -- SHA-256 of the hash before and of each entry's
  closed_at timestamptz not null
);
create index audit_link_closed on audit_link (closed_at);

-- Both are only ever appended to. A range of pages (BRIN) would be cheaper to write, but what is not yet
-- summarised is read whole each second, and under load that is a minute's worth.
create index ledger_n on ledger (n);
create index ledger_brand on ledger (brand_id, n);

grant select on ledger_line, audit_link, ledger_n_seq to comms_api, comms_engine;
grant insert on audit_link to comms_engine;
do $$ begin execute format('revoke update, delete, truncate on ledger, audit_link from %I', current_user); end $$;

-- Events out -----------------------------------------------------------------------------------

create table subscription (                -- who wants to hear of a brand's events, and where
  subscription_id uuid primary key,
  brand_id text not null references brand,
  url text not null,
  events text[] not null,
  secrets bytea not null,                  -- sealed: what is signed with, the newest first, each with its end
  created_at timestamptz not null,
  updated_at timestamptz not null,
  failing_since timestamptz,               -- no call has gone well since
  problem text,                            -- of the last call that did not
  missed integer not null default 0,       -- events that were given up
  disabled_at timestamptz,
  disabled_reason text check (disabled_reason in ('gone', 'on_request')),
  check ((disabled_at is null) = (disabled_reason is null))
);
create index subscription_brand on subscription (brand_id, subscription_id);

create table feed (                        -- how far it has heard: one that goes on, and one a replay
  feed_id uuid primary key,
  subscription_id uuid not null references subscription on delete cascade,
  brand_id text not null,
  position bigint not null,                -- entries up to here were delivered, given up, or wait
  ends_at bigint,                          -- a replay's last entry
  since timestamptz,
  until timestamptz,
  waiting jsonb not null default '[]',     -- what was not taken, in order, each with its next time
  retry_at timestamptz,                    -- the next time of any of them
  failures integer not null default 0,     -- rounds in a row in which something new was tried, and nothing taken
  rest_until timestamptz,                  -- an ill receiver is left alone until then
  owner uuid,
  lease_until timestamptz
) with (fillfactor = 70);
create index feed_subscription on feed (subscription_id);
create unique index feed_goes_on on feed (subscription_id) where ends_at is null;

grant select, insert, update, delete on subscription, feed to comms_api;
grant select, update on subscription to comms_engine;
grant select, update, delete on feed to comms_engine;

do $$
declare held text;
begin
  foreach held in array array['subscription', 'feed'] loop
    execute format('alter table %I enable row level security', held);
    execute format('create policy engine on %I to comms_engine using (true) with check (true)', held);
    execute format($p$create policy one_brand on %I to comms_api
      using (current_setting('comms.brand', true) in (brand_id, '*'))
      with check (current_setting('comms.brand', true) in (brand_id, '*'))$p$, held);
  end loop;
end $$;
