-- Accepting and reading messages.

-- name: accept
-- One statement for a whole group. Nothing comes back where the key is taken: the caller then
-- looks the winner up in a new statement, since this one's snapshot may be older than the winner
-- (one statement for both answered nothing in 62 % of raced requests).
-- The epoch: set-up that moved since the requests were checked refuses the group.
-- What shall go now is due by the database's clock ($30: a test's), not by that of the machine it came from.
-- A person's new secret comes with the first message that is sealed under it. A message whose person has
-- another secret by now, or none, is not written: nobody could read it. All secrets are written before the first
-- key is (`count(*)`), and in one order, so that groups that hold the same persons and keys do not embrace.
with setup as (
  select from installation where epoch = $1
), given as (
  select * from unnest($2::int[], $3::uuid[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::text[], $9::text[],
      $10::uuid[], $11::uuid[], $12::bool[], $13::bytea[], $14::bytea[], $15::bytea[], $16::bytea[], $17::timestamptz[],
      $18::text[], $19::timestamp[], $20::timestamptz[], $21::timestamptz[], $22::text[], $23::uuid[], $24::int[], $25::int[],
      $26::int[], $27::bytea[], $28::bytea[], $29::bytea[])
    as g (bucket, id, brand_id, kind, key_hash, fingerprint, channel, template_key,
      template_id, version_id, hipaa, person_hash, recipient_hash, address, variables, scheduled_at,
      zone, wall, deadline, created_at, actor, request_id, person_bucket, generation, key_epoch, wrapped, options, subject_hash)
  where exists (select from setup)
), made as (
  insert into person_key as k (bucket, brand_id, person_hash, generation, epoch, wrapped, created_at)
  select distinct on (person_bucket, brand_id, person_hash)
         person_bucket, brand_id, person_hash, generation, key_epoch, wrapped, created_at
    from given where wrapped is not null order by person_bucket, brand_id, person_hash
  on conflict (bucket, brand_id, person_hash) do update
     set generation = excluded.generation, epoch = excluded.epoch, wrapped = excluded.wrapped,
         created_at = excluded.created_at
   where k.wrapped is null and k.generation = excluded.generation - 1
  returning k.bucket, k.brand_id, k.person_hash, k.wrapped
), sealed as (
  select g.* from given g
   where (select count(*) from made) is not null
     and (exists (select from person_key k
                   where k.bucket = g.person_bucket and k.brand_id = g.brand_id and k.person_hash = g.person_hash
                     and k.generation = g.generation and k.wrapped = coalesce(g.wrapped, k.wrapped))
          or g.wrapped is not null and (g.person_bucket, g.brand_id, g.person_hash, g.wrapped) in (select * from made))
), fresh as (
  insert into dedup (bucket, brand_id, key_hash, message_id, kind, fingerprint)
  select bucket, brand_id, key_hash, id, kind, fingerprint from sealed
  on conflict do nothing
  returning bucket, message_id as id
), kept as (
  insert into message (bucket, id, brand_id, kind, channel, template_key, template_id, version_id, hipaa, person_hash,
      recipient_hash, address, variables, scheduled_at, zone, wall, created_at, options, subject_hash)
  select bucket, id, brand_id, kind, channel, template_key, template_id, version_id, hipaa, person_hash,
      recipient_hash, address, variables, scheduled_at, zone, wall, created_at, options, subject_hash
    from given join fresh using (bucket, id)
), queued as (
  insert into queue (bucket, id, brand_id, template_id, due_at, deadline)
  select bucket, id, brand_id, template_id,
         case kind when 'send' then coalesce($30, statement_timestamp()) else scheduled_at end, deadline
    from given join fresh using (bucket, id)
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, actor, request_id)
  select bucket, id, brand_id, created_at, 'accepted', actor, request_id from given join fresh using (bucket, id)
)
select fresh.id, true as current from fresh
union all
select null, false where not exists (select from setup);

-- name: find_dedup
-- Who holds this key.
select message_id, kind, fingerprint from dedup where bucket = $1 and brand_id = $2 and key_hash = $3;

-- name: get
-- A message as it stands now.
select * from message_now where bucket = $1 and id = $2;

-- name: list_scheduled
select * from message_now
 where brand_id = $1
   and ($2::text is null or status = $2)
   and ($3::bytea is null or person_hash = $3)
   and ($4::bytea is null or recipient_hash = $4)
   and ($5::text is null or channel = $5)
   and ($6::text is null or template_key = $6)
   and ($7::timestamptz is null or scheduled_at >= $7)
   and ($8::timestamptz is null or scheduled_at < $8)
   and ($9::uuid is null or id < $9)
   and ($10::uuid is null or id = $10)
   and ($11::bytea is null
        or (bucket, id) in (select s.bucket, s.id from message s where s.brand_id = $1 and s.subject_hash = $11))
 order by id desc
 limit $12;

-- name: open
-- What has not ended yet, newest first.
select id from message
 where brand_id = $1 and outcome is null
   and ($2::bytea is null or person_hash = $2)
   and ($3::text is null or template_key = $3)
   and ($4::text is null or channel = $4)
   and ($5::uuid is null or id < $5)
   and ($6::bytea is null or subject_hash = $6)
 order by id desc limit $7;

