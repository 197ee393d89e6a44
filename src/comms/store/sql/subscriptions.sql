-- Who wants to hear of a brand's events, and how far each has heard.

-- name: add
with made as (
  insert into subscription (subscription_id, brand_id, url, events, secrets, created_at, updated_at)
  select $1, $2, $3, $4, $5, $6, $6 where (select count(*) from subscription where brand_id = $2) < $7
  returning *
), goes_on as (
  insert into feed (feed_id, subscription_id, brand_id, position)
  select subscription_id, subscription_id, brand_id, (select last_value from ledger_n_seq) from made
)
select * from made;

-- name: get
select * from subscription where subscription_id = $1;

-- name: lock
select * from subscription where subscription_id = $1 for update;

-- name: listed
select * from subscription
 where brand_id = $1 and ($2::uuid is null or (created_at, subscription_id)
       < (select s.created_at, s.subscription_id from subscription s where s.subscription_id = $2))
 order by created_at desc, subscription_id desc limit $3;

-- name: put
-- Enabled again, it hears of what happens from now on, and forgets what waited.
update subscription set url = $2, events = $3, updated_at = $5,
       disabled_at = case when $4 then null else coalesce(disabled_at, $5) end,
       disabled_reason = case when $4 then null else coalesce(disabled_reason, 'on_request') end,
       failing_since = case when url = $2 and (disabled_at is not null or not $4) then failing_since end,
       problem = case when url = $2 and (disabled_at is not null or not $4) then problem end
 where subscription_id = $1
returning *;

-- name: begin_anew
-- Whoever is at it has lost it, here and below: what it calls is not what is asked for any more.
update feed set position = (select last_value from ledger_n_seq), waiting = '[]', retry_at = null, failures = 0,
       rest_until = null, owner = null, lease_until = null
 where subscription_id = $1 and ends_at is null;

-- name: try_now
update feed set retry_at = case when waiting = '[]' then null else $2::timestamptz end, rest_until = null,
       owner = null, lease_until = null
 where subscription_id = $1;

-- name: keep_secrets
update subscription set secrets = $2, updated_at = $3 where subscription_id = $1;

-- name: remove
delete from subscription where subscription_id = $1 returning brand_id;

-- name: replays
select count(*) from feed where subscription_id = $1 and ends_at is not null;

-- name: replay
-- What happened from $4 and before $5, of what is closed by now.
insert into feed (feed_id, subscription_id, brand_id, position, ends_at, since, until)
values ($1, $2, $3, $6, (select last_value from ledger_n_seq), $4, $5);

-- name: lease
-- Feeds with something to do, and nobody at it: what waits and is due, or entries that were closed since. As a pair the
-- next entry is one probe; by its number alone a quiet brand's would be looked for among all that others did.
with closed as (
  select coalesce((select last_n from audit_link order by link desc limit 1), 0) as n
), ready as (
  select f.feed_id from feed f join subscription s using (subscription_id) cross join closed
   where s.disabled_at is null and (f.lease_until is null or f.lease_until < coalesce($1, statement_timestamp()))
     and (f.rest_until is null or f.rest_until <= coalesce($1, statement_timestamp()))
     and (f.retry_at <= coalesce($1, statement_timestamp()) or f.ends_at is not null and f.waiting = '[]'
          or jsonb_array_length(f.waiting) < $5 and exists (
            select from (select l.brand_id, l.n from ledger l where (l.brand_id, l.n) > (f.brand_id, f.position)
                          order by l.brand_id, l.n limit 1) next
             where next.brand_id = f.brand_id and next.n <= least(closed.n, f.ends_at)))
   order by f.lease_until nulls first limit $4 for update of f skip locked
)
update feed f set owner = $2, lease_until = coalesce($1, statement_timestamp()) + $3::interval
  from ready, subscription s
 where f.feed_id = ready.feed_id and s.subscription_id = f.subscription_id
returning f.feed_id, f.subscription_id, f.brand_id, f.position, f.ends_at, f.since, f.until, f.waiting, f.failures,
  s.url, s.events, s.secrets, s.failing_since is not null as is_failing,
  (select n from closed) as closed, coalesce($1, statement_timestamp()) as clock;

-- name: news
-- The next entries that a feed wants to hear of, out of a stretch that is closed.
select l.n, l.at, l.event, l.details, l.message_id, m.channel, m.template_key, m.hipaa
  from ledger l left join message m on m.bucket = l.bucket and m.id = l.message_id
 where l.brand_id = $1 and l.n > $2 and l.n <= $3 and l.event = any($4::text[])
   and ($5::timestamptz is null or l.at >= $5) and ($6::timestamptz is null or l.at < $6)
 order by l.n limit $7;

-- name: again
-- Entries that waited.
select l.n, l.at, l.event, l.details, l.message_id, m.channel, m.template_key, m.hipaa
  from ledger l left join message m on m.bucket = l.bucket and m.id = l.message_id
 where l.brand_id = $1 and l.n = any($2::bigint[]) order by l.n;

-- name: record
-- How far a feed has come, by whoever still holds it; a replay that has come to its end is over.
with held as (
  select feed_id, subscription_id from feed where feed_id = $2 and owner = $3 for update
), ended as (
  delete from feed f using held where f.feed_id = held.feed_id and f.ends_at <= $4 and $5::jsonb = '[]'
), moved as (
  update feed f set position = $4, waiting = $5, retry_at = $6, failures = $7, rest_until = $8,
         lease_until = case when $9 then coalesce($1, statement_timestamp()) + $10::interval end
    from held where f.feed_id = held.feed_id and (f.ends_at is null or f.ends_at > $4 or $5::jsonb <> '[]')
), told as (
  update subscription s
     set failing_since = case when $11 then null when $12::text is null then failing_since
                              else coalesce(failing_since, coalesce($1, statement_timestamp())) end,
         problem = case when $11 then null else coalesce($12, problem) end, missed = missed + $13
    from held where s.subscription_id = held.subscription_id
     and ($11 and s.failing_since is not null or $12::text is not null or $13 > 0)
)
select feed_id from held;

-- name: disable
-- The receiver says that it is gone for good.
with gone as (
  update subscription set disabled_at = coalesce($1, statement_timestamp()), disabled_reason = 'gone'
   where subscription_id = $2 and disabled_at is null returning subscription_id, brand_id
)
insert into ledger (bucket, brand_id, at, event, details)
select 0, brand_id, coalesce($1, statement_timestamp()), 'subscription_disabled',
       jsonb_build_object('subscription_id', subscription_id, 'reason', 'gone')
  from gone;

-- name: states
-- Of all brands, for operators.
select count(*) filter (where disabled_at is null and failing_since is null) as healthy,
       count(*) filter (where disabled_at is null and failing_since is not null) as failing,
       count(*) filter (where disabled_at is not null) as disabled
  from subscription;

-- name: ill
select subscription_id, brand_id, failing_since, disabled_at, missed, problem from subscription
 where disabled_reason = 'gone' or failing_since < coalesce($1, statement_timestamp()) - interval '15 minutes'
 order by brand_id, subscription_id limit 100;
