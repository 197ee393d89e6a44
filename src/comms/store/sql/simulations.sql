-- What waits, in the order in which it is due, for a look ahead. Read only; no hot statement: all buckets are asked.

-- name: of_brand
-- Along each template's own lane, so that other brands' messages are in nobody's way.
select m.id, m.channel, m.template_id, m.hipaa, m.person_hash, m.address, m.options, q.due_at, q.deadline,
       coalesce($3, statement_timestamp()) as clock
  from (select l.bucket, l.id, l.due_at, l.deadline
          from template t
         cross join lateral (
           select bucket, id, due_at, deadline from queue q
            where q.state = 'scheduled' and q.template_id = t.template_id and q.brand_id = $1 and q.due_at <= $2
            order by q.due_at limit $4) l
         where t.brand_id = $1
         order by l.due_at, l.id limit $4) q
  join message m using (bucket, id)
 order by q.due_at, m.id;

-- name: of_person
select m.id, m.channel, m.template_id, m.hipaa, m.person_hash, m.address, m.options, q.due_at, q.deadline,
       coalesce($3, statement_timestamp()) as clock
  from message m join queue q using (bucket, id)
 where m.brand_id = $1 and m.person_hash = $5 and m.outcome is null and q.state = 'scheduled' and q.due_at <= $2
 order by q.due_at, m.id limit $4;
