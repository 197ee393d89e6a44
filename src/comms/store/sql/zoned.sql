-- Messages that were promised for a time on the wall: they move when a zone's rules change.

-- name: rules
select zone_rules from installation;

-- name: keep_rules
update installation set zone_rules = $1;

-- name: waiting
-- A window of what waits, whatever is in it. What was deferred or attempted stands at another time than the promised one,
-- and stays there.
select q.bucket, q.id, m.zone, m.wall, m.scheduled_at, m.zone is not null and q.due_at = m.scheduled_at as is_promised
  from (select bucket, id, due_at from queue where (bucket, id) > ($1, $2) and state = 'scheduled'
         order by bucket, id limit $3) q
  join message m on m.bucket = q.bucket and m.id = q.id
 order by q.bucket, q.id;

-- name: move
-- reschedule: scheduled -> scheduled
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::timestamptz[]) as g (bucket, id, was, instant)
), moved as (
  update queue q set due_at = g.instant, deadline = q.deadline + (g.instant - g.was)
    from given g
   where q.bucket = g.bucket and q.id = g.id and q.state = 'scheduled' and q.due_at = g.was
  returning q.bucket, q.id, q.brand_id, q.due_at
), done as (
  update message m set scheduled_at = moved.due_at from moved where m.bucket = moved.bucket and m.id = moved.id
)
insert into ledger (bucket, message_id, brand_id, at, event, details)
select bucket, id, brand_id, coalesce($5, statement_timestamp()), 'rescheduled', '{"reason": "zone_rules_changed"}'::jsonb
  from moved
returning message_id;
