-- What ends with a person. The secret under which the content was sealed is destroyed in keys.sql.

-- name: recipients
-- Where the person was written to: an address a channel, each in one of the messages to it that still say it.
select distinct on (channel, recipient_hash) id, channel, address from message
 where brand_id = $1 and person_hash = $2 and address <> ''::bytea order by channel, recipient_hash;

-- name: forget
-- Devices, zone and language, what was counted, and what allowed: what forbids stays, without its source. Tokens are set-up, and end elsewhere.
with devices as (
  delete from device where brand_id = $2 and person_hash = $3
), known as (
  delete from person where bucket = $1 and brand_id = $2 and person_hash = $3
), counted as (
  delete from cap_use where bucket = $1 and brand_id = $2 and person_hash = $3
), consents as (
  delete from consent where bucket = $1 and brand_id = $2 and person_hash = $3 and opted_in
)
delete from preference where bucket = $1 and brand_id = $2 and person_hash = $3 and enabled;

-- name: empty
-- What was sealed before persons had keys (its first byte says so) is under the brand's, which stays.
with messages as (
  update message set address = ''::bytea, variables = ''::bytea, options = null
   where brand_id = $2 and person_hash = $3 and substr(address, 1, 1) = '\x01'::bytea
), payloads as (
  update delivery d set payload = ''::bytea from message m
   where m.brand_id = $2 and m.person_hash = $3 and d.bucket = m.bucket and d.message_id = m.id
     and substr(d.payload, 1, 1) = '\x01'::bytea
), kept as (
  update sandbox_item s set content = ''::bytea from message m
   where m.brand_id = $2 and m.person_hash = $3 and s.bucket = m.bucket and s.message_id = m.id
     and s.brand_id = $2 and substr(s.content, 1, 1) = '\x01'::bytea
), items as (
  update inbox_item set content = ''::bytea
   where brand_id = $2 and person_hash = $3 and substr(content, 1, 1) = '\x01'::bytea
), consents as (
  update consent set content = ''::bytea
   where bucket = $1 and brand_id = $2 and person_hash = $3 and substr(content, 1, 1) = '\x01'::bytea
)
update preference set content = ''::bytea
 where bucket = $1 and brand_id = $2 and person_hash = $3 and substr(content, 1, 1) = '\x01'::bytea;

-- name: empty_suppressions
-- The hash alone goes on: nothing is sent to the address, and nobody can read which it is. Those that stand and those
-- that were lifted are found by an index each.
with given as (
  select * from unnest($2::int[], $3::text[], $4::bytea[]) as g (bucket, channel, address_hash)
), lifted as (
  update suppression s set content = ''::bytea from given g
   where s.bucket = g.bucket and s.channel = g.channel and s.address_hash = g.address_hash and s.lifted_at is not null
     and s.brand_id = $1 and s.content <> ''::bytea
)
update suppression s set content = ''::bytea from given g
 where s.bucket = g.bucket and s.channel = g.channel and s.address_hash = g.address_hash and s.lifted_at is null
   and s.brand_id = $1 and s.content <> ''::bytea;

-- name: note
insert into ledger (bucket, brand_id, at, event, actor, request_id) values ($1, $2, $3, 'person_erased', $4, $5);

-- name: cancel
-- cancel: scheduled -> cancelled
-- A bite of what waits for the person: of the generations that are destroyed ($7), not of one that began since.
-- As for any cancel, not what a provider may have taken: a worker that meets that leaves it unknown.
with held as (
  select q.bucket, q.id from message m join queue q using (bucket, id)
    join queue seen on seen.bucket = q.bucket and seen.id = q.id and seen.attempt = q.attempt
   where m.brand_id = $1 and m.person_hash = $2 and m.outcome is null and q.state = 'scheduled'
     and not exists (select from delivery d where d.bucket = q.bucket and d.message_id = q.id
                        and (d.outcome is null or d.outcome = 'accepted' or d.doubts > 0))
     and (m.address = ''::bytea or get_byte(m.address, 3) * 256 + get_byte(m.address, 4) <= $7)
   order by q.bucket, q.id limit $6 for update of q
), gone as (
  delete from queue q using held
   where q.bucket = held.bucket and q.id = held.id and q.state = 'scheduled' returning q.bucket, q.id, q.brand_id
), done as (
  update message m set outcome = 'cancelled', cancelled_at = coalesce($3, statement_timestamp()),
         failure_reason = 'person_erased'
    from gone where m.bucket = gone.bucket and m.id = gone.id
), noted as (
  insert into ledger (bucket, message_id, brand_id, at, event, details, actor, request_id)
  select bucket, id, brand_id, coalesce($3, statement_timestamp()), 'cancelled', '{"reason": "person_erased"}'::jsonb, $4, $5
    from gone
)
select id from gone;

-- name: in_flight
-- Messages of those generations that a worker still holds: it may be calling a provider.
select count(*) from message m join queue q using (bucket, id)
 where m.brand_id = $1 and m.person_hash = $2 and m.outcome is null
   and (m.address = ''::bytea or get_byte(m.address, 3) * 256 + get_byte(m.address, 4) <= $4)
   and q.state = 'sending' and q.lease_until > coalesce($3, statement_timestamp());
