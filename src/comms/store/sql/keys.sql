-- Persons' secrets, wrapped, and the epochs whose keys they are wrapped with.

-- name: persons
-- Each by its key: as a join it is planned once, while the table is small, and reads all of it from then on.
select k.* from unnest($1::int[], $2::text[], $3::bytea[]) as g (bucket, brand_id, person_hash)
 cross join lateral (
   select k.bucket, k.brand_id, k.person_hash, k.generation, k.epoch, k.wrapped from person_key k
    where k.bucket = g.bucket and k.brand_id = g.brand_id and k.person_hash = g.person_hash limit 1) k;

-- name: hold
-- Until the transaction ends nobody erases the person: what is sealed in it is sealed for somebody.
select generation, epoch, wrapped from person_key
 where bucket = $1 and brand_id = $2 and person_hash = $3 for share;

-- name: hold_all
-- The same of many, in the order given. Who has no secret now is not among them.
select k.* from unnest($1::int[], $2::text[], $3::bytea[]) with ordinality as g (bucket, brand_id, person_hash, i)
 cross join lateral (
   select k.person_hash, k.generation, k.epoch, k.wrapped from person_key k
    where k.bucket = g.bucket and k.brand_id = g.brand_id and k.person_hash = g.person_hash
      and k.wrapped is not null for share) k
 order by g.i;

-- name: put
-- A person's first secret, or the next one after an erasure. Whoever comes second changes nothing.
insert into person_key (bucket, brand_id, person_hash, generation, epoch, wrapped, created_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (bucket, brand_id, person_hash) do update
   set generation = excluded.generation, epoch = excluded.epoch, wrapped = excluded.wrapped,
       created_at = excluded.created_at
 where person_key.wrapped is null and person_key.generation = excluded.generation - 1;

-- name: destroy
-- Also of a person who has none yet: what is being accepted at this moment is sealed under the next.
-- A second time the first stays.
insert into person_key as k (bucket, brand_id, person_hash, generation, epoch, wrapped, created_at, destroyed_at)
values ($1, $2, $3, 1, 0, null, $4, $4)
on conflict (bucket, brand_id, person_hash) do update
   set wrapped = null, epoch = 0,
       destroyed_at = case when k.wrapped is null then k.destroyed_at else excluded.destroyed_at end
returning destroyed_at, generation;

-- name: live
-- Those that are not destroyed and wrapped with an older epoch's key: what was wrapped anew is none of them any more.
select bucket, brand_id, person_hash, generation, epoch, wrapped from person_key
 where wrapped is not null and epoch < $1 limit $2;

-- name: rewrap
-- Those that still stand as they were read.
update person_key k set epoch = $6, wrapped = g.wrapped
  from unnest($1::int[], $2::text[], $3::bytea[], $4::bytea[], $5::bytea[])
    as g (bucket, brand_id, person_hash, was, wrapped)
 where k.bucket = g.bucket and k.brand_id = g.brand_id and k.person_hash = g.person_hash and k.wrapped = g.was
returning k.person_hash;

-- name: epochs
-- Oldest first, with how many live secrets each wraps.
select e.*, (select count(*) from person_key k where k.epoch = e.epoch and k.wrapped is not null) as persons
  from key_epoch e order by e.epoch;

-- name: newest
-- The epoch in force; none: the master key wraps.
select epoch, proof, made_at from key_epoch order by epoch desc limit 1;

-- name: add_epoch
with replaced as (
  update key_epoch set replaced_at = $3 where replaced_at is null and epoch < $1
)
insert into key_epoch (epoch, proof, made_at) values ($1, $2, $3) on conflict (epoch) do nothing;

-- name: erased_since
select exists (select from person_key where destroyed_at >= $1);

-- name: outlived
-- Epochs that were replaced before this time and whose keys are still there.
select epoch from key_epoch where replaced_at < $1 and destroyed_at is null order by epoch;

-- name: wraps_none
select not exists (select from person_key where epoch = $1 and wrapped is not null);

-- name: end_epoch
update key_epoch set destroyed_at = $2 where epoch = $1;
