-- What became of a message's secure page. A row from the first touch on; what the page says is made of the message.

create table secure_page (
  bucket integer not null,
  message_id uuid not null,
  brand_id text not null,
  tries integer not null default 0,        -- wrong answers
  opened_at timestamptz,                   -- shown, once
  locked_at timestamptz,                   -- too many wrong answers
  recalled_at timestamptz,
  primary key (bucket, message_id)
);

grant select, insert, update on secure_page to comms_api;
grant select on secure_page to comms_engine;

alter table secure_page enable row level security;
create policy engine on secure_page to comms_engine using (true) with check (true);
create policy one_brand on secure_page to comms_api
  using (current_setting('comms.brand', true) in (brand_id, '*'))
  with check (current_setting('comms.brand', true) in (brand_id, '*'));
