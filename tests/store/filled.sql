-- Enough rows that the planner takes the tables for large ones. `:buckets` and `:messages` are replaced.
-- Message i lies in the i-th of the 64 buckets, counted round, as its id says; so does person i. Of a hundred messages
-- twenty have ended, two are due, one is being sent, one is unknown, and the others wait.

create schema made;

create function made.bucket(i bigint) returns integer immutable language sql as $$ select (array[:buckets])[i % 64 + 1] $$;
create function made.id(i bigint) returns uuid immutable language sql as $$
  select (lpad(to_hex(1700000000000 + i), 12, '0') || '7' || lpad(to_hex((i % 64) << 6), 3, '0') || '8' || lpad(to_hex(i), 15, '0'))::uuid $$;
create function made.template(i bigint) returns uuid immutable language sql as $$
  select ('00000000-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid $$;
create function made.hash(what text, i bigint) returns bytea immutable language sql as $$ select sha256(convert_to(what || i, 'UTF8')) $$;

insert into brand (brand_id, settings, created_at, updated_at) select 'brand-' || b, '{}', now(), now() from generate_series(0, 3) b;

insert into template (template_id, brand_id, key, channel, category, max_late, on_unknown, created_by, created_at, updated_at)
select made.template(t), 'brand-' || t % 4, 'key-' || t, 'sms', 'reminder', 3600, 'prefer_silence', 'test', now(), now()
  from generate_series(0, 15) t;

insert into message (bucket, id, brand_id, kind, channel, template_key, template_id, version_id, hipaa, person_hash,
                     recipient_hash, address, variables, scheduled_at, zone, created_at, outcome, sent_at, decision, subject_hash)
select made.bucket(i), made.id(i), 'brand-' || i % 4, 'schedule', 'sms', 'key-' || i % 16, made.template(i % 16), made.id(0), false,
       made.hash('person', i % 6016), made.hash('recipient', i % 6016), sha256('address'), sha256('variables'),
       now() + i * interval '1 minute', case when i % 4 = 0 then 'Europe/Rome' end, now(), case when i % 100 < 20 then 'sent' end, case when i % 100 < 20 then now() end,
       case when i % 100 < 20 then '{"verdict": "send"}'::jsonb end, made.hash('subject', i)
  from generate_series(0, :messages - 1) i;

insert into queue (bucket, id, brand_id, template_id, due_at, deadline, state, owner, lease_until, attempt)
select made.bucket(i), made.id(i), 'brand-' || i % 4, made.template(i % 16),
       case when i % 100 < 22 then now() - interval '1 minute' else now() + interval '1 day' + i * interval '1 minute' end,
       now() + interval '2 days' + i * interval '1 minute', state, owner, lease_until, (state <> 'scheduled')::int
  from generate_series(0, :messages - 1) i,
       lateral (select case i % 100 when 22 then 'sending' when 23 then 'unknown' else 'scheduled' end as state) s,
       lateral (select case when state = 'sending' then made.id(0) end as owner,
                       case when state = 'sending' then now() + i * interval '1 second' end as lease_until) o
 where i % 100 >= 20;

insert into retention_later (bucket, id, brand_id, hipaa, since)
select bucket, id, brand_id, hipaa, created_at from message;

insert into secure_page (bucket, message_id, brand_id) select bucket, id, brand_id from message;

insert into dedup (bucket, brand_id, key_hash, message_id, kind, fingerprint)
select bucket, brand_id, sha256(uuid_send(id)), id, kind, sha256('fingerprint') from message;

insert into delivery (bucket, message_id, n, brand_id, provider_id, payload, attempt, begun_at, outcome, ended_at)
select made.bucket(i), made.id(i), 0, 'brand-' || i % 4, 'sandbox', sha256('payload'), 1, now(),
       case when i % 100 < 20 then 'accepted' end, case when i % 100 < 20 then now() end
  from generate_series(0, :messages - 1) i where i % 100 < 20 or i % 100 in (22, 23);

insert into ledger (bucket, message_id, brand_id, at, event, actor)
select bucket, id, brand_id, created_at, event, 'test'
  from message cross join unnest(array['accepted', 'claimed', 'attempted']) event;

insert into audit_link (link, last_n, entries, marks, hash, closed_at)
select i, i * 3, 3, sha256('marks'), sha256('hash'), now() + i * interval '1 second' from generate_series(1, :messages - 10) i;

create temp table someone as
select i, made.bucket(i) as bucket, made.id(i) as id, 'brand-' || i % 4 as brand_id, made.hash('person', i) as person_hash
  from generate_series(0, 6015) i;

insert into person_key (bucket, brand_id, person_hash, wrapped, created_at, generation, epoch, destroyed_at)
select bucket, brand_id, person_hash, case when i % 50 > 0 then sha256('wrapped') end, now() - i * interval '1 hour', 1, i % 9 + 1,
       case when i % 50 = 0 then now() - i * interval '1 hour' end from someone;
insert into person (bucket, id, brand_id, person_hash, timezone, created_at, changed_at)
select bucket, id, brand_id, person_hash, 'Europe/Rome', now(), now() from someone;
insert into cap_use (bucket, brand_id, person_hash, version, sent) select bucket, brand_id, person_hash, 1, '[]' from someone;
insert into consent (bucket, id, brand_id, person_hash, channel, category, opted_in, content, created_at, changed_at)
select bucket, id, brand_id, person_hash, 'sms', 'reminder', true, sha256('content'), now(), now() from someone;
insert into preference (bucket, id, brand_id, person_hash, channel, category, enabled, content, created_at, changed_at)
select bucket, id, brand_id, person_hash, 'sms', 'reminder', true, sha256('content'), now(), now() from someone;
insert into suppression (bucket, id, brand_id, channel, address_hash, reason, content, suppressed_at, lifted_at)
select bucket, id, brand_id, 'sms', person_hash, 'stop', sha256('content'), now(), case when i % 2 = 0 then now() end from someone;
insert into fact (bucket, id, brand_id, value_hash, content, changed_at)
select bucket, id, brand_id, person_hash, sha256('content'), now() from someone;
insert into device (device_id, brand_id, person_hash, kind, content, created_at, registered_at)
select id, brand_id, person_hash, 'fcm', sha256('content'), now(), now() from someone;
insert into inbox_item (bucket, id, brand_id, person_hash, category, content, created_at, read_at)
select bucket, id, brand_id, person_hash, 'reminder', sha256('content'), now(), sent_at from message;
insert into sandbox_item (bucket, brand_id, message_id, provider_id, channel, content, received_at)
select bucket, brand_id, id, 'sandbox', channel, sha256('content'), now() from message;
insert into provider_event (bucket, provider_id, event_hash, heard_at)
select bucket, 'vendor', sha256(uuid_send(id)), now() from message;
insert into delivery_reference (bucket, provider_id, reference, message_id, n)
select bucket, 'vendor', id::text, id, 0 from message;

drop table someone;
analyze;
