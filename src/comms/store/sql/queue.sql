-- The door for time: claiming what is due, marking what is being handed over, recording how it ended.
-- What each provider said is recorded with what it means for the message, in one statement: `answered` is
-- fenced by the attempt, since a newer one has its own answer.
-- States are spelled out: as parameters they lose the partial index (0.09 ms against 67.6 ms at 400,000 rows).
-- $1 is the time: null means the database's own clock, which decides outside of tests.

-- name: peek
-- The next due time of a brand that is not held, and the database's clock beside it. From a bound on, as for a claim:
-- past 100,000 rows that a held snapshot keeps at the head it took 48 ms.
select statement_timestamp() as clock,
  (select due_at from queue where state = 'scheduled' and brand_id <> all ($1::text[]) and due_at >= $2
    order by due_at limit 1) as due_at;

-- name: claim
-- claim: scheduled -> sending
-- Nothing while sending is paused, in a history that nobody has vouched for, or in one that lacks what this worker ($5)
-- knows to be there ($8): looked at here, since the server may be another one than a moment ago.
-- Oldest first, from a lower bound: without it a held snapshot makes every claim wade through the
-- dead rows at the head (14,080 claims/s fell to 2,204; with the bound 14,881).
with due as (
  select bucket, id from queue
   where state = 'scheduled'
     and due_at <= coalesce($1, statement_timestamp()) + $2::interval and due_at >= $3
     and brand_id <> all ($7::text[])
     and exists (select from installation i join worker w on w.owner = $5
                  where i.paused_at is null and i.history = comms_history() and w.beat >= $8)
   order by due_at limit $4
   for update skip locked
), claimed as (
  update queue q
     set state = 'sending', attempt = attempt + 1, owner = $5,
         lease_until = coalesce($1, statement_timestamp()) + $6::interval
    from due where q.bucket = due.bucket and q.id = due.id
  returning q.*
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details)
  select bucket, id, brand_id, coalesce($1, statement_timestamp()), 'claimed',
         jsonb_build_object('attempt', attempt - uncounted)
    from claimed
)
select m.bucket, m.id, m.brand_id, m.channel, m.template_id, m.version_id, m.hipaa, m.person_hash, m.address, m.variables, m.options,
       m.scheduled_at, c.due_at, c.deadline, c.attempt, c.uncounted, statement_timestamp() as clock, c.revision <> m.revision as is_stale
  from claimed c join message m using (bucket, id);

-- name: lanes
-- Of each template the oldest that waits, one index probe each: as many brands as there are, and however much of one.
select t.template_id, t.brand_id, t.channel, t.key, head.due_at, head.deadline, statement_timestamp() as clock
  from template t
 cross join lateral (select due_at, deadline from queue q where q.state = 'scheduled' and q.template_id = t.template_id
                      order by due_at limit 1) head
 where t.brand_id <> all ($1::text[]);

-- name: claim_portions
-- claim: scheduled -> sending
-- As `claim`, of each template so many ($7 ... $10: template, from when on, before when, at most).
with due as (
  select d.bucket, d.id
    from unnest($7::uuid[], $8::timestamptz[], $9::timestamptz[], $10::int[]) as portion (template_id, since, before, most)
   cross join lateral (
     select bucket, id from queue q
      where q.state = 'scheduled' and q.template_id = portion.template_id
        and q.due_at >= portion.since and q.due_at < portion.before
        and q.due_at <= coalesce($1, statement_timestamp()) + $2::interval and q.brand_id <> all ($6::text[])
      order by q.due_at limit portion.most
      for update skip locked) d
   where exists (select from installation i join worker w on w.owner = $4
                  where i.paused_at is null and i.history = comms_history() and w.beat >= $11)
   limit $3
), claimed as (
  update queue q
     set state = 'sending', attempt = attempt + 1, owner = $4,
         lease_until = coalesce($1, statement_timestamp()) + $5::interval
    from due where q.bucket = due.bucket and q.id = due.id
  returning q.*
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details)
  select bucket, id, brand_id, coalesce($1, statement_timestamp()), 'claimed', jsonb_build_object('attempt', attempt - uncounted)
    from claimed
)
select m.bucket, m.id, m.brand_id, m.channel, m.template_id, m.version_id, m.hipaa, m.person_hash, m.address, m.variables, m.options,
       m.scheduled_at, c.due_at, c.deadline, c.attempt, c.uncounted, statement_timestamp() as clock, c.revision <> m.revision as is_stale
  from claimed c join message m using (bucket, id);

