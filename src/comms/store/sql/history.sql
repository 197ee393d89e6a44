-- Whether this is the history that its workers remember; where it is not, nothing is sent until somebody has said so.
-- Where a time is given it is a test's; null means the database's own.

-- name: state
select installation_id, history as cleared, comms_history() as history, paused_at, paused_reason, resumed_at, other_since
  from installation;

-- name: witnessed
select beat from witness where witness_id = $1;

-- name: missing
-- Marks that were acknowledged and are not there: neither they nor anything later.
select count(*) from unnest($1::int[], $2::uuid[], $3::int[], $4::int[]) as g (bucket, id, n, attempt)
 where not exists (select from delivery d where d.bucket = g.bucket and d.message_id = g.id and d.n = g.n and d.attempt >= g.attempt)
   and not exists (select from message m where m.bucket = g.bucket and m.id = g.id and m.outcome is not null);

-- name: notice
update installation set other = $1, other_since = statement_timestamp()
 where history <> $1 and other is distinct from $1;

-- name: clear
-- Somebody who remembers has found it all here, and so has everybody else, or has been silent for as long as $2.
update installation i set history = $1, other = null, other_since = null
 where history <> $1 and other = $1 and paused_at is null
   and exists (select from worker w where w.history = $1 and w.vouches)
   and (other_since < statement_timestamp() - $2::interval
        or not exists (select from worker w where w.history is distinct from $1))
returning true;

-- name: is_unvouched
-- Has it been met for longer than $2, and nobody remembers anything?
select exists (select from installation where history <> $1 and other = $1 and paused_at is null
                  and other_since < statement_timestamp() - $2::interval)
   and not exists (select from worker where history = $1 and vouches);

-- name: pause
with done as (
  update installation set paused_at = coalesce($4, statement_timestamp()), paused_reason = $1 where paused_at is null returning paused_at
)
insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
select 0, '*', paused_at, 'sending_paused', jsonb_build_object('reason', $1::text), $2, $3 from done
returning at;

-- name: resume
with done as (
  update installation set paused_at = null, paused_reason = null, history = comms_history(), other = null, other_since = null,
         resumed_at = statement_timestamp() where paused_at is not null returning 1
)
insert into ledger (bucket, brand_id, at, event, details, actor, request_id)
select 0, '*', coalesce($4, statement_timestamp()), 'sending_resumed', $1, $2, $3 from done
returning at;

-- name: doubtful
-- What was due before sending was paused, and may have been sent in the history that is lost.
select q.brand_id, t.template_id, t.key, t.channel, t.max_late, count(*) as messages,
       extract(epoch from max(coalesce($1, statement_timestamp()) - q.due_at))::float8 as behind
  from queue q join template t using (template_id), installation i
 where q.state = 'scheduled' and q.due_at <= i.paused_at
 group by q.brand_id, t.template_id, t.key, t.channel, t.max_late order by q.brand_id, t.key, t.channel;

-- name: claimed
select count(*) from queue where state = 'sending' and lease_until is not null;

-- name: give_up
-- expire: scheduled -> expired
-- A bite of what is doubtful, of these templates. What was begun in this history is left to a worker: it knows more.
with late as (
  select q.bucket, q.id from queue q, installation i
   where q.state = 'scheduled' and q.due_at <= i.paused_at and q.template_id = any ($1::uuid[])
     and not exists (select from delivery d where d.bucket = q.bucket and d.message_id = q.id
                        and (d.outcome is null or d.outcome = 'accepted' or d.doubts > 0))
   order by q.due_at limit $4 for update of q skip locked
), gone as (
  delete from queue q using late where q.bucket = late.bucket and q.id = late.id and q.state = 'scheduled'
  returning q.bucket, q.id, q.brand_id
), done as (
  update message m set outcome = 'expired', failure_reason = 'may_have_been_sent', decision = null
    from gone where m.bucket = gone.bucket and m.id = gone.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details, actor, request_id)
  select bucket, id, brand_id, coalesce($5, statement_timestamp()), 'expired', '{"reason": "may_have_been_sent"}'::jsonb, $2, $3 from gone
)
select id from gone;
