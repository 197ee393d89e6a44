-- The ledger closed, read and proved. Numbers are given out in the order in which entries are written, and
-- committed in another: an entry counts as there when no transaction that may hold a smaller number still writes.

-- name: written
-- How many numbers were given out. Asked before `writers`: whoever took one holds the table's lock by then.
select case when is_called then last_value else 0 end as n from ledger_n_seq;

-- name: writers
-- Transactions that may have written entries and have not ended.
select array_agg(virtualtransaction) from pg_locks
 where locktype = 'relation' and relation = 'ledger'::regclass and granted
   and database = (select oid from pg_database where datname = current_database())
   and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock');

-- name: closed
-- Up to where the ledger is closed.
select coalesce((select last_n from audit_link order by link desc limit 1), 0);

-- name: close
-- The next link, over at most $3 entries up to $2, once no transaction with one of them is left. Two who close
-- at a time make the same link: one of them stays.
with head as (
  select link, last_n, hash from audit_link order by link desc limit 1
), next as (
  select n from ledger where n > coalesce((select last_n from head), 0) and n <= $2 order by n limit $3
), settled as (
  select n, sha256(convert_to(line, 'UTF8')) as hash from ledger_line
   where n > coalesce((select last_n from head), 0) and n <= (select max(n) from next)
)
insert into audit_link (link, last_n, entries, marks, hash, closed_at)
select coalesce((select link from head), 0) + 1, max(n), count(*), string_agg(substr(hash, 1, 8), '' order by n),
       sha256(coalesce((select hash from head), '') || string_agg(hash, '' order by n)), coalesce($1, statement_timestamp())
  from settled having count(*) > 0
on conflict do nothing
returning last_n, entries;

-- name: closed_before
-- What was written by $1 at the latest stands after this entry.
select coalesce((select max(last_n) from audit_link where closed_at < $1), 0);

-- name: links
-- The next ones, in order.
select link, last_n, entries, marks, hash from audit_link where link > $1 order by link limit $2;

-- name: lines
select n, line from ledger_line where n > $1 and n <= $2 order by n;

-- name: unchained
select n, line from ledger_line where n > $1 order by n limit $2;

-- name: count_unchained
select count(*) from ledger
 where n > coalesce((select last_n from audit_link order by link desc limit 1), 0) and n <= $1;

-- name: first_unchained
-- When the first entry was written that is not chained yet.
select at from ledger where n > coalesce((select last_n from audit_link order by link desc limit 1), 0) order by n limit 1;

-- name: of_brand
-- A stretch of the ledger, newest first; null: any.
select n, at, event, brand_id, message_id, actor, request_id, details from ledger
 where brand_id = $1 and n > $2 and n < $3
   and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)
   and ($6::text is null or actor = $6) and ($7::text is null or event = $7)
 order by n desc limit $8;

-- name: of_all
select n, at, event, brand_id, message_id, actor, request_id, details from ledger
 where n > $1 and n < $2
   and ($3::timestamptz is null or at >= $3) and ($4::timestamptz is null or at < $4)
   and ($5::text is null or actor = $5) and ($6::text is null or event = $6)
 order by n desc limit $7;

-- name: of_message
select n, at, event, brand_id, message_id, actor, request_id, details from ledger
 where bucket = $1 and message_id = $2 and n < $3
   and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)
   and ($6::text is null or actor = $6) and ($7::text is null or event = $7)
   and ($8 = '*' or brand_id = $8)
 order by n desc limit $9;

-- name: note
-- What somebody does, in the transaction that does it.
insert into ledger (bucket, message_id, brand_id, at, event, details, actor, request_id)
values ($1, $2, $3, $4, $5, $6, $7, $8);
