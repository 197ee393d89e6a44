-- Who works: each worker says by which set-up it acts, and until when it may.

-- name: wake
select pg_notify($1, '');

-- name: report
-- And that it remembers up to this beat, here and ($6) in its directory. Beside it, in which history that is.
with mine as (
  insert into worker as w (owner, epoch, lease_until, heard_at, history, vouches, public_url)
  values ($1, $2, statement_timestamp() + $3::interval, statement_timestamp(), $4, $5, $7)
  on conflict (owner) do update set epoch = excluded.epoch, lease_until = excluded.lease_until,
         heard_at = excluded.heard_at, beat = w.beat + 1, history = excluded.history, vouches = excluded.vouches
  returning beat
), kept as (
  insert into witness as w (witness_id, beat, beaten_at) select $6, 1, statement_timestamp() where $6::uuid is not null
  on conflict (witness_id) do update set beat = w.beat + 1, beaten_at = excluded.beaten_at
  returning beat
)
select mine.beat, (select beat from kept) as kept, comms_history() as history, i.history as cleared, i.paused_reason,
       i.resumed_at
  from mine, installation i;

-- name: leave
delete from worker where owner = $1;

-- name: behind
-- Live workers that act by an older set-up than this one.
select count(*) from worker where epoch < $1 and lease_until > statement_timestamp();

-- name: forget
delete from worker where lease_until < statement_timestamp() - interval '1 hour';
