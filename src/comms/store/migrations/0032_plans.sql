-- Plans that hold however much waits.

-- An index over all that is being sent was taken by statements that name their messages: they walked through whatever
-- was in flight anywhere. Under a predicate of its own it serves only those that ask for leases.
drop index queue_lease;
create index queue_lease on queue (lease_until) where lease_until is not null;

-- Unknown messages are few, and were looked for among all that waits. In other words than `state = 'unknown'`, for the
-- same reason: who settles one names it.
create index queue_unknown on queue (brand_id) where lower(state) = 'unknown';
