"""One message, two workers, a canceller and bad luck: every interleaving of the send protocol.

The statements of `store/sql` are told as guarded moves on a small state; what follows from an answer
is asked of `domain/outcome`, and each change of a status of `domain/lifecycle`, which raises where the
table has no such move. `explore` walks through all that can be reached. What may happen at any moment:

    a worker dies            before and after each of its steps
    a lease runs out         while its worker lives on, and records late
    a worker goes unheard    while it lives on: what it has not begun is given to others
    an answer is lost        though the provider took the message
    somebody cancels         once
    somebody looks           and settles an unknown message by what he has found

A call to a provider is one step with the look at the lease right before it: between the two lie
microseconds, and a call that has begun ends within the lease.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from comms.domain.lifecycle import FINAL, Status, after
from comms.domain.outcome import Standing, event, goes_on, standing

MOST_ATTEMPTS = 3
MOST_DEATHS = 2


class Rules(NamedTuple):
    """The provider's class, the template's policy, and what is left out of the protocol on purpose."""

    idempotent: bool = False
    prefers_duplicate: bool = False
    broken: str = ""


class Mark(NamedTuple):
    """The delivery's row: of which attempt, what was answered (None: nothing yet), doubts of before."""

    attempt: int
    answer: str | None
    doubts: int

    def found_doubts(self) -> int:
        """As others find it: a mark without an answer is one doubt more."""
        return self.doubts + (self.answer is None)


class Worker(NamedTuple):
    """Where it stands: idle, claimed, marked, or answered with what it heard.

    `is_late`: its lease is over, by its own clock. Whose the message is now it can't know before it writes.
    """

    at: str = "idle"
    attempt: int = 0
    doubts: int = 0
    heard: str | None = None
    is_late: bool = False


class World(NamedTuple):
    """All there is. `taken`: what reached the person. `cancelled`: a cancel was answered 200."""

    status: Status = Status.SCHEDULED
    attempt: int = 0
    owner: int | None = None
    lapsed: bool = False
    mark: Mark | None = None
    workers: tuple[Worker, Worker] = (Worker(), Worker())
    taken: int = 0
    calls: int = 0
    deaths: int = 0
    asked_to_cancel: bool = False
    cancelled: bool = False


class Violation(Exception):
    """An invariant does not hold; the message tells the steps that lead there."""


def explore(rules: Rules) -> set[World]:
    """Every world that can be reached; raises `Violation` with the shortest way to a broken promise."""
    start = World()
    came: dict[World, tuple[World, str] | None] = {start: None}
    ahead = deque([start])
    while ahead:
        world = ahead.popleft()
        following = list(moves(world, rules))
        if problem := broken_promise(world, rules) or (None if following else stuck(world)):
            raise Violation(f"{problem}: {' > '.join(way(came, world))}")
        for name, then in following:
            if then.status is not world.status and world.status in FINAL:
                raise Violation(f"a final status changed: {' > '.join([*way(came, world), name])}")
            if then not in came:
                came[then] = (world, name)
                ahead.append(then)
    return set(came)


def broken_promise(world: World, rules: Rules) -> str | None:
    """What the service promises of every moment, or None."""
    if world.cancelled and world.taken:
        return "cancelled, and sent"
    if world.taken > (2 if rules.prefers_duplicate and not rules.idempotent else 1):
        return "sent more often than the policy allows"
    if world.status is Status.SENT and not world.taken:
        return "sent, and nobody has it"
    if world.status is Status.FAILED and world.taken and not rules.prefers_duplicate:
        return "failed, and yet it was taken"
    if world.status is Status.UNKNOWN and world.mark is None:
        return "unknown, though no call could have begun"
    return None


def stuck(world: World) -> str | None:
    """Nothing more can happen: then all must be told."""
    return None if world.status in FINAL or world.attempt == MOST_ATTEMPTS else "forgotten"


def way(came: dict[World, tuple[World, str] | None], world: World) -> list[str]:
    """The steps that lead to a world."""
    steps = []
    while (before := came[world]) is not None:
        world, name = before
        steps.append(name)
    return steps[::-1]


def moves(world: World, rules: Rules) -> Iterator[tuple[str, World]]:
    """All that may happen next, each with its name."""
    for n, worker in enumerate(world.workers):
        for name, then in works(world, n, worker, rules):
            yield f"{name} {n}", then
        if worker.at != "idle" and world.deaths < MOST_DEATHS:
            yield f"die {n}", put(world, n, Worker())._replace(deaths=world.deaths + 1)
    if world.status is Status.SENDING:
        yield ("rescue", rescued(world, rules)) if world.lapsed else ("lapse", lapsed(world))
        if not has_begun(world) or rules.broken == "silence without a look at the mark":
            yield "not heard of", moved(world, "rescue")
    if not world.asked_to_cancel:
        yield "cancel", cancel(world, rules)
    if world.status is Status.UNKNOWN:
        yield from settle(world)


def settle(world: World) -> Iterator[tuple[str, World]]:
    """`messages.settle`, by somebody who has looked."""
    found = "settle_sent" if world.taken else "settle_failed"
    yield found, moved(world, found)
    if not world.taken and world.attempt < MOST_ATTEMPTS:
        again = moved(world, "settle_retry")
        yield "settle_retry", again._replace(mark=Mark(world.attempt, "try_later", 0))


def works(world: World, n: int, worker: Worker, rules: Rules) -> Iterator[tuple[str, World]]:
    """The next step of one worker."""
    if worker.at == "idle" and world.status is Status.SCHEDULED and world.attempt < MOST_ATTEMPTS:
        yield "claim", claim(world, n)
    elif worker.at == "claimed":
        yield "freeze", freeze(world, n, worker, rules)
    elif worker.at == "marked":
        yield from call(world, n, worker, rules)
    elif worker.at == "answered":
        yield "record", record(world, n, worker, rules)


