"""A short bad night in every run of the tests; `make faults` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.campaign import crowd, night
from tests.faults.faults import provider_is_moody, worker_dies
from tests.faults.judge import judge, of_histories
from tests.faults.load import Heard, History
from tests.faults.outside import commits_are_not_heard_of
from tests.faults.provider import Taken
from tests.faults.rig import rig

SEED = 4711
ASKED = {"dedup_key": "k", "recipient": "+15555550001", "scheduled_at": "2026-12-01T09:00:00Z"}
SEEN = {
    "id": "m",
    "status": "sent",
    "sent_at": "2026-12-01T09:00:00.001Z",
    "scheduled_at": "2026-12-01T09:00:00.000Z",
}
DUE = 1796115600.0


@pytest.mark.anyio
async def test_nothing_is_lost_doubled_or_sent_after_its_cancel(tmp_path: Path) -> None:
    faults = [commits_are_not_heard_of, worker_dies, provider_is_moody]
    async with rig(tmp_path, SEED) as made:
        came = await night(made, SEED, 5.0, faults)
        crowded = await crowd(made, SEED, 400)
    assert came.problems == []
    assert came.unheard > 0
    assert came.taken > 20
    assert [*of_histories(crowded)] == []
    assert sum(heard.status == 200 for heard in crowded.heard if heard.name in {"move", "repin"}) > 20


def told(*heard: Heard, taken: tuple[Taken, ...] = ()) -> list[str]:
    accepted = Heard("schedule", "k", "m", DUE - 99, DUE - 98, 201, {**SEEN, "status": "scheduled"})
    return judge(History([accepted, *heard], {"k": dict(ASKED)}, {"k": "m"}), list(taken))


def heard(name: str, at: float, code: int = 200, **body: object) -> Heard:
    return Heard(name, "k", "m", at, at + 0.01, code, {**SEEN, **body})


def went(at: float = DUE + 0.001, **changes: str) -> Taken:
    return Taken(**{"key": "m-0", "to": "+15555550001", "text": "Hi k", **changes}, at=at, keyed=False)


def test_the_judge_has_nothing_to_say_of_what_went_well() -> None:
    assert told(heard("get", DUE + 1), taken=(went(),)) == []


@pytest.mark.parametrize(
    ("history", "taken", "problem"),
    [
        ([heard("get", DUE + 1)], (), "nobody has it"),
        ([heard("get", DUE + 1)], (went(), went()), "taken 2 times"),
        ([heard("get", DUE + 1)], (went(DUE - 0.1),), "early"),
        ([heard("get", DUE + 1)], (went(text="Hi l"),), "other words"),
        ([heard("get", DUE + 1)], (went(to="+15555550002"),), "somebody else"),
        ([heard("get", DUE + 1, status="scheduled", sent_at=None)], (), "rests nowhere"),
        ([heard("get", DUE + 1, status="cancelled", sent_at=None)], (went(),), "cancelled, and it was taken"),
        ([heard("get", DUE + 1, sent_at=None)], (went(),), "sent_at and status differ"),
        ([heard("get", DUE + 1), heard("cancel", DUE + 2, status="cancelled")], (went(),), "later cancelled"),
        (
            [heard("cancel", DUE - 9, status="cancelled"), heard("get", DUE + 1)],
            (went(),),
            "cancelled, and later sent",
        ),
        ([heard("get", DUE + 1), heard("get", DUE + 2, 500)], (went(),), "answers that should not be"),
        ([heard("get", DUE + 1)], (went(), went(key="other-0")), "nobody asked for"),
    ],
)
def test_the_judge_sees_each_broken_promise(
    history: list[Heard], taken: tuple[Taken, ...], problem: str
) -> None:
    assert problem in "; ".join(told(*history, taken=taken))
