-- What is kept no longer: content goes, the row stays. In bites: a window of a brand's messages along the index that
-- lists them, or some pages of a table that has no order in time. $1 is a test's time, else the database's clock counts.

-- name: take_turn
-- One worker at a time, until its minute is over; the row is held as long as the bite's transaction.
insert into retention_turn as t (one, owner, until, paged_at)
values (true, $2, coalesce($1, statement_timestamp()) + interval '1 minute', '1970-01-01Z')
on conflict (one) do update set owner = excluded.owner, until = excluded.until
 where t.owner = excluded.owner or t.until < coalesce($1, statement_timestamp())
returning coalesce($1, statement_timestamp()) as now, paged_at;

-- name: up_to
select up_to from retention_walk where brand_id = $1 and hipaa = $2;

-- name: reach
insert into retention_walk (brand_id, hipaa, up_to) values ($1, $2, $3)
on conflict (brand_id, hipaa) do update set up_to = excluded.up_to;

-- name: passed
-- The next that were accepted, whatever their class: a window is bounded by what is read.
select bucket, id, hipaa, ended_at from message_end
 where brand_id = $1 and id > $2 and id < $3 order by id limit $4;

-- name: waited
-- What was too young once.
select bucket, id, hipaa, e.ended_at from retention_later l join message_end e using (bucket, id, hipaa)
 where l.brand_id = $1 and l.hipaa = $2 and l.since <= $3 order by l.since limit $4;

-- name: erase
-- Only what has ended; a row that somebody changes at this moment is left for later. Its hashes stay, as a person's
-- erasure leaves them: an index entry that need not change is not written where the page has room.
with free as (
  select m.bucket, m.id from message m join unnest($1::int[], $2::uuid[]) as g (bucket, id) using (bucket, id)
   where m.outcome is not null order by m.bucket, m.id for update of m skip locked
)
update message m set address = ''::bytea, variables = ''::bytea, options = null, decision = null
  from free where m.bucket = free.bucket and m.id = free.id
returning m.bucket, m.id;

-- name: erase_deliveries
-- Frozen payloads with all about them: what a provider reports that late is about nothing.
delete from delivery d using unnest($1::int[], $2::uuid[]) as g (bucket, id)
 where d.bucket = g.bucket and d.message_id = g.id returning d.message_id, d.n, d.provider_id, d.reference;

-- name: forget_references
-- What providers called them.
delete from delivery_reference r using unnest($1::int[], $2::text[], $3::text[]) as g (bucket, provider_id, reference)
 where r.bucket = g.bucket and r.provider_id = g.provider_id and r.reference = g.reference;

-- name: erase_items
-- What a message put into an inbox has its id.
delete from inbox_item i using unnest($1::int[], $2::uuid[]) as g (bucket, id)
 where i.bucket = g.bucket and i.id = g.id returning 1;

-- name: forget
delete from retention_later l using unnest($1::int[], $2::uuid[]) as g (bucket, id)
 where l.bucket = g.bucket and l.id = g.id;

-- name: keep_in_mind
insert into retention_later (bucket, id, brand_id, hipaa, since)
select g.bucket, g.id, $1, $2, g.since from unnest($3::int[], $4::uuid[], $5::timestamptz[]) as g (bucket, id, since)
on conflict (bucket, id) do update set since = excluded.since;

-- name: note
insert into ledger (bucket, brand_id, at, event, details) values (0, $1, $2, 'content_erased', $3);

-- name: pages
-- How many a table has now.
select pg_relation_size(to_regclass($1)) / current_setting('block_size')::bigint;

-- name: paged
update retention_turn set paged_at = $1;

-- name: prune_provider_event
-- $3: what was heard before can't be repeated any more.
delete from provider_event where ctid >= $1::tid and ctid < $2::tid and heard_at < $3 returning 1;

-- name: prune_sandbox_item
-- What messages left there whose content is gone.
delete from sandbox_item s using message m
 where s.ctid >= $1::tid and s.ctid < $2::tid and m.bucket = s.bucket and m.id = s.message_id and m.address = ''::bytea
returning 1;

-- name: prune_inbox_item
-- Notifications, which no message brought; of each brand ($3) those from before ($4).
delete from inbox_item i using unnest($3::text[], $4::timestamptz[]) as g (brand_id, before)
 where i.ctid >= $1::tid and i.ctid < $2::tid and i.brand_id = g.brand_id and i.created_at < g.before
   and not exists (select from message m where m.bucket = i.bucket and m.id = i.id)
returning 1;

-- name: waiting
-- Messages that are not looked at yet though they are old enough, 10,000 at most.
select count(*) from (
  select from message where brand_id = $1 and id < $3
     and id > coalesce((select up_to from retention_walk where brand_id = $1 and hipaa = $2),
                       '00000000-0000-0000-0000-000000000000') limit 10000
) as first;

-- name: weigh
-- A window of a brand's messages: which have content and ended before $4 (health data: $5), and where it ends.
select (array_agg(id order by id desc))[1] as last, count(*) as seen,
       count(*) filter (where has_content and not hipaa and ended_at <= $4) as plain,
       count(*) filter (where has_content and hipaa and ended_at <= $5) as hipaa
  from (select * from message_end where brand_id = $1 and id > $2 and id < $3 order by id limit $6) as stretch;
