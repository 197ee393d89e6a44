-- Consents and preferences: what persons allow. The ledger keeps every change, with who made it.

-- name: put_consent
with put as (
  insert into consent (bucket, id, brand_id, person_hash, channel, category, opted_in, content, created_at, changed_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
  on conflict (bucket, id) do update
     set opted_in = excluded.opted_in, content = excluded.content, changed_at = excluded.changed_at
  returning *
), noted as (
  insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
  select bucket, brand_id, changed_at, 'consent_put', jsonb_build_object(
           'consent_id', id, 'channel', channel, 'category', category, 'opted_in', opted_in), $10, $11
    from put
)
select * from put;

-- name: put_preference
with put as (
  insert into preference (bucket, id, brand_id, person_hash, channel, category, enabled, content, created_at, changed_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
  on conflict (bucket, id) do update
     set enabled = excluded.enabled, content = excluded.content, changed_at = excluded.changed_at
  returning *
), noted as (
  insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
  select bucket, brand_id, changed_at, 'preference_put', jsonb_build_object(
           'preference_id', id, 'channel', channel, 'category', category, 'enabled', enabled), $10, $11
    from put
)
select * from put;

-- name: consent
select * from consent where bucket = $1 and id = $2;

-- name: consents
-- Newest first, from the row that a cursor names.
select * from consent
 where bucket = $1 and brand_id = $2 and person_hash = $3
   and ($4::uuid is null or (created_at, id) < (select c.created_at, c.id from consent c where c.bucket = $1 and c.id = $4))
 order by created_at desc, id desc limit $5;

-- name: preferences
select * from preference
 where bucket = $1 and brand_id = $2 and person_hash = $3
   and ($4::uuid is null
        or (created_at, id) < (select p.created_at, p.id from preference p where p.bucket = $1 and p.id = $4))
 order by created_at desc, id desc limit $5;

-- name: import_consents
-- Each row once a group. What is known to have been said later, to the millisecond of an export, stays as it is and is
-- not among the answers.
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::boolean[], $8::bytea[],
                       $9::timestamptz[]) as g (bucket, id, brand_id, person_hash, channel, category, allowed, content, said_at)
   order by bucket, id
), put as (
  insert into consent (bucket, id, brand_id, person_hash, channel, category, opted_in, content, created_at, changed_at)
  select bucket, id, brand_id, person_hash, channel, category, allowed, content, $10, said_at from given
  on conflict (bucket, id) do update
     set opted_in = excluded.opted_in, content = excluded.content, changed_at = excluded.changed_at
   where date_trunc('milliseconds', consent.changed_at) <= excluded.changed_at
  returning *
), noted as (
  insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
  select bucket, brand_id, $10, 'consent_put', jsonb_build_object('consent_id', id, 'channel', channel,
           'category', category, 'opted_in', opted_in, 'imported', true), $11, $12
    from put
)
select id from put;

-- name: import_preferences
-- As consents.
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::boolean[], $8::bytea[],
                       $9::timestamptz[]) as g (bucket, id, brand_id, person_hash, channel, category, allowed, content, said_at)
   order by bucket, id
), put as (
  insert into preference (bucket, id, brand_id, person_hash, channel, category, enabled, content, created_at, changed_at)
  select bucket, id, brand_id, person_hash, channel, category, allowed, content, $10, said_at from given
  on conflict (bucket, id) do update
     set enabled = excluded.enabled, content = excluded.content, changed_at = excluded.changed_at
   where date_trunc('milliseconds', preference.changed_at) <= excluded.changed_at
  returning *
), noted as (
  insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
  select bucket, brand_id, $10, 'preference_put', jsonb_build_object('preference_id', id, 'channel', channel,
           'category', category, 'enabled', enabled, 'imported', true), $11, $12
    from put
)
select id from put;

-- name: export_consents
-- In the order of an index, so that the next page begins where this one ends.
select * from consent
 where bucket = $1 and brand_id = $2 and (person_hash, id) > ($3, $4) order by person_hash, id limit $5;

-- name: export_preferences
select * from preference
 where bucket = $1 and brand_id = $2 and (person_hash, id) > ($3, $4) order by person_hash, id limit $5;
