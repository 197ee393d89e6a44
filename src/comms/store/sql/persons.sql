-- Persons: what is known of them besides what they allow.

-- name: put
with put as (
  insert into person (bucket, id, brand_id, person_hash, timezone, locale, created_at, changed_at)
  values ($1, $2, $3, $4, $5, $6, $7, $7)
  on conflict (bucket, brand_id, person_hash) do update
     set timezone = excluded.timezone, locale = excluded.locale, changed_at = excluded.changed_at
  returning *
), noted as (
  insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
  select bucket, brand_id, changed_at, 'person_put', jsonb_build_object('person', id), $8, $9 from put
)
select * from put;

-- name: get
select * from person where bucket = $1 and brand_id = $2 and person_hash = $3;
