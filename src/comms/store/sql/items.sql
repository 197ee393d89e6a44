-- What stays with us: inbox items, and what the sandbox was handed.

-- name: put_in_inbox
-- A person's items are written one group after the other, and so become visible in the order of their `n`: who has read
-- up to one has missed none before it. Turns are taken in order, so that two groups do not embrace. Who listens is told.
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::bytea[])
    as g (bucket, id, brand_id, person_hash, category, content)
), turns as materialized (
  select count(*) from (
    select pg_advisory_xact_lock(turn) from (
      select distinct ('x' || encode(substr(person_hash, 1, 8), 'hex'))::bit(64)::bigint as turn from given order by turn
    ) as ordered
  ) as taken
), put as (
  insert into inbox_item (bucket, id, brand_id, person_hash, category, content, created_at)
  select given.*, $7 from turns, given where turns.count > 0
  on conflict do nothing
  returning person_hash
)
select pg_notify('comms_inbox', string_agg(distinct encode(person_hash, 'hex'), ',')) from put having count(*) > 0;

-- name: ring
select pg_notify('comms_inbox', encode($1::bytea, 'hex'));

-- name: inbox
-- Newest first, from the item that a cursor names.
select * from inbox_item
 where brand_id = $1 and person_hash = $2
   and ($3::uuid is null or n < (select i.n from inbox_item i where i.bucket = $4 and i.id = $3))
 order by n desc limit $5;

-- name: arrived
-- Oldest first, after one.
select * from inbox_item where brand_id = $1 and person_hash = $2 and n > $3 order by n limit $4;

-- name: unread
select count(*) as count, (select coalesce(max(n), 0) from inbox_item where brand_id = $1 and person_hash = $2) as newest
  from inbox_item where brand_id = $1 and person_hash = $2 and read_at is null;

-- name: item
select * from inbox_item where bucket = $1 and id = $2;

-- name: bulk_read
update inbox_item set read_at = coalesce(read_at, $4)
 where brand_id = $1 and person_hash = $2 and id = any($3::uuid[]) and read_at is null
returning id;

-- name: keep_in_sandbox
insert into sandbox_item (bucket, message_id, brand_id, provider_id, channel, content, received_at)
select *, $7 from unnest($1::int[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[]);

-- name: sandbox
-- With the message's person, under whose key it is sealed.
select s.*, m.person_hash from sandbox_item s join message m on m.bucket = s.bucket and m.id = s.message_id
 where s.brand_id = $1 and ($2::bigint is null or s.n < $2) order by s.n desc limit $3;

-- name: hear
insert into ledger (bucket, message_id, brand_id, at, event, details)
select bucket, id, brand_id, $3, $4, $5 from message where bucket = $1 and id = $2;
