-- Devices that take push messages: a person may have several.

-- name: put
-- The same token again, perhaps for another person: the device has changed hands.
insert into device (device_id, brand_id, person_hash, kind, content, app, created_at, registered_at)
values ($1, $2, $3, $4, $5, $6, $7, $7)
on conflict (device_id) do update
   set person_hash = excluded.person_hash, kind = excluded.kind, content = excluded.content, app = excluded.app,
       registered_at = excluded.registered_at
returning *;

-- name: of_person
select * from device where brand_id = $1 and person_hash = $2 order by created_at desc, device_id limit $3;

-- name: get
select * from device where brand_id = $1 and device_id = $2;

-- name: remove
delete from device where brand_id = $1 and device_id = $2 returning device_id;

-- name: forget
-- Nobody is there: so said the push service. Not one that was registered again since. It stands on the timeline of
-- the message that found it out, by the device's id. $7 is when that was heard.
with given as (
  select * from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::int[], $5::uuid[], $6::jsonb[])
    as g (device_id, brand_id, since, bucket, message_id, details)
), gone as (
  delete from device d using given g
   where d.device_id = g.device_id and d.brand_id = g.brand_id and d.registered_at <= g.since
  returning g.*
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details)
  select bucket, message_id, brand_id, $7, 'bounced', details || jsonb_build_object('device_id', device_id, 'forgotten', true)
    from gone
)
select device_id from gone;
