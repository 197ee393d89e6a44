"""The seventeen ways to break a promise, each a few lines long: what they change, and who must notice.

The names are those of the fault plan. Where its words have no place here the nearest that has one stands
for it, and `here` says what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

JOURNEY = "tests/journeys/test_from_accepted_to_sent.py"
COMMITS = "tests/journeys/test_commits.py"
CLOCKS = "tests/journeys/test_clocks.py"
LOOKING = "tests/dispatch/test_looking.py"
DOUBTS = "tests/journeys/test_doubts.py"
FENCE = "tests/journeys/test_fence.py"


class NotThere(Exception):
    """What a mutant replaces does not stand exactly once in the code: the mutant must be told anew."""


class Edit(NamedTuple):
    """One replacement; `path` is below src/comms."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """`tests` are the suite's quickest that concern it; one of them must fail."""

    name: str
    here: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]

    def apply(self, source: Path) -> None:
        """Change the copy of `src/comms` that lies there."""
        for path, old, new in self.edits:
            text = (source / path).read_text()
            if (found := text.count(old)) != 1:
                raise NotThere(f"{self.name}: {path} has {found} times: {old.strip().splitlines()[0]}")
            (source / path).write_text(text.replace(old, new))


MUTANTS = (
    Mutant(
        "synchronous_commit=off",
        "for every connection of the service",
        (
            Edit(
                "store/database.py",
                '"statement_timeout": "8s",',
                '"statement_timeout": "8s",\n    "synchronous_commit": "off",',
            ),
        ),
        (COMMITS,),
    ),
    Mutant(
        "unique constraint dropped",
        "the ledger of keys has no primary key",
        (
            Edit(
                "store/migrations/0001_foundation.sql",
                "so that a conflict can name them\n  primary key (bucket, brand_id, key_hash)\n",
                "\n  unused integer\n",
            ),
        ),
        (JOURNEY,),
    ),
    Mutant(
        "select, then insert",
        "`accept` looks whether the key is there instead of letting the index say so",
        (
            Edit(
                "store/sql/messages.sql",
                "kind, fingerprint from sealed\n  on conflict do nothing\n",
                "kind, fingerprint from sealed s\n   where not exists (select from dedup d where d.bucket = s.bucket"
                " and d.brand_id = s.brand_id and d.key_hash = s.key_hash)\n",
            ),
        ),
        (COMMITS,),
    ),
    Mutant(
        "one statement inserts or selects",
        "the loser of a race looks for the winner in what its own insert saw, and is not asked again",
        (
            Edit("actions/acceptance.py", "for _ in range(_TRIES):", "for _ in range(1):"),
            Edit(
                "actions/acceptance.py",
                "        try:\n            if await _submit(",
                "        known = await _known(house, asked)\n        try:\n            if await _submit(",
            ),
            Edit(
                "actions/acceptance.py",
                "            raise\n        known = await _known(house, asked)\n",
                "            raise\n",
            ),
        ),
        (JOURNEY,),
    ),
    Mutant(
        "acknowledged before the commit",
        "a request is answered while its group is being written",
        (
            Edit(
                "actions/acceptor.py",
                "        return await groups.submit(_Checked(row, epoch))",
                "        self._early = asyncio.ensure_future(groups.submit(_Checked(row, epoch)))\n        return True",
            ),
        ),
        (COMMITS,),
    ),
    Mutant(
        "no attempt and owner in the record",
        "`finish` ends whatever is being sent, whoever sends it by now",
        (
            Edit(
                "store/sql/queue.sql",
                "q.id = g.id and q.attempt = g.attempt\n     and (q.state = 'sending' and q.owner = $9 or",
                "q.id = g.id\n     and (q.state = 'sending' and (q.owner = $9 or true) or",
            ),
        ),
        (FENCE,),
    ),
    Mutant(
        "cancel without the status",
        "`cancel` takes what is being sent, too",
        (
            Edit(
                "store/sql/messages.sql",
                "   where q.state = 'scheduled'\n     and not exists (select from delivery d where d.bucket = q.bucket",
                "   where not exists (select from delivery d where d.bucket = q.bucket",
            ),
            Edit(
                "store/sql/messages.sql",
                "q.id = held.id and q.state = 'scheduled' returning",
                "q.id = held.id returning",
            ),
        ),
        (JOURNEY, DOUBTS),
    ),
    Mutant(
        "cancel answers before its commit",
        "the transaction ends beside the answer",
        (
            Edit(
                "actions/messages.py",
                "    async with house.database.brand(caller.brand_id) as connection:\n        cancelled = await rows.cancel(",
                "    going = house.database.brand(caller.brand_id)\n    connection = await going.__aenter__()\n"
                "    if True:\n        cancelled = await rows.cancel(",
            ),
            Edit(
                "actions/messages.py",
                '    house.metrics.ended.add("cancelled", by=len(cancelled))',
                "    import asyncio\n\n    asyncio.ensure_future(going.__aexit__(None, None, None))\n"
                '    house.metrics.ended.add("cancelled", by=len(cancelled))',
            ),
        ),
        (COMMITS,),
    ),
    Mutant(
        "lease by the worker's clock",
        "and what is due, by it too",
        (
            Edit(
                "dispatch/worker.py",
                "        now = self._house.clock.sql_now()\n        ahead = AHEAD if now is None else timedelta()\n",
                "        now = self._house.clock.now()\n        ahead = timedelta()\n",
            ),
        ),
        (CLOCKS,),
    ),
    Mutant(
        "no reaper",
        "nobody looks for claims of the dead",
        (Edit("dispatch/sweep.py", "    await rescue(house, ours)\n", ""),),
        (JOURNEY,),
    ),
    Mutant(
        "lower bound without a sweep",
        "a claim never looks below what was claimed before",
        (
            Edit(
                "dispatch/worker.py",
                "                self._floor = _BEGINNING  # a bound alone would miss what was committed late\n",
                "",
            ),
            Edit(
                "dispatch/worker.py",
                "        floor = _BEGINNING if is_whole else self._floor\n",
                "        floor = self._floor\n",
            ),
        ),
        (CLOCKS, LOOKING),
    ),
    Mutant(
        "unknown is tried again without a key",
        "every provider counts as one that takes a key",
        (Edit("domain/outcome.py", "    if idempotent:\n", "    if doubts:\n"),),
        (JOURNEY, DOUBTS),
    ),
    Mutant(
        "journal without fsync",
        "there is no journal: the mark before the call does its work, and is not waited for on disk",
        (
            Edit(
                "dispatch/marks.py",
                "            ours = await self._freeze(engine, group)\n",
                "            async with engine.acquire() as connection, connection.transaction():\n"
                '                await connection.execute("set local synchronous_commit to off")\n'
                "                ours = await self._freeze(connection, group)\n",
            ),
        ),
        (COMMITS,),
    ),
    Mutant(
        "expiry looked at once",
        "the sweep ends what is late; who hands over does not look",
        (
            Edit(
                "domain/decision.py",
                "    return TOO_LATE if facts.now > facts.deadline else None",
                "    return None",
            ),
        ),
        (JOURNEY,),
    ),
    Mutant(
        "brand filter removed",
        "a brand's transaction is held to no brand",
        (
            Edit(
                "store/database.py",
                "\"select set_config('comms.brand', $1, true)\", brand_id)",
                '"select set_config(\'comms.brand\', $1, true)", "*")',
            ),
        ),
        (JOURNEY,),
    ),
    Mutant(
        "PHI in one line of the log",
        "whom a message was handed over to",
        (
            Edit(
                "dispatch/deliver.py",
                "        call.delivery.ended(outcome, account, work.span)\n        leave.heard(outcome)\n",
                "        call.delivery.ended(outcome, account, work.span)\n        leave.heard(outcome)\n"
                '        log.debug("handed_over", message_id=str(work.id), to=call.delivery.recipient)\n',
            ),
        ),
        ("tests/cli/test_privacy.py",),
    ),
    Mutant(
        "webhook takes a status back",
        "an event settles what had ended, too",
        (
            Edit(
                "store/sql/events.sql",
                "\n where exists (select from queue q where q.bucket = w.bucket and q.id = w.message_id and q.state = 'unknown')",
                "",
            ),
            Edit(
                "store/sql/events.sql",
                "  delete from queue q using given g where q.bucket = g.bucket and q.id = g.id and q.state = 'unknown'\n"
                "  returning g.*, q.brand_id\n",
                "  select g.*, m.brand_id from given g join message m using (bucket, id)\n",
            ),
        ),
        ("tests/journeys/test_events.py",),
    ),
)

