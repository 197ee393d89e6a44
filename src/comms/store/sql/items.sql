-- What stays with us: inbox items, and what the sandbox was handed.

-- name: put_in_inbox
insert into inbox_item (bucket, id, brand_id, person_hash, category, content, created_at)
select *, $7 from unnest($1::int[], $2::uuid[], $3::text[], $4::bytea[], $5::text[], $6::bytea[])
on conflict do nothing;

-- name: inbox
select * from inbox_item
 where brand_id = $1 and person_hash = $2 and ($3::uuid is null or id < $3) order by id desc limit $4;

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
