-- What providers say of messages after they took them.

-- name: keep
-- Those that were not known yet; whoever comes second waits, and finds them known.
-- Sorted, so that two calls with the same events do not embrace.
insert into provider_event (bucket, provider_id, event_hash, heard_at)
select g.bucket, $3, g.event_hash, $4 from unnest($1::int[], $2::bytea[]) as g (bucket, event_hash)
 order by g.bucket, g.event_hash
on conflict do nothing
returning event_hash;

-- name: refer
-- What a provider calls a delivery whose events will carry nothing else.
insert into delivery_reference (bucket, provider_id, reference, message_id, n)
select * from unnest($1::int[], $2::text[], $3::text[], $4::uuid[], $5::int[]) order by 1, 2, 3
on conflict do nothing;

-- name: referred
select r.reference, r.message_id, r.n
  from unnest($1::int[], $3::text[]) as w (bucket, reference)
  join delivery_reference r on r.bucket = w.bucket and r.provider_id = $2 and r.reference = w.reference;

-- name: deliveries
-- What events are about, held until the transaction ends; nothing that this provider was never handed.
select d.bucket, d.message_id, d.n, d.brand_id, d.payload, d.begun_at, m.channel, m.hipaa, m.person_hash, m.address
  from unnest($1::int[], $2::uuid[], $3::int[]) as w (bucket, message_id, n)
  join delivery d on d.bucket = w.bucket and d.message_id = w.message_id and d.n = w.n
  join message m on m.bucket = w.bucket and m.id = w.message_id
 where d.provider_id = $4
    or exists (select from ledger l where l.bucket = w.bucket and l.message_id = w.message_id
                and l.event = 'attempted' and l.details ->> 'provider_id' = $4)
 order by d.bucket, d.message_id, d.n for update of d;

-- name: note
insert into ledger (bucket, message_id, brand_id, at, event, details)
select bucket, message_id, brand_id, at, event, details
  from unnest($1::int[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::jsonb[]) with ordinality
    as g (bucket, message_id, brand_id, at, event, details, n)
 order by n;

-- name: hear
-- What is known of a delivery without its answer: taken outweighs refused, as somebody has it.
update delivery d set heard = g.heard, heard_reason = g.reason
  from unnest($1::int[], $2::uuid[], $3::int[], $4::text[], $5::text[]) as g (bucket, message_id, n, heard, reason)
 where d.bucket = g.bucket and d.message_id = g.message_id and d.n = g.n
   and (d.outcome is null or d.outcome not in ('accepted', 'rejected')) and d.heard is distinct from 'taken';

-- name: in_doubt
-- The deliveries of messages that are unknown, held until the transaction ends: who hears of one at this moment has
-- committed, or waits for us.
select d.bucket, d.message_id, d.provider_id, d.outcome, d.heard, d.heard_reason, d.doubts + (d.outcome is null)::int as doubts
  from unnest($1::int[], $2::uuid[]) as w (bucket, message_id)
  join delivery d on d.bucket = w.bucket and d.message_id = w.message_id
 where exists (select from queue q where q.bucket = w.bucket and q.id = w.message_id and q.state = 'unknown')
 order by d.bucket, d.message_id, d.n for update of d;

-- name: settle
-- settle_sent: unknown -> sent
-- settle_failed: unknown -> failed
with given as (
  select * from unnest($2::int[], $3::uuid[], $4::bool[], $5::text[], $6::text[]) as g (bucket, id, is_sent, reason, provider_id)
), gone as (
  delete from queue q using given g where q.bucket = g.bucket and q.id = g.id and q.state = 'unknown'
  returning g.*, q.brand_id
), done as (
  update message m
     set outcome = case when g.is_sent then 'sent' else 'failed' end,
         sent_at = case when g.is_sent then coalesce($1, statement_timestamp()) end,
         failure_reason = g.reason,
         provider_id = coalesce(g.provider_id, m.provider_id)
    from gone g where m.bucket = g.bucket and m.id = g.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details)
  select bucket, id, brand_id, coalesce($1, statement_timestamp()), 'settled',
         jsonb_build_object('outcome', case when is_sent then 'sent' else 'failed' end, 'provider_id', provider_id)
    from gone
)
select id from gone;
