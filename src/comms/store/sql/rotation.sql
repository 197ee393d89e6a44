-- Keys are replaced: all that is sealed is read in windows along its primary key, and written anew where it is stale.
-- A window is bounded whatever is in it; content comes only of the brands that are asked for ($1). To write, rows are
-- locked without waiting: a row that is being changed is left for another round, and nobody waits for us in a circle.

-- name: live_keys
-- The brand's keys for sealing, oldest first; more than one: a rotation is under way.
select key_id, created_at from brand_key
 where brand_id = $1 and purpose = 'seal' and retired_at is null order by key_id for update;

-- name: retire
-- Older keys of the brand: the row stays and says when, the key does not.
update brand_key set retired_at = $3, wrapped = ''::bytea
 where brand_id = $1 and purpose = 'seal' and key_id < $2 and retired_at is null;

-- name: brands
select brand_id from brand order by brand_id;

-- name: status
-- Live keys for sealing of each brand.
select brand_id, array_agg(key_id order by key_id) as key_ids, min(created_at) as since from brand_key
 where purpose = 'seal' and retired_at is null group by brand_id order by brand_id;

-- name: try_lock
select pg_try_advisory_lock(hashtext('comms keys'));

-- name: unlock
select pg_advisory_unlock(hashtext('comms keys'));

-- name: estimate
-- How many rows there are about, as PostgreSQL last counted.
select coalesce(sum(greatest(reltuples, 0)), 0)::bigint from pg_class
 where oid in ('message'::regclass, 'delivery'::regclass, 'inbox_item'::regclass, 'sandbox_item'::regclass,
               'device'::regclass, 'consent'::regclass, 'preference'::regclass, 'suppression'::regclass, 'fact'::regclass,
               'subscription'::regclass, 'canary'::regclass, 'token'::regclass);

-- name: read_message
select bucket, id, brand_id, person_hash, case when brand_id = any ($1::text[]) then address end as address,
       case when brand_id = any ($1::text[]) then variables end as variables,
       case when brand_id = any ($1::text[]) then options end as options
  from message where (bucket, id) > ($2, $3) order by bucket, id limit $4;

-- name: write_message
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[])
    as g (bucket, id, was_address, address, was_variables, variables, was_options, options)
), free as (
  select m.bucket, m.id from message m join given g using (bucket, id)
   where m.address = g.was_address and m.variables = g.was_variables
     and m.options is not distinct from g.was_options for update of m skip locked
)
update message m set address = g.address, variables = g.variables, options = g.options
  from given g join free using (bucket, id) where m.bucket = g.bucket and m.id = g.id
returning 1;

-- name: read_delivery
select d.bucket, d.message_id, d.n, d.brand_id, m.person_hash,
       case when d.brand_id = any ($1::text[]) then d.payload end as payload
  from (select * from delivery where (bucket, message_id, n) > ($2, $3, $4) order by bucket, message_id, n limit $5) d
  left join message m on m.bucket = d.bucket and m.id = d.message_id
 order by d.bucket, d.message_id, d.n;

-- name: write_delivery
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::int[], $4::bytea[], $5::bytea[])
    as g (bucket, message_id, n, was, payload)
), free as (
  select d.bucket, d.message_id, d.n from delivery d join given g using (bucket, message_id, n)
   where d.payload = g.was for update of d skip locked
)
update delivery d set payload = g.payload
  from given g join free using (bucket, message_id, n)
 where d.bucket = g.bucket and d.message_id = g.message_id and d.n = g.n
returning 1;

-- name: read_inbox_item
select bucket, id, brand_id, person_hash, case when brand_id = any ($1::text[]) then content end as content
  from inbox_item where (bucket, id) > ($2, $3) order by bucket, id limit $4;

-- name: write_inbox_item
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::bytea[], $4::bytea[]) as g (bucket, id, was, content)
), free as (
  select t.bucket, t.id from inbox_item t join given g using (bucket, id)
   where t.content = g.was for update of t skip locked
)
update inbox_item t set content = g.content
  from given g join free using (bucket, id) where t.bucket = g.bucket and t.id = g.id
returning 1;

-- name: read_sandbox_item
select s.bucket, s.n, s.message_id, s.brand_id, m.person_hash,
       case when s.brand_id = any ($1::text[]) then s.content end as content
  from (select * from sandbox_item where (bucket, n) > ($2, $3) order by bucket, n limit $4) s
  left join message m on m.bucket = s.bucket and m.id = s.message_id
 order by s.bucket, s.n;

-- name: write_sandbox_item
with given as (
  select * from unnest($1::int[], $2::bigint[], $3::bytea[], $4::bytea[]) as g (bucket, n, was, content)
), free as (
  select t.bucket, t.n from sandbox_item t join given g using (bucket, n)
   where t.content = g.was for update of t skip locked
)
update sandbox_item t set content = g.content
  from given g join free using (bucket, n) where t.bucket = g.bucket and t.n = g.n
returning 1;

-- name: read_device
select device_id, brand_id, person_hash, case when brand_id = any ($1::text[]) then content end as content
  from device where device_id > $2 order by device_id limit $3;

