-- Which history this database lives in, and who remembers it: a restore, or a fail-over that misses a commit which
-- somebody saw acknowledged, must not send the past again.

-- The cluster, and the timeline that it writes: another one after a promotion, a restore to a point in time, a dump put
-- into a new cluster. The same after a restart and after a crash.
create function comms_history() returns text language sql stable as $$
  select (select system_identifier from pg_control_system())
         || '/' || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int
$$;

alter table installation
  add column installation_id uuid not null default gen_random_uuid(),
  add column history text,                 -- the one in which messages may be claimed
  add column other text,                   -- another one that was met, which nobody has vouched for yet
  add column other_since timestamptz,
  add column paused_at timestamptz,        -- nothing is claimed until an operator resumes
  add column paused_reason text check (paused_reason in ('commits_lost', 'nobody_remembers', 'restored')),
  add column resumed_at timestamptz not null default '1970-01-01Z',
  add check ((paused_at is null) = (paused_reason is null));
update installation set history = comms_history();
alter table installation alter column history set not null;

alter table worker
  add column beat bigint not null default 1,            -- how often it has reported
  add column history text,                              -- the one in which it has found all that it remembers
  add column vouches boolean not null default false;    -- it remembers something

create table witness (                     -- who remembers outside of the database: one a data directory of workers
  witness_id uuid primary key,
  beat bigint not null,
  beaten_at timestamptz not null
);
grant select, insert, update on witness to comms_engine;
grant select on witness to comms_api;