-- name: content
-- What a claim saw in an old snapshot, read again.
select id, version_id, variables from message where bucket = $1 and id = $2;

-- name: frozen
-- What earlier attempts froze, and how they ended: the same bytes go out again.
select message_id, n, provider_id, payload, outcome, reason, reference, heard, doubts + (outcome is null)::int as doubts
  from delivery
 where (bucket, message_id) in (select * from unnest($1::int[], $2::uuid[]))
 order by message_id, n;

-- name: freeze
-- The durable mark between claimed and being handed over. Only a claim that is still ours is marked.
-- A mark that is found without an outcome is a call whose answer never came: one doubt more.
-- The claim's row is held meanwhile: it is given to nobody else between the look and the mark. In one order, so that
-- two who hold the same rows do not embrace.
with given as (
  select * from unnest($2::int[], $3::uuid[], $4::int[], $5::text[], $6::bytea[], $7::int[])
    as g (bucket, message_id, n, provider_id, payload, attempt)
), held as (
  select q.bucket, q.id, q.attempt, q.brand_id, q.uncounted from queue q
   where (q.bucket, q.id) in (select bucket, message_id from given) and q.state = 'sending' and q.owner = $8
   order by q.bucket, q.id for no key update
), ours as (
  select g.*, h.brand_id, h.uncounted
    from given g join held h on h.bucket = g.bucket and h.id = g.message_id and h.attempt = g.attempt
), marked as (
  insert into delivery as d (bucket, message_id, n, brand_id, provider_id, payload, attempt, begun_at)
  select bucket, message_id, n, brand_id, provider_id, payload, attempt, coalesce($1, statement_timestamp()) from ours
  on conflict (bucket, message_id, n) do update
     set attempt = excluded.attempt, begun_at = excluded.begun_at, provider_id = excluded.provider_id,
         doubts = d.doubts + (d.outcome is null and d.attempt < excluded.attempt)::int,
         outcome = null, reason = null, ended_at = null
  returning d.bucket, d.message_id, d.n, d.brand_id, d.provider_id, d.attempt
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details)
  select m.bucket, m.message_id, m.brand_id, coalesce($1, statement_timestamp()), 'attempted',
         jsonb_build_object('attempt', m.attempt - o.uncounted, 'provider_id', m.provider_id)
    from marked m join ours o using (bucket, message_id, n)
)
select message_id, n from marked;

-- name: finish
-- accept: sending -> sent
-- accept: unknown -> sent
-- reject: sending -> failed
-- reject: unknown -> failed
-- suppress: sending -> suppressed
-- expire: sending -> expired
-- Finish only what is still ours. What another has given up for unknown is mended by the answer, if
-- it arrives after all and no further attempt has begun.
with given as (
  select * from unnest($2::int[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::jsonb[])
    as g (bucket, id, attempt, event, reason, provider_id, decision)
), gone as (
  delete from queue q using given g
   where q.bucket = g.bucket and q.id = g.id and q.attempt = g.attempt
     and (q.state = 'sending' and q.owner = $9 or q.state = 'unknown' and g.event in ('accept', 'reject'))
  returning g.*, q.brand_id, q.uncounted
), answered as (
  update delivery d
     set outcome = a.outcome, reason = a.reason, reference = coalesce(a.reference, d.reference),
         doubts = d.doubts + (a.outcome = 'lost')::int,
         provider_id = a.provider_id, ended_at = coalesce($1, statement_timestamp())
    from unnest($10::int[], $11::uuid[], $12::int[], $13::int[], $14::text[], $15::text[], $16::text[], $17::text[])
      as a (bucket, message_id, n, attempt, outcome, reason, reference, provider_id)
   where d.bucket = a.bucket and d.message_id = a.message_id and d.n = a.n and d.attempt = a.attempt
), done as (
  update message m
     set outcome = case g.event when 'accept' then 'sent' when 'reject' then 'failed'
                                when 'suppress' then 'suppressed' when 'expire' then 'expired' end,
         sent_at = case g.event when 'accept' then coalesce($1, statement_timestamp()) end,
         failure_reason = g.reason, provider_id = coalesce(g.provider_id, m.provider_id), decision = g.decision
    from gone g where m.bucket = g.bucket and m.id = g.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details)
  select bucket, id, brand_id, coalesce($1, statement_timestamp()),
         case event when 'accept' then 'sent' when 'reject' then 'failed'
                    when 'suppress' then 'suppressed' when 'expire' then 'expired' end,
         jsonb_strip_nulls(jsonb_build_object('attempt', attempt - uncounted, 'provider_id', provider_id, 'reason', reason))
    from gone
)
select id from gone;

