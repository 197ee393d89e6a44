-- What the judgement on a message rests on.

-- name: facts
-- All that is known of a group of messages, in one statement: `n` says whose each row is. A person's zone and what
-- was sent to the person are looked for only where the brand has quiet hours or caps that cover the message.
with asked as (
  select * from unnest($1::text[], $2::text[], $3::int[], $4::bytea[], $5::uuid[], $6::uuid[], $7::int[], $8::bytea[],
      $9::bool[], $10::bool[]) with ordinality
    as a (brand_id, channel, person_bucket, person_hash, consent_id, preference_id, address_bucket, address_hash,
      wants_zone, wants_sent, n)
), guard as (
  select * from unnest($11::bigint[], $12::text[], $13::int[], $14::uuid[]) as g (n, brand_id, bucket, id)
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
union all
select g.n, 'fact', f.id, encode(f.value_hash, 'hex'), f.changed_at
  from guard g join fact f on f.bucket = g.bucket and f.id = g.id and f.brand_id = g.brand_id
union all
select a.n, 'zone', p.id, p.timezone, p.changed_at
  from asked a
  join person p on a.wants_zone and p.bucket = a.person_bucket and p.brand_id = a.brand_id
   and p.person_hash = a.person_hash and p.timezone is not null
union all
select a.n, 'sent', null, jsonb_build_array(u.version, u.sent)::text, null
  from asked a
  join cap_use u on a.wants_sent and u.bucket = a.person_bucket and u.brand_id = a.brand_id and u.person_hash = a.person_hash
 order by n, since;
