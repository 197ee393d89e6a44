-- What the judgement on a message rests on besides consent: the person's zone, facts that callers keep, what was
-- sent to the person lately; and what a message may say of itself in `options`.

create table person (                      -- what is known of a person; nothing where nothing was said
  bucket integer not null,
  id uuid not null,                        -- from a keyed hash of the person's id
  brand_id text not null,
  person_hash bytea not null,
  timezone text,                           -- in the clear: a zone or a language is shared by millions, and
  locale text,                             -- explanations show them
  created_at timestamptz not null,
  changed_at timestamptz not null,
  primary key (bucket, brand_id, person_hash)
);

create table fact (                        -- what a caller says is so, under a name; `send_if` asks for it
  bucket integer not null,
  id uuid not null,                        -- from a keyed hash of the name
  brand_id text not null,
  value_hash bytea not null,               -- keyed, of name and value: compared without opening
  content bytea not null,                  -- sealed: name, value
  changed_at timestamptz not null,
  primary key (bucket, id)
);

create table cap_use (                     -- what was sent to a person lately; only of brands with caps
  bucket integer not null,
  brand_id text not null,
  person_hash bytea not null,
  version integer not null,                -- whoever writes has seen the one before: nobody passes a cap twice
  sent jsonb not null,                     -- newest first: [message id, time, channel, category]
  primary key (bucket, brand_id, person_hash)
) with (fillfactor = 70);

alter table message add column options bytea;        -- sealed; null: none were given
alter table message add column subject_hash bytea;   -- what the message is about, as a keyed hash
create index message_subject on message (brand_id, subject_hash) where subject_hash is not null;

-- So far limits meant nothing, and quiet hours that begin when they end say nothing.
update brand set settings = settings - 'limits' where settings ? 'limits';
update brand set settings = settings - 'quiet_hours' where settings #>> '{quiet_hours,start}' = settings #>> '{quiet_hours,end}';

grant select on person, fact, cap_use to comms_api, comms_engine;
grant insert, update, delete on person, fact to comms_api;
grant update, delete on cap_use to comms_api;
grant insert, update on cap_use to comms_engine;

do $$
declare held text;
begin
  foreach held in array array['person', 'fact', 'cap_use'] loop
    execute format('alter table %I enable row level security', held);
    execute format('create policy engine on %I to comms_engine using (true) with check (true)', held);
    execute format($p$create policy one_brand on %I to comms_api
      using (current_setting('comms.brand', true) in (brand_id, '*'))
      with check (current_setting('comms.brand', true) in (brand_id, '*'))$p$, held);
  end loop;
end $$;
