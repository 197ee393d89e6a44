-- Canaries: messages of our own through each provider, so that we hear of an illness before a person does.

create table canary (                      -- one row a provider that has one
  provider_id text primary key references provider on delete cascade,
  canary_id uuid not null unique,
  brand_id text not null references brand,
  channel text not null,
  template_key text not null,
  recipient bytea not null,                -- sealed under the brand's key
  every interval not null,
  next_at timestamptz not null,
  begun_at timestamptz,                    -- the last one, and where it is found
  message_id uuid,
  settled boolean not null default true,   -- nothing more is expected of it
  problem text,                            -- a code; null: it went well, or nothing is known yet
  well_at timestamptz,                     -- when one was found to have gone well, last
  sent_seconds float8,                     -- from its beginning
  delivered_seconds float8,
  reports boolean not null default false   -- the provider has said of one that it was delivered: it is expected to
);
alter table canary enable row level security;

alter table worker add column public_url text;  -- as its own environment says, which an operator's shell may not
