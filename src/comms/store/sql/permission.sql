-- What the judgement on a message rests on.

-- name: facts
-- All that is known of a group of messages, in one statement: `n` says whose each row is.
with asked as (
  select * from unnest($1::text[], $2::text[], $3::int[], $4::uuid[], $5::uuid[], $6::int[], $7::bytea[]) with ordinality
    as a (brand_id, channel, person_bucket, consent_id, preference_id, address_bucket, address_hash, n)
)
select a.n, 'consent' as kind, c.id, case when c.opted_in then 'opted_in' else 'opted_out' end as says, c.changed_at as since
  from asked a join consent c on c.bucket = a.person_bucket and c.id = a.consent_id and c.brand_id = a.brand_id
union all
select a.n, 'preference', p.id, case when p.enabled then 'enabled' else 'disabled' end, p.changed_at
  from asked a join preference p on p.bucket = a.person_bucket and p.id = a.preference_id and p.brand_id = a.brand_id
union all
select a.n, 'suppression', s.id, s.reason, s.suppressed_at
  from asked a
  join suppression s on s.bucket = a.address_bucket and s.brand_id = a.brand_id and s.channel = a.channel
   and s.address_hash = a.address_hash and s.lifted_at is null
 order by n, since;
