-- The inbox in the order in which items arrived, for persons who listen: a message's id tells when it was accepted,
-- which may be weeks before it is there.

alter table inbox_item add column n bigint generated always as identity;

drop index inbox_person;
create index inbox_arrived on inbox_item (brand_id, person_hash, n desc);
create index inbox_unread on inbox_item (brand_id, person_hash) where read_at is null;

grant insert on inbox_item to comms_api;
