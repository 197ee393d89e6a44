-- When each worker was last heard of: what a silent one had not begun is given to others before its lease is over.

alter table worker add column heard_at timestamptz not null default now();
