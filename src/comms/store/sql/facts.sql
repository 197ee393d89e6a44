-- Facts that callers keep: what is so now, under a name.

-- name: put
with put as (
  insert into fact (bucket, id, brand_id, value_hash, content, changed_at) values ($1, $2, $3, $4, $5, $6)
  on conflict (bucket, id) do update
     set value_hash = excluded.value_hash, content = excluded.content, changed_at = excluded.changed_at
  returning *
), noted as (
  insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
  select bucket, brand_id, changed_at, 'fact_put', jsonb_build_object('fact_id', id), $7, $8 from put
)
select * from put;

-- name: get
select * from fact where bucket = $1 and id = $2;

-- name: remove
with gone as (
  delete from fact where bucket = $1 and id = $2 returning *
), noted as (
  insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
  select bucket, brand_id, $3, 'fact_removed', jsonb_build_object('fact_id', id), $4, $5 from gone
)
select id from gone;
