-- A push service that says of a token that nobody is there: the device is forgotten where the answer is recorded,
-- unless it was registered again since.

alter table device add column registered_at timestamptz;
update device set registered_at = created_at;
alter table device alter column registered_at set not null;
grant delete on device to comms_engine;
