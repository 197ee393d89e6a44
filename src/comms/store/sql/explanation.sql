-- Decisions, read again.

-- name: decided
-- All that were kept, a page at a time.
select bucket, id, decision from message
 where (bucket, id) > ($1, $2) and decision is not null
 order by bucket, id limit $3;
