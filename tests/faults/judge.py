"""What must hold, judged from outside: by what was asked and answered, and by what reached anybody."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import asyncpg

from tests.faults import linear
from tests.faults.load import Heard, History
from tests.faults.provider import Taken

FINAL = {"sent", "failed", "cancelled", "expired", "suppressed"}
_ROUNDING = 0.002
"""Seconds: `scheduled_at` is kept to the millisecond."""


_AT_REST = """
select (select count(*) from queue where state <> 'unknown') as messages,
       (select count(*) from pg_stat_activity where state like 'idle in transaction%'
           and state_change < now() - interval '2 seconds') as transactions,
       (select count(*) from pg_replication_slots) as slots
"""


def judge(history: History, taken: list[Taken]) -> list[str]:
    """Everything that was broken, one sentence each; empty where all promises were kept."""
    by_id: dict[str, list[Taken]] = defaultdict(list)
    for each in taken:
        by_id[each.key.rpartition("-")[0]].append(each)
    told: dict[str, list[Heard]] = defaultdict(list)
    for heard in history.heard:
        message_id = history.ids.get(heard.key)
        if message_id:
            told[message_id].append(heard)
    problems = [*of_answers(history), *of_keys(history)]
    for key, message_id in history.ids.items():
        problems += of_message(history.asked[key], told[message_id], by_id[message_id])
    strangers = set(by_id) - set(history.ids.values())
    problems += [f"{len(strangers)} messages went out that nobody asked for"] if strangers else []
    return problems


def of_logs(folder: Path, private: list[str]) -> Iterator[str]:
    """Nothing of a person stands in what any process wrote."""
    for log in (each for kind in ("*.out", "*.err", "*/postgres.log") for each in folder.glob(kind)):
        said = log.read_text(errors="replace")
        if found := sum(word in said for word in private):
            yield f"{log.name} holds {found} private words"


async def of_rest(connection: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    """Once all is quiet nothing is held: no transaction, no slot, no claim, and nothing waits."""
    found = await connection.fetchrow(_AT_REST)
    assert found is not None
    return [f"{count} {name} are left" for name, count in found.items() if count]


def of_answers(history: History) -> Iterator[str]:
    """No answer but those that are documented, and 503 says when to ask again."""
    odd = Counter(heard.status for heard in history.heard) - Counter(
        {status: len(history.heard) for status in (0, 200, 201, 409, 422, 503)}
    )
    if odd:
        yield f"answers that should not be: {dict(odd)}"
    if silent := sum(heard.status == 503 and not heard.says_when for heard in history.heard):
        yield f"{silent} times 503 without Retry-After"


def of_keys(history: History) -> Iterator[str]:
    """One message a key."""
    ids: dict[str, set[str]] = defaultdict(set)
    for heard in history.heard:
        if heard.name in {"schedule", "send"} and heard.id:
            ids[heard.key].add(heard.id)
    for key, found in ids.items():
        if len(found) > 1:
            yield f"{key}: {len(found)} messages for one key"


def of_message(asked: dict[str, object], told: list[Heard], taken: list[Taken]) -> Iterator[str]:
    """The promises of one message."""
    told = sorted(told, key=lambda heard: heard.ended)
    last = next((heard for heard in reversed(told) if heard.name == "get" and heard.status == 200), None)
    key = asked["dedup_key"]
    if last is None:
        yield f"{key}: nobody could look at it"
        return
    status = last.body["status"]
    if status not in FINAL | {"unknown"}:
        yield f"{key}: it rests nowhere, and is {status}"
    if len(taken) > 1:
        yield f"{key}: taken {len(taken)} times"
    if status == "sent" and not taken:
        yield f"{key}: sent, and nobody has it"
    if status in {"failed", "cancelled", "expired"} and taken:
        yield f"{key}: {status}, and it was taken"
    yield from of_content(asked, last, taken)
    yield from of_order(str(key), told)
    yield from of_history(asked, told)


def of_histories(history: History) -> Iterator[str]:
    """Of every message."""
    for key in history.ids:
        yield from of_history(history.asked[key], [heard for heard in history.heard if heard.key == key])


def of_history(asked: dict[str, object], told: list[Heard]) -> Iterator[str]:
    """Linearizable, searched: is there an order in which every answer was right?"""
    if problem := linear.check([op for heard in told if (op := linear.op(heard, asked))]):
        yield f"{asked['dedup_key']}: {problem}"


def of_content(asked: dict[str, object], last: Heard, taken: list[Taken]) -> Iterator[str]:
    """To the right one, the right words, and not before its time."""
    for each in taken:
        if each.to != asked["recipient"] or each.text.strip() != f"Hi {asked['dedup_key']}":
            yield f"{asked['dedup_key']}: other words, or to somebody else"
        due = datetime.fromisoformat(last.body["scheduled_at"]).timestamp()
        if "scheduled_at" in asked and each.at < due - _ROUNDING:
            yield f"{asked['dedup_key']}: {due - each.at:.3f} s early"
    if (last.body["sent_at"] is not None) != (last.body["status"] == "sent"):
        yield f"{asked['dedup_key']}: sent_at and status differ"


def of_order(key: str, told: list[Heard]) -> Iterator[str]:
    """Linearizable: once somebody was told an end, nobody who asks after that is told anything else."""
    ends: tuple[float, str] | None = None
    for heard in told:
        seen = heard.body.get("status") if heard.status in {200, 201} and heard.name != "send" else None
        if ends and heard.began > ends[0]:
            if seen and seen != ends[1]:
                yield f"{key}: {ends[1]}, and later {seen}"
            if heard.name == "cancel" and heard.status == 200 and ends[1] != "cancelled":
                yield f"{key}: {ends[1]}, and later cancelled"
            if heard.name == "move" and heard.status == 200:
                yield f"{key}: {ends[1]}, and later moved"
        if seen in FINAL and ends is None:
            ends = (heard.ended, str(seen))
