-- Devices that take push messages: a person may have several.

-- name: put
-- The same token again, perhaps for another person: the device has changed hands.
insert into device (device_id, brand_id, person_hash, kind, content, app, created_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (device_id) do update
   set person_hash = excluded.person_hash, kind = excluded.kind, content = excluded.content, app = excluded.app
returning *;

-- name: of_person
select * from device where brand_id = $1 and person_hash = $2 order by created_at desc, device_id limit $3;

-- name: get
select * from device where brand_id = $1 and device_id = $2;

-- name: remove
delete from device where brand_id = $1 and device_id = $2 returning device_id;