-- name: wait_again
-- retry: sending -> scheduled
-- defer: sending -> scheduled
-- hold: sending -> scheduled
-- What does not count came to no call, through no fault of its own: it keeps its place unless it shall wait.
with given as (
  select * from unnest($2::int[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::interval[], $8::jsonb[], $9::bool[])
    as g (bucket, id, attempt, event, reason, delay, decision, counts)
), moved as (
  update queue q
     set state = 'scheduled', owner = null, lease_until = null, uncounted = uncounted + (not g.counts)::int,
         due_at = case when g.counts or g.delay > interval '0' then coalesce($1, statement_timestamp()) + g.delay
                       else q.due_at end
    from given g
   where q.bucket = g.bucket and q.id = g.id and q.state = 'sending' and q.owner = $10 and q.attempt = g.attempt
  returning g.*, q.brand_id, q.uncounted, q.due_at
), answered as (
  update delivery d
     set outcome = a.outcome, reason = a.reason, reference = coalesce(a.reference, d.reference),
         doubts = d.doubts + (a.outcome = 'lost')::int,
         provider_id = a.provider_id, ended_at = coalesce($1, statement_timestamp())
    from unnest($11::int[], $12::uuid[], $13::int[], $14::int[], $15::text[], $16::text[], $17::text[], $18::text[])
      as a (bucket, message_id, n, attempt, outcome, reason, reference, provider_id)
   where d.bucket = a.bucket and d.message_id = a.message_id and d.n = a.n and d.attempt = a.attempt
), done as (
  update message m set decision = coalesce(g.decision, m.decision) from moved g where m.bucket = g.bucket and m.id = g.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details)
  select bucket, id, brand_id, coalesce($1, statement_timestamp()),
         case event when 'retry' then 'retried' when 'defer' then 'deferred' when 'hold' then 'held' end,
         jsonb_build_object('attempt', attempt - uncounted, 'reason', reason,
           'until', to_char(due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
    from moved
)
select id from moved;

-- name: lose
-- lose: sending -> unknown
with given as (
  select * from unnest($2::int[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::jsonb[])
    as g (bucket, id, attempt, reason, provider_id, decision)
), moved as (
  update queue q set state = 'unknown', owner = null, lease_until = null
    from given g
   where q.bucket = g.bucket and q.id = g.id and q.state = 'sending' and q.owner = $8 and q.attempt = g.attempt
  returning g.*, q.brand_id, q.uncounted
), answered as (
  update delivery d
     set outcome = a.outcome, reason = a.reason, reference = coalesce(a.reference, d.reference),
         doubts = d.doubts + (a.outcome = 'lost')::int,
         provider_id = a.provider_id, ended_at = coalesce($1, statement_timestamp())
    from unnest($9::int[], $10::uuid[], $11::int[], $12::int[], $13::text[], $14::text[], $15::text[], $16::text[])
      as a (bucket, message_id, n, attempt, outcome, reason, reference, provider_id)
   where d.bucket = a.bucket and d.message_id = a.message_id and d.n = a.n and d.attempt = a.attempt
), done as (
  update message m set provider_id = g.provider_id, decision = g.decision
    from moved g where m.bucket = g.bucket and m.id = g.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details)
  select bucket, id, brand_id, coalesce($1, statement_timestamp()), 'unknown',
         jsonb_build_object('attempt', attempt - uncounted, 'provider_id', provider_id, 'reason', reason)
    from moved
)
select id from moved;

-- name: lapsed
-- Claims whose lease is over, and what a worker that went silent ($3) has claimed and not begun, with what stands of
-- their deliveries; not those that we still see through ourselves ($2): our lease may be over, our answer is not.
select q.bucket, q.id, q.brand_id, q.attempt, q.uncounted, q.deadline, m.scheduled_at, m.template_id,
       coalesce(jsonb_agg(jsonb_build_object('outcome', d.outcome, 'provider_id', d.provider_id,
                                             'doubts', d.doubts + (d.outcome is null)::int))
                filter (where d.n is not null), '[]') as deliveries
  from queue q
  join message m on m.bucket = q.bucket and m.id = q.id
  left join delivery d on d.bucket = q.bucket and d.message_id = q.id
 where q.state = 'sending' and q.lease_until is not null and q.id <> all ($2::uuid[])
   and (q.lease_until < coalesce($1, statement_timestamp())
        or not exists (select from worker w where w.owner = q.owner and w.heard_at >= statement_timestamp() - $3::interval)
           and not exists (select from delivery b
                            where b.bucket = q.bucket and b.message_id = q.id and b.attempt = q.attempt))
 group by q.bucket, q.id, q.brand_id, q.attempt, q.uncounted, q.deadline, q.lease_until, m.scheduled_at, m.template_id
 order by q.lease_until
 limit 500;

-- name: hold_claim
-- No worker begins it while it is held: `freeze` waits, and then finds whose it is.
select from queue where bucket = $1 and id = $2 and state = 'sending' and attempt = $3 for update;

-- name: rescue
-- rescue: sending -> scheduled
-- A claim that is held by `hold_claim`, so that this statement sees every mark that was made of it.
-- $5: a pause, so that a message on which workers die does not take one after the other with it. While sending is
-- paused it stays due before the pause: what was being sent then is what may have been sent.
with again as (
  update queue set state = 'scheduled', owner = null, lease_until = null,
         due_at = greatest(due_at, least(coalesce($1, statement_timestamp()) + $5::interval,
                                         (select paused_at from installation)))
   where bucket = $2 and id = $3 and state = 'sending' and attempt = $4
     and (lease_until < coalesce($1, statement_timestamp())
          or not exists (select from delivery b where b.bucket = $2 and b.message_id = $3 and b.attempt = $4))
  returning bucket, id, brand_id, attempt - uncounted as attempt
)
insert into ledger (bucket, message_id, brand_id, at, event, details)
select bucket, id, brand_id, coalesce($1, statement_timestamp()), 'retried',
       jsonb_build_object('attempt', attempt, 'reason', 'worker_lost')
  from again
returning message_id;

-- name: lose_lapsed
-- lose: sending -> unknown
with gone as (
  update queue set state = 'unknown', owner = null, lease_until = null
   where bucket = $2 and id = $3 and state = 'sending' and attempt = $4
     and lease_until < coalesce($1, statement_timestamp())
  returning bucket, id, brand_id, attempt - uncounted as attempt
)
insert into ledger (bucket, message_id, brand_id, at, event, details)
select bucket, id, brand_id, coalesce($1, statement_timestamp()), 'unknown',
       jsonb_build_object('attempt', attempt, 'reason', 'worker_lost')
  from gone
returning message_id;

-- name: expire_waiting
-- expire: scheduled -> expired
-- What waited through an outage and is too late now: in bites, without claiming each. What was begun to be
-- handed over is left to a worker: somebody may have taken it. And so is what a brand's quiet hours may excuse. By
-- whole milliseconds, as what is kept is judged again. $2: the verdict's rule and reason, as they are explained.
with late as (
  select bucket, id, brand_id from queue q
   where state = 'scheduled' and due_at <= coalesce($1, statement_timestamp())
     and date_trunc('milliseconds', deadline) < date_trunc('milliseconds', coalesce($1, statement_timestamp()))
     and not exists (select from delivery d where d.bucket = q.bucket and d.message_id = q.id)
     and brand_id <> all ($3::text[])
     and not exists (select from brand b where b.brand_id = q.brand_id and b.settings ->> 'quiet_hours' is not null)
   order by due_at limit $4 for update of q skip locked
), gone as (
  delete from queue q using late where q.bucket = late.bucket and q.id = late.id
  returning q.bucket, q.id, q.brand_id, q.deadline
), done as (
  update message m
     set outcome = 'expired', failure_reason = 'expired',
         decision = $2::jsonb || jsonb_build_object('decided_at', to_char(
           coalesce($1, statement_timestamp()) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'facts', jsonb_build_array(jsonb_build_object(
           'kind', 'lateness', 'id', gone.id,
           'deadline', to_char(gone.deadline at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))))
    from gone where m.bucket = gone.bucket and m.id = gone.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details)
  select bucket, id, brand_id, coalesce($1, statement_timestamp()), 'expired', '{"reason": "expired"}'::jsonb from gone
)
select id from gone;
