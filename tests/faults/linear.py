"""Is a message's history linearizable? A search after Wing and Gong, a message at a time.

Every call took place at one moment between its beginning and its end, one after the other; between two
of them the service may have gone on by itself (claimed, sent, put back ...). If there is no order of such
moments in which every answer is right, somebody was told something that never was. A call whose answer
never came may have taken place at any moment after its beginning, or not at all.

Messages know nothing of each other, so each is searched by itself (Herlihy and Wing, "Linearizability",
1990: the property is local; Wing and Gong, "Testing and Verifying Concurrent Objects", 1993).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import NamedTuple

from tests.faults.load import Heard

MOST_STEPS = 200_000
_MILLISECOND = timedelta(milliseconds=1)


class State(NamedTuple):
    """What the service may know of a message. `at` None: its time was never told to us."""

    status: str = "absent"
    tried: bool = False
    at: str | None = None


@dataclass(frozen=True)
class Op:
    """One call with its answer: `code` is that of a refusal, `at` the time that was asked for or shown."""

    name: str
    began: float
    ended: float
    status: int
    seen: str | None = None
    at: str | None = None
    code: str | None = None
    is_new: bool = False

    def __str__(self) -> str:
        """As a failure shows it."""
        told = self.seen or self.code or ""
        return f"{self.name} {self.began:.3f}-{self.ended:.3f}: {self.status} {told} {self.at or ''}".strip()


BY_ITSELF = {
    "scheduled": ("sending", "expired", "suppressed"),
    "sending": ("sent", "scheduled", "failed", "suppressed", "expired", "unknown"),
    "unknown": ("sent", "failed", "scheduled"),
}
"""What a message does without being asked."""

_LATE = {"already_sent": {"sent"}, "in_flight": {"sending"}, "attempted": set()}
_STAYS = {"cancelled", "failed", "suppressed", "expired", "unknown"}


def goes_on(state: State) -> set[State]:
    """All that the service may have made of it by itself, this state included."""
    found, ahead = {state}, [state]
    while ahead:
        each = ahead.pop()
        for status in BY_ITSELF.get(each.status, ()):
            then = State(status, each.tried or status == "sending", each.at)
            if then not in found:
                found.add(then)
                ahead.append(then)
    return found


def after(op: Op, state: State) -> State | None:
    """The state once the call has taken place; None: it can't have been answered like this."""
    if op.ended == inf:
        return _unheard(op, state)
    return _RULES[op.name](op, state)


def _unheard(op: Op, state: State) -> State | None:
    """What it does if it took place; where it would do nothing it need not have."""
    if op.name in {"schedule", "send"}:
        return State("scheduled", at=op.at) if state.status == "absent" else None
    if state.status != "scheduled":
        return None
    return state._replace(status="cancelled") if op.name == "cancel" else state._replace(at=op.at or state.at)


def _accept(op: Op, state: State) -> State | None:
    if op.is_new:
        return State("scheduled", at=op.at) if state.status == "absent" else None
    if op.code == "dedup_key_cancelled":
        return state if state.status == "cancelled" else None
    if op.code == "dedup_key_used":
        return state if state.status != "absent" else None
    if op.status == 422:
        return state if state.status == "absent" else None
    return _shows(op, state)


def _cancel(op: Op, state: State) -> State | None:
    if op.status == 200:
        found = _shows(op, state._replace(status="cancelled"))
        return found if state.status in {"scheduled", "cancelled"} else None
    return _too_late(op, state)


def _change(op: Op, state: State) -> State | None:
    if op.status == 200 and state.status == "scheduled":
        return state._replace(at=op.at) if op.name == "move" else _shows(op, state)
    return None if op.status == 200 else _too_late(op, state)


def _too_late(op: Op, state: State) -> State | None:
    if op.status != 409:
        return state
    fits = state.status in _LATE.get(op.code or "", _STAYS)
    between = op.code in {"in_flight", "attempted"} and state.status == "scheduled" and state.tried
    return state if fits or between else None


def _shows(op: Op, state: State) -> State | None:
    """What is read is what is there."""
    if state.status != op.seen or (state.at and op.at and state.at != op.at):
        return None
    return state._replace(at=state.at or op.at)


_RULES: dict[str, Callable[[Op, State], State | None]] = {
    "schedule": _accept,
    "send": _accept,
    "get": _shows,
    "cancel": _cancel,
    "move": _change,
    "repin": _change,
}


def check(ops: Iterable[Op]) -> str | None:
    """None where an order explains every answer; else the call before which no search got on."""
    calls = sorted(_that_matter(list(ops)), key=lambda op: op.began)
    everything = sum(1 << n for n, op in enumerate(calls) if op.ended < inf)
    seen: set[tuple[int, State]] = set()
    ahead = [(0, State())]
    furthest = 0
    while ahead:
        done, state = ahead.pop()
        if done & everything == everything:
            return None
        if (done, state) in seen:
            continue
        seen.add((done, state))
        if len(seen) > MOST_STEPS:
            return "its history is too entangled to be judged"
        furthest = max(furthest, done, key=lambda each: (each & everything).bit_count())
        ahead += [(done | 1 << n, then) for n in _next(calls, done) for then in _then(calls[n], state)]
    stuck = [str(op) for n, op in enumerate(calls) if everything & ~furthest & 1 << n]
    return f"no order explains {stuck[0]}, nor what follows ({len(stuck)} of {len(calls)} calls)"


def _that_matter(ops: list[Op]) -> Iterator[Op]:
    """Without those unheard of whose effect nobody saw: with them or without, the others fit or do not."""
    heard = [op for op in ops if op.ended < inf]
    times = {op.at for op in heard}
    is_cancelled = any("cancel" in f"{op.seen}{op.code}" or op.code == "not_changeable" for op in heard)
    for op in ops:
        seen = {"move": op.at in times, "cancel": is_cancelled}.get(op.name, True)
        if op.ended < inf or seen:
            yield op


def _next(calls: list[Op], done: int) -> Iterator[int]:
    """Which may be the next: nothing that is still to come ended before it began. Likely ones come last."""
    left = [n for n in range(len(calls)) if not done & 1 << n]
    first_end = min((calls[n].ended for n in left), default=inf)
    yield from sorted((n for n in left if calls[n].began <= first_end), key=lambda n: -calls[n].ended)


def _then(op: Op, state: State) -> set[State]:
    found = (after(op, each) for each in goes_on(state))
    return {each for each in found if each is not None}


def op(heard: Heard, asked: dict[str, object]) -> Op | None:
    """A call as it is searched; None for what says nothing of the message's life."""
    known = heard.status in {200, 201, 409, 422}
    if not known and heard.name in {"get", "repin"}:
        return None
    body = heard.body if known else {}
    is_new = (heard.name == "send" and heard.status == 200) or (heard.status == 201 and not heard.replayed)
    at = body.get("scheduled_at") or (
        _rounded(asked.get("scheduled_at")) if heard.name == "schedule" else None
    )
    if heard.name == "move":
        at = _rounded(heard.wanted)
    seen = body.get("status") if heard.status in {200, 201} and heard.name != "send" else None
    ended = heard.ended if known else inf
    return Op(heard.name, heard.began, ended, heard.status, seen, at, body.get("error"), is_new)


def _rounded(instant: object) -> str | None:
    """As answers show it: rounded up to the millisecond, in UTC."""
    if instant is None:
        return None
    exact = datetime.fromisoformat(str(instant))
    whole = exact.replace(microsecond=exact.microsecond // 1000 * 1000)
    whole = whole if whole == exact else whole + _MILLISECOND
    return whole.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
