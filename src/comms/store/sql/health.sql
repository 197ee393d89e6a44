-- What an operator asks.

-- name: counts
select current_setting('server_version') as version,
  (select count(*) from worker where lease_until > statement_timestamp()) as workers,
  (select count(*) from queue where state = 'scheduled' and due_at < statement_timestamp() - interval '1 minute') as overdue,
  (select count(*) from queue where state = 'sending' and lease_until < statement_timestamp() - interval '1 minute') as lapsed;

-- name: unknown
select brand_id, count(*) as messages from queue where state = 'unknown' group by brand_id order by brand_id;

-- name: channels
select distinct brand_id, channel from template where current_version_id is not null order by brand_id, channel;
