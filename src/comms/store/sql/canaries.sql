-- Canaries. A row a provider, which the owner alone reads and writes; $1 is the time, null the database's own.

-- name: put
insert into canary (provider_id, canary_id, brand_id, channel, template_key, recipient, every, next_at)
values ($2, $3, $4, $5, $6, $7, $8, coalesce($1, statement_timestamp()))
on conflict (provider_id) do update
   set canary_id = excluded.canary_id, brand_id = excluded.brand_id, channel = excluded.channel,
       template_key = excluded.template_key, recipient = excluded.recipient, every = excluded.every,
       next_at = excluded.next_at, begun_at = null, message_id = null, settled = true, problem = null,
       well_at = null, sent_seconds = null, delivered_seconds = null, reports = false
returning *;

-- name: remove
delete from canary where provider_id = $1 returning 1;

-- name: all
-- `is_idle`: its time has come a minute ago, and nobody has begun one.
select *, next_at < coalesce($1, statement_timestamp()) - interval '1 minute' as is_idle from canary
 where $2::text is null or provider_id = $2
 order by provider_id;

-- name: unsettled
-- `age`: seconds since it was begun; `is_over`: the next one is to begin.
select *, extract(epoch from coalesce($1, statement_timestamp()) - begun_at)::float8 as age,
       next_at <= coalesce($1, statement_timestamp()) as is_over
  from canary where not settled and ($2::text is null or provider_id = $2);

-- name: begin
-- Those whose time has come, or ($2) this one: by one worker, however many look. What a day's outage left out is
-- not made up for.
with due as (
  select provider_id from canary
   where case when $2::text is null then next_at <= coalesce($1, statement_timestamp()) else provider_id = $2 end
   for update skip locked
)
update canary c
   set begun_at = coalesce($1, statement_timestamp()), next_at = coalesce($1, statement_timestamp()) + c.every,
       message_id = null, settled = false
  from due where c.provider_id = due.provider_id
returning c.*;

-- name: released
update canary set message_id = $3 where provider_id = $1 and begun_at = $2;

-- name: judged
-- What is known of the one that was begun then. $4: a problem's code; $5, $6: seconds until sent and delivered.
update canary
   set settled = $3, problem = $4, sent_seconds = $5, delivered_seconds = $6, reports = reports or $6::float8 is not null,
       well_at = case when $4::text is null then begun_at else well_at end
 where provider_id = $1 and begun_at = $2 and not settled;