-- name: cancel
-- cancel: scheduled -> cancelled
-- Deleting the queue's row decides the race with a claim: whoever locks it first.
-- Locked in one order first, so that two who cancel the same messages do not embrace.
-- What a provider has taken or may have taken waits only to be asked again: it can't be undone. Deliveries are
-- seen as the snapshot has them, the locked row as it is now: where an attempt went by between the two
-- (`seen`), nobody here knows what it left.
with held as (
  select q.bucket, q.id
    from queue q join unnest($1::int[], $2::uuid[]) as w (bucket, id) using (bucket, id)
    join queue seen on seen.bucket = q.bucket and seen.id = q.id and seen.attempt = q.attempt
   where q.state = 'scheduled'
     and not exists (select from delivery d where d.bucket = q.bucket and d.message_id = q.id
                        and (d.outcome is null or d.outcome = 'accepted' or d.doubts > 0))
   order by q.bucket, q.id for update of q
), gone as (
  delete from queue q using held
   where q.bucket = held.bucket and q.id = held.id and q.state = 'scheduled' returning q.bucket, q.id, q.brand_id
), done as (
  update message m set outcome = 'cancelled', cancelled_at = coalesce($3, statement_timestamp())
    from gone where m.bucket = gone.bucket and m.id = gone.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, actor, request_id)
  select bucket, id, brand_id, coalesce($3, statement_timestamp()), 'cancelled', $4, $5 from gone
)
select id from gone;

-- name: lock_waiting
-- What a change rests on, held until the transaction ends.
select due_at, deadline from queue where bucket = $1 and id = $2 and state = 'scheduled' for update;

-- name: begun
-- Was it begun to be handed over once, and may somebody have taken it? Asked once the row is held: the statement
-- that waited for the lock would see deliveries as they were before.
select count(*) > 0 as is_frozen,
       coalesce(bool_or(outcome is null or outcome = 'accepted' or doubts > 0), false) as may_be_taken
  from delivery where bucket = $1 and message_id = $2;

-- name: reschedule
-- reschedule: scheduled -> scheduled
with moved as (
  update queue set due_at = $3, deadline = $4, revision = revision + 1
   where bucket = $1 and id = $2 and state = 'scheduled' returning bucket, id, brand_id, state
), done as (
  update message m set scheduled_at = $3, zone = $5, wall = $6, variables = $7, version_id = $8,
         revision = m.revision + 1
    from moved where m.bucket = moved.bucket and m.id = moved.id and moved.state = 'scheduled'
)
insert into ledger (bucket, message_id, brand_id, at, event, details, actor, request_id)
select bucket, id, brand_id, coalesce($9, statement_timestamp()), 'rescheduled', $10, $11, $12 from moved
returning message_id;

-- name: excuse_lateness
-- reschedule: scheduled -> scheduled
-- What a hold has made late is as if it were due now: it may be as late again as its template allows. Along each
-- template's lane, and no further than what a retry puts off: what waits far ahead is not late.
update queue q set deadline = coalesce($2, statement_timestamp()) + make_interval(secs => t.max_late)
  from template t
 where t.brand_id = $1 and q.template_id = t.template_id and q.state = 'scheduled'
   and q.due_at < coalesce($2, statement_timestamp()) + interval '1 day'
   and q.deadline < coalesce($2, statement_timestamp())
returning q.id;

-- name: settle_final
-- settle_sent: unknown -> sent
-- settle_failed: unknown -> failed
with gone as (
  delete from queue where bucket = $1 and id = $2 and state = 'unknown' returning bucket, id, brand_id
), done as (
  update message m set outcome = case when $3 then 'sent' else 'failed' end,
      sent_at = case when $3 then coalesce($4, statement_timestamp()) end,
      failure_reason = case when $3 then null else 'settled_as_failed' end
    from gone where m.bucket = gone.bucket and m.id = gone.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details, actor, request_id)
  select bucket, id, brand_id, coalesce($4, statement_timestamp()), 'settled', $5, $6, $7 from gone
)
select id from gone;

-- name: settle_retry
-- settle_retry: unknown -> scheduled
-- A person has looked: the doubt is gone, and only now could the message go ($7: the template's max_late).
with again as (
  update queue set state = 'scheduled', due_at = coalesce($3, statement_timestamp()),
         deadline = greatest(deadline, coalesce($3, statement_timestamp()) + $7::interval)
   where bucket = $1 and id = $2 and state = 'unknown' returning bucket, id, brand_id
), reopened as (
  update delivery d set outcome = 'try_later', doubts = 0, heard = null
    from again where d.bucket = again.bucket and d.message_id = again.id
     and (d.outcome is null or d.outcome not in ('accepted', 'rejected'))
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details, actor, request_id)
  select bucket, id, brand_id, coalesce($3, statement_timestamp()), 'settled', $4, $5, $6 from again
)
select id from again;

-- name: options
select options from message where bucket = $1 and id = $2;

-- name: timeline
select at, event, details from ledger where bucket = $1 and message_id = $2 order by n;
