-- What an operator asks.

-- name: counts
select current_setting('server_version') as version,
  (select count(*) from worker where lease_until > statement_timestamp()) as workers,
  (select min(public_url) from worker where lease_until > statement_timestamp()) as public_url,
  (select count(*) from queue where state = 'scheduled' and due_at < statement_timestamp() - interval '1 minute') as overdue,
  (select count(*) from queue where state = 'sending' and lease_until < statement_timestamp() - interval '1 minute') as lapsed;

-- name: backlog
-- Asked at every scrape: each part is a bounded walk along an index, however long the queue is.
select
  (select count(*) from (select from queue where state = 'scheduled' and due_at <= coalesce($1, statement_timestamp())
    order by due_at limit 100000) as waiting) as due,
  (select count(*) from (select from queue where lease_until is not null limit 100000) as taken) as sending,
  greatest(0, extract(epoch from coalesce($1, statement_timestamp())
    - (select due_at from queue where state = 'scheduled' order by due_at limit 1)))::float8 as overdue;

-- name: unknown
-- Spelled as the index is.
select brand_id, count(*) as messages from queue where lower(state) = 'unknown' group by brand_id order by brand_id;

-- name: channels
-- What needs a route: a canary names its provider itself.
select distinct brand_id, channel from template t
 where current_version_id is not null
   and not exists (select from canary c where c.brand_id = t.brand_id and c.channel = t.channel and c.template_key = t.key)
 order by brand_id, channel;

-- name: refusable
-- Mail that a person must be able to refuse from where it is read.
select exists (select from template
                where channel = 'email' and category <> 'transactional' and current_version_id is not null);
