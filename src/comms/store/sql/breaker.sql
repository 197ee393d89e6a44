-- Providers that are not to be called for now: a row as long as that is so, for one brand or for all ('*').

-- name: standing
select provider_id, brand_id, set_up_at, reason, opened_at, failures,
       extract(epoch from probe_at - coalesce($1, statement_timestamp()))::float8 as seconds
  from breaker;

-- name: open
-- Opened once, whoever sees it first; again only by whoever probed ($5), or for a newer set-up. From $6 seconds on
-- one call may find out; twice as long each time, up to $7, and never sooner than the provider asked for ($8).
insert into breaker as b (provider_id, brand_id, set_up_at, reason, opened_at, failures, probe_at)
values ($2, $3, $4, $9, coalesce($1, statement_timestamp()), 1,
        coalesce($1, statement_timestamp()) + make_interval(secs => greatest($6::float8, $8::float8)))
on conflict (provider_id, brand_id) do update
   set set_up_at = excluded.set_up_at, reason = excluded.reason, prober = null, probing_until = null,
       opened_at = case when b.set_up_at = excluded.set_up_at then b.opened_at else excluded.opened_at end,
       failures = case when b.set_up_at = excluded.set_up_at then b.failures + 1 else 1 end,
       probe_at = case when b.set_up_at = excluded.set_up_at
                       then excluded.opened_at + make_interval(secs =>
                              greatest(least($6::float8 * 2 ^ least(b.failures, 20), $7::float8), $8::float8))
                       else excluded.probe_at end
 where b.set_up_at <> excluded.set_up_at or b.prober = $5::uuid
returning extract(epoch from probe_at - coalesce($1, statement_timestamp()))::float8 as seconds;

-- name: probe
-- One at a time over all workers: whoever gets the row back calls, and nobody else for as long as its lease ($5).
update breaker set prober = $4, probing_until = coalesce($1, statement_timestamp()) + $5::interval
 where provider_id = $2 and brand_id = $3 and probe_at <= coalesce($1, statement_timestamp())
   and (probing_until is null or probing_until < coalesce($1, statement_timestamp()))
returning provider_id;

-- name: close
-- By whoever probed: an answer to a call from before it was opened says nothing.
delete from breaker where provider_id = $1 and brand_id = $2 and prober = $3 returning provider_id;
