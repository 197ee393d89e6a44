-- A message that replaces another, which must still wait.

-- name: supersede
-- cancel: scheduled -> cancelled
-- In the transaction that accepts the other one. Deleting the queue's row decides the race with a claim, a cancel and
-- another replacement: whoever locks it first. As for a cancel, what a provider may have taken can't be undone, and
-- deliveries are believed only where no attempt went by between the snapshot (`seen`) and the lock.
with held as (
  select q.bucket, q.id
    from queue q join queue seen on seen.bucket = q.bucket and seen.id = q.id and seen.attempt = q.attempt
   where q.bucket = $1 and q.id = $2 and q.state = 'scheduled'
     and not exists (select from delivery d where d.bucket = q.bucket and d.message_id = q.id
                        and (d.outcome is null or d.outcome = 'accepted' or d.doubts > 0))
   for update of q
), gone as (
  delete from queue q using held
   where q.bucket = held.bucket and q.id = held.id and q.state = 'scheduled' returning q.bucket, q.id, q.brand_id
), done as (
  update message m
     set outcome = 'cancelled', cancelled_at = coalesce($3, statement_timestamp()), failure_reason = 'superseded',
         decision = $4::jsonb || jsonb_build_object('decided_at', to_char(
           coalesce($3, statement_timestamp()) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
    from gone where m.bucket = gone.bucket and m.id = gone.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details, actor, request_id)
  select bucket, id, brand_id, coalesce($3, statement_timestamp()), 'cancelled',
         jsonb_build_object('reason', 'superseded', 'by', $5::uuid), $6, $7
    from gone
)
select id from gone;
