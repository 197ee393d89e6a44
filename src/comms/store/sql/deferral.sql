-- Messages that our own decision puts off to a time that it names: it was no attempt, and their lateness begins anew.

-- name: defer
-- defer: sending -> scheduled
with given as (
  select * from unnest($2::int[], $3::uuid[], $4::int[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::jsonb[])
    as g (bucket, id, attempt, reason, due_at, deadline, decision)
), moved as (
  update queue q
     set state = 'scheduled', owner = null, lease_until = null, due_at = g.due_at, deadline = g.deadline,
         uncounted = q.uncounted + 1
    from given g
   where q.bucket = g.bucket and q.id = g.id and q.state = 'sending' and q.owner = $9 and q.attempt = g.attempt
  returning g.*, q.brand_id
), done as (
  update message m set decision = g.decision from moved g where m.bucket = g.bucket and m.id = g.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details)
  select bucket, id, brand_id, coalesce($1, statement_timestamp()), 'deferred',
         jsonb_build_object('reason', reason, 'until', to_char(due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
    from moved
)
select id from moved;