def claim(world: World, n: int) -> World:
    """`queue.claim`, and `queue.frozen` of what earlier attempts left."""
    then = moved(world, "claim")._replace(attempt=world.attempt + 1, owner=n, lapsed=False)
    doubts = world.mark.found_doubts() if world.mark else 0
    return put(then, n, Worker("claimed", then.attempt, doubts))


def freeze(world: World, n: int, worker: Worker, rules: Rules) -> World:
    """`queue.freeze`: only what is still ours, and may be handed over at all, is marked."""
    if not is_ours(world, n, worker) and rules.broken != "freeze without fence":
        return put(world, n, Worker())
    earlier = world.mark.answer if world.mark else None
    if not goes_on(stands(earlier, worker.doubts, rules)):
        return put(world, n, worker._replace(at="answered"))
    marked = Mark(worker.attempt, None, worker.doubts)
    return put(world, n, worker._replace(at="marked"))._replace(mark=marked)


def call(world: World, n: int, worker: Worker, rules: Rules) -> Iterator[tuple[str, World]]:
    """The provider takes it or not, and is heard or not. Without time in the lease nothing is called."""
    if worker.is_late and rules.broken != "call without a look at the lease":
        yield "give up", put(world, n, worker._replace(at="answered", heard="try_later"))
        return
    begun = world._replace(calls=world.calls + 1)
    is_known = rules.idempotent and world.taken > 0
    after_taking = begun if is_known else begun._replace(taken=world.taken + 1)
    for heard in ("accepted", "lost"):
        yield f"taken, {heard}", put(after_taking, n, worker._replace(at="answered", heard=heard))
    yield "never arrived", put(begun, n, worker._replace(at="answered", heard="lost"))
    if not is_known:
        for heard in ("rejected", "try_later"):
            yield heard, put(begun, n, worker._replace(at="answered", heard=heard))


def record(world: World, n: int, worker: Worker, rules: Rules) -> World:
    """`queue.finish`, `wait_again` or `lose`, whichever `domain/outcome` says."""
    earlier = world.mark.answer if world.mark and worker.heard is None else worker.heard
    doubts = worker.doubts + (worker.heard == "lost")
    happens = event([stands(earlier, doubts, rules)], stopped=None)
    then = answered(put(world, n, Worker()), worker)
    fenced = is_ours(world, n, worker)
    mended = (
        world.status is Status.UNKNOWN and world.attempt == worker.attempt and happens in {"accept", "reject"}
    )
    if rules.broken == "record without fence" and world.status is Status.SENDING:
        fenced = True
    if not (fenced or mended):
        return then
    return moved(then, happens)


def answered(world: World, worker: Worker) -> World:
    """What was heard, fenced by the attempt, whoever holds the message now."""
    mark = world.mark
    if worker.heard is None or mark is None or mark.attempt != worker.attempt:
        return world
    return world._replace(mark=Mark(mark.attempt, worker.heard, mark.doubts + (worker.heard == "lost")))


def lapsed(world: World) -> World:
    """The lease is over, for all who have a clock."""
    over = world._replace(lapsed=True)
    for n, worker in enumerate(world.workers):
        if is_ours(world, n, worker):
            over = put(over, n, worker._replace(is_late=True))
    return over


def rescued(world: World, rules: Rules) -> World:
    """`sweep.rescue`: what may have been handed over is lost, the rest anybody's."""
    mark = world.mark
    if mark and event([stands(mark.answer, mark.found_doubts(), rules)], stopped=None) == "lose":
        return moved(world, "lose")
    if mark and rules.broken == "rescue forgets the doubt":
        world = world._replace(mark=Mark(mark.attempt, "try_later", mark.doubts))
    return moved(world, "rescue")


def has_begun(world: World) -> bool:
    """Is the mark of this attempt there?"""
    return world.mark is not None and world.mark.attempt == world.attempt


def cancel(world: World, rules: Rules) -> World:
    """`messages.cancel`: only what waits; anything else is answered 409."""
    asked = world._replace(asked_to_cancel=True)
    if world.status is Status.SCHEDULED and may_cancel(world, rules):
        return moved(asked, "cancel")._replace(cancelled=True)
    if rules.broken == "cancel answers before it knows":
        return asked._replace(cancelled=True)
    return asked


def may_cancel(world: World, rules: Rules) -> bool:
    """What a provider has taken or may have taken can't be undone."""
    mark = world.mark
    taken = mark is not None and (mark.answer == "accepted" or mark.found_doubts() > 0)
    return not taken or rules.broken == "cancel without a look at the mark"


def stands(answer: str | None, doubts: int, rules: Rules) -> Standing:
    """Where the one delivery stands."""
    return standing(answer, doubts, idempotent=rules.idempotent, prefers_duplicate=rules.prefers_duplicate)


def is_ours(world: World, n: int, worker: Worker) -> bool:
    """The fence: state, owner and attempt."""
    return world.status is Status.SENDING and world.owner == n and world.attempt == worker.attempt


def moved(world: World, happens: str) -> World:
    """The status that the table has for it; raises where it has none."""
    return world._replace(status=after(happens, world.status), owner=None, lapsed=False)


def put(world: World, n: int, worker: Worker) -> World:
    """The world with one worker elsewhere."""
    workers = (worker, world.workers[1]) if n == 0 else (world.workers[0], worker)
    return world._replace(workers=workers)
