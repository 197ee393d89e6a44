-- Secure pages: what a message shows behind its link, to whom it is shown once.

-- name: message
-- What the page is made of, and what became of it.
select m.bucket, m.id, m.brand_id, m.channel, m.template_id, m.version_id, m.person_hash, m.address, m.variables, m.options,
       p.opened_at, p.locked_at, p.recalled_at
  from message m left join secure_page p on p.bucket = m.bucket and p.message_id = m.id
 where m.bucket = $1 and m.id = $2;

-- name: hold
-- The page's row, made where there is none, and held until the transaction ends: of many tries at once each
-- sees what the ones before it did.
insert into secure_page (bucket, message_id, brand_id) values ($1, $2, $3)
on conflict (bucket, message_id) do update set tries = secure_page.tries
returning tries, opened_at, locked_at, recalled_at;

-- name: record
update secure_page set tries = $3, opened_at = $4, locked_at = $5, recalled_at = $6 where bucket = $1 and message_id = $2;
