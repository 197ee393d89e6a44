-- Limits: what a provider is handed by all workers together, providers that are ill, and a queue that can be
-- looked through by template, so that neither keeps anybody else's messages waiting.

alter table queue add column template_id uuid;
update queue q set template_id = m.template_id from message m where m.bucket = q.bucket and m.id = q.id;
alter table queue alter column template_id set not null;
create index queue_lane on queue (template_id, due_at) where state = 'scheduled';

alter table queue add column uncounted integer not null default 0;  -- attempts that came to no call, through no fault of the message

create table pace (                        -- one row a provider with limits: whoever takes slots updates it
  provider_id text primary key,
  holders jsonb not null default '{}',     -- by worker: [calls it may have under way, calls it would like, until, calls it may begin]
  next_at timestamptz not null,            -- the first instant that is not given away
  given integer not null default 0         -- how many the last update gave away
) with (fillfactor = 50);                  -- updated all the time, and never an indexed column

create table breaker (                     -- a row as long as a provider is not to be called
  provider_id text not null,
  brand_id text not null,                  -- '*' for all
  set_up_at timestamptz not null,          -- of which set-up this was found: another one is tried at once
  reason text not null,
  opened_at timestamptz not null,
  failures integer not null,
  probe_at timestamptz not null,           -- from then on one call may find out
  prober uuid,
  probing_until timestamptz,
  primary key (provider_id, brand_id)
);

grant select, insert, update on pace to comms_engine;
grant select, insert, update, delete on breaker to comms_engine;

-- A brand's limits had no shape and no effect so far.
update brand set settings = settings - 'limits' where settings ? 'limits';
