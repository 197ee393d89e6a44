-- What was sent to persons lately, where their brand caps it: a row a person, in the person's bucket.

-- name: reserve
-- Only on what has been seen: the version is compared on the row itself, as the last one who wrote has left it, so
-- that of two who saw the same one writes. Sorted, so that two groups wait for each other instead of embracing.
with given as (
  select * from unnest($1::int[], $2::text[], $3::bytea[], $4::int[], $5::text[])
    as g (bucket, brand_id, person_hash, seen, sent)
)
insert into cap_use as u (bucket, brand_id, person_hash, version, sent)
select bucket, brand_id, person_hash, seen + 1, sent::jsonb from given order by bucket, brand_id, person_hash
on conflict (bucket, brand_id, person_hash) do update set version = excluded.version, sent = excluded.sent
 where u.version = excluded.version - 1
returning brand_id, person_hash;

-- name: release
-- What was not sent after all counts no more. One row a person, whose messages come together.
with given as (
  select bucket, brand_id, person_hash, array_agg(message_id) as gone
    from unnest($1::int[], $2::text[], $3::bytea[], $4::text[]) as g (bucket, brand_id, person_hash, message_id)
   group by bucket, brand_id, person_hash
), held as (
  select u.bucket, u.brand_id, u.person_hash, given.gone
    from cap_use u join given using (bucket, brand_id, person_hash)
   order by u.bucket, u.brand_id, u.person_hash for update of u
)
update cap_use u
   set version = u.version + 1,
       sent = coalesce((select jsonb_agg(each order by place) from jsonb_array_elements(u.sent) with ordinality as s (each, place)
                         where each ->> 0 <> all (held.gone)), '[]')
  from held
 where u.bucket = held.bucket and u.brand_id = held.brand_id and u.person_hash = held.person_hash;
