-- Who works: each worker says by which set-up it acts, and until when it may.

-- name: wake
select pg_notify($1, '');

-- name: report
insert into worker (owner, epoch, lease_until, heard_at, public_url)
values ($1, $2, statement_timestamp() + $3::interval, statement_timestamp(), $4)
on conflict (owner) do update
   set epoch = excluded.epoch, lease_until = excluded.lease_until, heard_at = excluded.heard_at;

-- name: leave
delete from worker where owner = $1;

-- name: behind
-- Live workers that act by an older set-up than this one.
select count(*) from worker where epoch < $1 and lease_until > statement_timestamp();

-- name: forget
delete from worker where lease_until < statement_timestamp() - interval '1 hour';
