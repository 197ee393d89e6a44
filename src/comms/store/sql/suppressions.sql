-- Addresses that are not written to.

-- name: add
-- One that stands for the same reason stays as it is, and is held until the transaction ends: nobody lifts it before
-- it is answered. Sorted, so that two groups do not embrace.
with given as (
  select distinct on (bucket, brand_id, channel, address_hash, reason) *
    from unnest($1::int[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::bytea[], $8::timestamptz[])
      as g (bucket, id, brand_id, channel, address_hash, reason, content, suppressed_at)
   order by bucket, brand_id, channel, address_hash, reason
), standing as (
  insert into suppression (bucket, id, brand_id, channel, address_hash, reason, content, suppressed_at)
  select bucket, id, brand_id, channel, address_hash, reason, content, suppressed_at from given
  on conflict (bucket, brand_id, channel, address_hash, reason) where lifted_at is null
     do update set reason = excluded.reason
  returning *
), noted as (
  insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
  select s.bucket, s.brand_id, $9, 'suppression_added',
         jsonb_build_object('suppression_id', s.id, 'channel', s.channel, 'reason', s.reason), $10, $11
    from standing s join given using (bucket, id)
)
select * from standing;

-- name: add_heard
-- What a provider tells of, at the time that it tells ($8): not where the address was let go again since. Of a STOP
-- that stands the latest time counts, since a START takes back only what was said before it.
with given as (
  select distinct on (bucket, brand_id, channel, address_hash, reason) *
    from unnest($1::int[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::bytea[], $8::timestamptz[])
      as g (bucket, id, brand_id, channel, address_hash, reason, content, at)
   where not exists (
     select from suppression s
      where s.bucket = g.bucket and s.address_hash = g.address_hash and s.lifted_at is not null
        and s.brand_id = g.brand_id and s.channel = g.channel and s.reason = g.reason and s.lifted_at > g.at)
   order by bucket, brand_id, channel, address_hash, reason, at desc
), standing as (
  insert into suppression (bucket, id, brand_id, channel, address_hash, reason, content, suppressed_at)
  select bucket, id, brand_id, channel, address_hash, reason, content, at from given
  on conflict (bucket, brand_id, channel, address_hash, reason) where lifted_at is null
     do update set suppressed_at = case suppression.reason when 'stop'
       then greatest(suppression.suppressed_at, excluded.suppressed_at) else suppression.suppressed_at end
  returning *
)
insert into ledger (bucket, brand_id, at, event, details)
select s.bucket, s.brand_id, s.suppressed_at, 'suppression_added',
       jsonb_build_object('suppression_id', s.id, 'channel', s.channel, 'reason', s.reason)
  from standing s join given using (bucket, id);

-- name: start
-- A START takes back what STOPs before it added, and nothing else. Where there was none it leaves its time behind, in a
-- row that is lifted from the beginning: a STOP that was said earlier and comes later finds it.
with lifted as (
  update suppression set lifted_at = $8
   where bucket = $1 and brand_id = $3 and channel = $4 and address_hash = $5 and reason = $6
     and lifted_at is null and suppressed_at <= $8
  returning bucket, id, brand_id, channel, reason
), moved as (
  update suppression set lifted_at = $8
   where bucket = $1 and brand_id = $3 and channel = $4 and address_hash = $5 and reason = $6
     and lifted_at < $8 and not exists (select from lifted)
  returning id
), kept as (
  insert into suppression (bucket, id, brand_id, channel, address_hash, reason, content, suppressed_at, lifted_at)
  select $1, $2, $3, $4, $5, $6, $7, $8, $8
   where not exists (select from suppression where bucket = $1 and brand_id = $3 and channel = $4
                        and address_hash = $5 and reason = $6)
)
insert into ledger (bucket, brand_id, at, event, details)
select bucket, brand_id, $8, 'suppression_lifted',
       jsonb_build_object('suppression_id', id, 'channel', channel, 'reason', reason)
  from lifted;

-- name: standing
select * from suppression
 where bucket = $1 and brand_id = $2 and channel = $3 and address_hash = $4 and lifted_at is null
 order by id desc;

-- name: lift
-- A second time changes nothing.
with lifted as (
  update suppression set lifted_at = $3 where bucket = $1 and id = $2 and lifted_at is null
  returning bucket, id, brand_id, channel, reason
)
insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
select bucket, brand_id, $3, 'suppression_lifted',
       jsonb_build_object('suppression_id', id, 'channel', channel, 'reason', reason), $4, $5
  from lifted;

-- name: get
select * from suppression where bucket = $1 and id = $2;

-- name: export
-- Those that stand, in the order of an index, so that the next page begins where this one ends.
select * from suppression
 where bucket = $1 and brand_id = $2 and lifted_at is null and (channel, address_hash, reason) > ($3, $4, $5)
 order by channel, address_hash, reason limit $6;
