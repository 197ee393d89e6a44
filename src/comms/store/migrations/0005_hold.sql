-- A brand may be held, and who works says so: a hold is answered once each live worker has heard of it.

alter table brand add column held_at timestamptz;

create table worker (
  owner uuid primary key,
  epoch bigint not null,                   -- the newest set-up that it acts by
  lease_until timestamptz not null         -- longer than anything that it may still begin
);
grant select, insert, update, delete on worker to comms_engine;
