-- Addresses that are not written to.

-- name: add
-- One that stands for the same reason stays as it is, and is held until the transaction ends: nobody lifts it before
-- it is answered. Sorted, so that two groups do not embrace.
with given as (
  select distinct on (bucket, brand_id, channel, address_hash, reason) *
    from unnest($1::int[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::bytea[])
      as g (bucket, id, brand_id, channel, address_hash, reason, content)
   order by bucket, brand_id, channel, address_hash, reason
), standing as (
  insert into suppression (bucket, id, brand_id, channel, address_hash, reason, content, suppressed_at)
  select bucket, id, brand_id, channel, address_hash, reason, content, $8 from given
  on conflict (bucket, brand_id, channel, address_hash, reason) where lifted_at is null
     do update set reason = excluded.reason
  returning *
), noted as (
  insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
  select s.bucket, s.brand_id, s.suppressed_at, 'suppression_added',
         jsonb_build_object('suppression_id', s.id, 'channel', s.channel, 'reason', s.reason), $9, $10
    from standing s join given using (bucket, id)
)
select * from standing;

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