-- name: write_device
with given as (
  select * from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as g (device_id, was, content)
), free as (
  select t.device_id from device t join given g using (device_id)
   where t.content = g.was for update of t skip locked
)
update device t set content = g.content from given g join free using (device_id) where t.device_id = g.device_id
returning 1;

-- name: read_consent
select bucket, id, brand_id, person_hash, case when brand_id = any ($1::text[]) then content end as content
  from consent where (bucket, id) > ($2, $3) order by bucket, id limit $4;

-- name: write_consent
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::bytea[], $4::bytea[]) as g (bucket, id, was, content)
), free as (
  select t.bucket, t.id from consent t join given g using (bucket, id)
   where t.content = g.was for update of t skip locked
)
update consent t set content = g.content
  from given g join free using (bucket, id) where t.bucket = g.bucket and t.id = g.id
returning 1;

-- name: read_preference
select bucket, id, brand_id, person_hash, case when brand_id = any ($1::text[]) then content end as content
  from preference where (bucket, id) > ($2, $3) order by bucket, id limit $4;

-- name: write_preference
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::bytea[], $4::bytea[]) as g (bucket, id, was, content)
), free as (
  select t.bucket, t.id from preference t join given g using (bucket, id)
   where t.content = g.was for update of t skip locked
)
update preference t set content = g.content
  from given g join free using (bucket, id) where t.bucket = g.bucket and t.id = g.id
returning 1;

-- name: read_suppression
select bucket, id, brand_id, null::bytea as person_hash,
       case when brand_id = any ($1::text[]) then content end as content
  from suppression where (bucket, id) > ($2, $3) order by bucket, id limit $4;

-- name: write_suppression
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::bytea[], $4::bytea[]) as g (bucket, id, was, content)
), free as (
  select t.bucket, t.id from suppression t join given g using (bucket, id)
   where t.content = g.was for update of t skip locked
)
update suppression t set content = g.content
  from given g join free using (bucket, id) where t.bucket = g.bucket and t.id = g.id
returning 1;

-- name: read_fact
select bucket, id, brand_id, null::bytea as person_hash,
       case when brand_id = any ($1::text[]) then content end as content
  from fact where (bucket, id) > ($2, $3) order by bucket, id limit $4;

-- name: write_fact
with given as (
  select * from unnest($1::int[], $2::uuid[], $3::bytea[], $4::bytea[]) as g (bucket, id, was, content)
), free as (
  select t.bucket, t.id from fact t join given g using (bucket, id)
   where t.content = g.was for update of t skip locked
)
update fact t set content = g.content
  from given g join free using (bucket, id) where t.bucket = g.bucket and t.id = g.id
returning 1;

-- name: read_subscription
select subscription_id, brand_id, null::bytea as person_hash, case when brand_id = any ($1::text[]) then secrets end as secrets
  from subscription where subscription_id > $2 order by subscription_id limit $3;

-- name: write_subscription
with given as (
  select * from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as g (subscription_id, was, secrets)
), free as (
  select t.subscription_id from subscription t join given g using (subscription_id)
   where t.secrets = g.was for update of t skip locked
)
update subscription t set secrets = g.secrets
  from given g join free using (subscription_id) where t.subscription_id = g.subscription_id
returning 1;

-- name: read_canary
select canary_id, brand_id, null::bytea as person_hash, case when brand_id = any ($1::text[]) then recipient end as recipient
  from canary where canary_id > $2 order by canary_id limit $3;

-- name: write_canary
with given as (
  select * from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as g (canary_id, was, recipient)
), free as (
  select t.canary_id from canary t join given g using (canary_id)
   where t.recipient = g.was for update of t skip locked
)
update canary t set recipient = g.recipient
  from given g join free using (canary_id) where t.canary_id = g.canary_id
returning 1;

-- name: read_token
select token_id, brand_id, person_hash, case when brand_id = any ($1::text[]) then person end as person
  from token where token_id > $2 order by token_id limit $3;

-- name: write_token
with given as (
  select * from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as g (token_id, was, person)
), free as (
  select t.token_id from token t join given g using (token_id)
   where t.person = g.was for update of t skip locked
)
update token t set person = g.person from given g join free using (token_id) where t.token_id = g.token_id
returning 1;

-- name: brand_wrappings
select brand_id, purpose, key_id, wrapped from brand_key where retired_at is null order by brand_id, purpose, key_id;

-- name: rewrap_brand_key
update brand_key set wrapped = $5 where brand_id = $1 and purpose = $2 and key_id = $3 and wrapped = $4 returning 1;

-- name: provider_wrappings
select provider_id, secrets from provider where secrets is not null order by provider_id;

-- name: rewrap_provider
update provider set secrets = $3 where provider_id = $1 and secrets = $2 returning 1;

-- name: masters_persons
-- Secrets that the master key wraps itself, in windows.
select bucket, brand_id, person_hash, generation, epoch, wrapped from person_key
 where (bucket, brand_id, person_hash) > ($1, $2, $3) and wrapped is not null and epoch = 0
 order by bucket, brand_id, person_hash limit $4;

-- name: proof
select proof from installation;

-- name: put_proof
update installation set proof = $1;