OURS = (
    Mutant(
        "a change without a lock",
        "two that change a message at a time rest on the same reading: one is undone by the other",
        (
            Edit(
                "store/sql/messages.sql",
                "from queue where bucket = $1 and id = $2 and state = 'scheduled' for update;",
                "from queue where bucket = $1 and id = $2 and state = 'scheduled';",
            ),
        ),
        ("tests/faults/test_small_round.py",),
    ),
    Mutant(
        "a reading from before",
        "a message is shown as this process saw it within the last second",
        (
            Edit(
                "actions/messages.py",
                "async def get_scheduled(house: House, caller: Caller, wanted: UUID) -> dict[str, Any]:\n"
                '    """The thirteen members of a message."""\n    return _show(*await get(house, caller, wanted))',
                "async def get_scheduled(house: House, caller: Caller, wanted: UUID) -> dict[str, Any]:\n"
                '    """The thirteen members of a message."""\n'
                "    key = (wanted, int(house.clock.monotonic()))\n"
                "    if key not in _SEEN:\n        _SEEN[key] = _show(*await get(house, caller, wanted))\n"
                "    return _SEEN[key]\n\n\n_SEEN: dict[Any, Any] = {}",
            ),
        ),
        ("tests/faults/test_small_round.py",),
    ),
)
"""More than the plan names: what only the search through histories of many processes sees."""
