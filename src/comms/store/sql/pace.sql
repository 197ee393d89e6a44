-- What providers with limits are handed by all workers together.

-- name: any_limits
select exists (select from provider where limits <> '{}');

-- name: open
insert into pace (provider_id, next_at) values ($1, '-infinity') on conflict do nothing;

-- name: lease
-- One row decides for all workers. One statement does: what it reckons from is the row as it has locked it,
-- which of other rows would be those of its snapshot; and a worker that is stopped meanwhile keeps nobody waiting.
-- $3 has $4 calls under way and would like $5; it may have so many as nobody else has of $7, and no more than its
-- part where others would like some. Who has all it may while another has none gives back, so that they take turns.
-- $8 is the time between two calls: $9 instants are given away, from $10 on and no further ahead than $11.
-- $1: null means the database's own clock.
update pace p
   set (holders, next_at, given) = (
     select case when $5 = 0 then others.kept
                 else others.kept || jsonb_build_object(
                   $3::uuid::text, jsonb_build_array(greatest($4::int, may.calls), $5::int, extract(epoch from clock.at + $6::interval), may.calls))
            end,
            case when starts.given > 0 then starts.first_at + starts.given * $8::interval else p.next_at end,
            starts.given
       from (select coalesce($1::timestamptz, clock_timestamp()) as at) clock,
            lateral (select coalesce(jsonb_object_agg(key, value), '{}') as kept,
                            coalesce(sum((value ->> 0)::int), 0)::int as calls,
                            count(*) filter (where (value ->> 1)::int > 0)::int as asking,
                            count(*) filter (where (value ->> 1)::int > (value ->> 0)::int)::int as hungry,
                            count(*) filter (where (value ->> 1)::int > 0 and (value ->> 0)::int = 0)::int as starving
                       from jsonb_each(p.holders)
                      where key <> $3::uuid::text and (value ->> 2)::float8 > extract(epoch from clock.at)) others,
            lateral (select greatest(0, least($5::int, $7::int - others.calls,
                       case when others.hungry = 0 then $7
                            when others.starving > 0 and (p.holders -> $3::uuid::text ->> 0)::int > 0
                              then $7 / (others.asking + 1)
                            else ceil($7::float8 / (others.asking + 1))::int end)) as calls) may,
            lateral (select greatest(p.next_at, clock.at, $10::timestamptz) as first_at) first,
            lateral (select first.first_at, case when $8::interval is null then 0 else
                       greatest(0, least($9::int, floor(extract(epoch from greatest(clock.at, $10) + $11::interval - first.first_at)
                                                        / extract(epoch from $8::interval))::int + 1)) end as given) starts
   )
 where provider_id = $2
returning coalesce((holders -> $3::uuid::text ->> 0)::int, 0) as held, coalesce((holders -> $3::uuid::text ->> 3)::int, 0) as may,
          next_at, given;
