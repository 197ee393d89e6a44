"""Who did what: listed, exported, proved."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from comms.actions.house import House
from comms.domain.caller import Caller
from comms.domain.chain import COLUMNS, Broken, Chain, Link
from comms.domain.schedule import show
from comms.store import audit as rows
from comms.store.database import Pool

_STRETCH = 200_000
_STRETCHES = 5
"""So much of the ledger is looked through in one call; where nothing fits there, the cursor leads on."""

_CLOCKS_DIFFER = timedelta(minutes=5)
_TOGETHER = 20_000
_LINKS = 200
_BEFORE_ALL = -(2**62)

_OBJECTS = ("template", "provider", "token", "consent", "preference", "suppression", "device", "subscription")


async def listed(
    house: House,
    caller: Caller,
    brand_id: str | None,
    message_id: UUID | None,
    wanted: rows.Wanted,
    limit: int,
    before: int | None,
) -> tuple[list[dict[str, Any]], int | None]:
    """What was done, newest first, and where to go on; a page may hold fewer than there are to come."""
    caller.act_for(brand_id or caller.brand_id)
    whose = brand_id or caller.brand_id
    async with house.database.brand(caller.brand_id) as connection:
        top = before or await rows.written(connection) + 1
        if message_id is not None:
            found = await rows.entries_of_message(connection, whose, message_id, top, wanted, limit)
            return [_show(row) for row in found], found[-1]["n"] if len(found) == limit else None
        floor = 0
        if wanted.since is not None:
            floor = await rows.closed_before(connection, wanted.since - _CLOCKS_DIFFER)
        found = []
        for _ in range(_STRETCHES):
            bottom = max(floor, top - _STRETCH - 1)
            found += await rows.entries(connection, whose, (bottom, top), wanted, limit - len(found))
            if len(found) == limit:
                return [_show(row) for row in found], found[-1]["n"]
            top = bottom + 1
            if bottom == floor:
                return [_show(row) for row in found], None
    return [_show(row) for row in found], top


class Proof(NamedTuple):
    """How many entries the chain holds, how many wait to be chained, and the hash of its last link."""

    entries: int
    unchained: int
    head: str


async def verify(house: House, head: str | None = None) -> Proof:
    """Follow the chain over the ledger as it stands; raises `Broken`. `head`: one that was noted earlier."""
    engine, chain = house.database.engine, Chain(head)
    async for link, lines in _stretches(engine):
        chain.follow(link, lines)
    chain.end()
    unchained = await rows.count_unchained(engine, await rows.written(engine))
    return Proof(chain.entries, unchained, chain.head.hex())


async def export(house: House) -> AsyncIterator[str]:
    """The ledger as lines: entries, after each group its link, those that wait for one, and the end."""
    engine, last_n, entries, head = house.database.engine, 0, 0, b""
    yield msgspec.json.encode({"columns": COLUMNS}).decode()
    async for link, lines in _stretches(engine):
        for line in lines:
            yield line
        yield _link_line(link)
        last_n, head, entries = link.last_n, link.hash, entries + len(lines)
    while waiting := await rows.unchained(engine, last_n, _TOGETHER):
        for last_n, line in waiting:  # noqa: B007 - the last one's number is where to go on
            entries += 1
            yield line
    yield msgspec.json.encode({"end": head.hex(), "entries": entries}).decode()


def verify_lines(lines: Iterable[str], head: str | None = None) -> Proof:
    """The same over an export; nothing else is needed. Raises `Broken`."""
    chain, waiting, ended = Chain(head), list[str](), False
    for line in _stripped(lines):
        told = _read(line)
        if ended:
            raise Broken("there is more after the end of the export")
        if told is None:
            waiting.append(line)
        elif told.link is not None:
            chain.follow(_link(told), waiting)
            waiting = []
        elif told.end is not None:
            ended = True
            if told.entries != chain.entries + len(waiting) or told.end != chain.head.hex():
                raise Broken("entries are missing before the end of the export")
    if not ended:
        raise Broken("the export is not whole: its last line is missing")
    chain.end()
    return Proof(chain.entries, len(waiting), chain.head.hex())


class _Line(msgspec.Struct):
    """A line of an export that is no entry: a link, the end, or the names of an entry's members."""

    link: int | None = None
    last_n: int = 0
    entries: int = 0
    marks: str = ""
    hash: str = ""
    end: str | None = None


async def _stretches(engine: Pool) -> AsyncIterator[tuple[Link, list[str]]]:
    """Each link with the entries that stand there now."""
    after, number = _BEFORE_ALL, 0
    while links := await rows.links(engine, number, _LINKS):
        for group in _groups(links):
            found = await rows.lines(engine, after, group[-1].last_n)
            for link in group:
                yield link, [line for n, line in found if after < n <= link.last_n]
                after, number = link.last_n, link.link


def _groups(links: Iterable[Link]) -> Iterator[list[Link]]:
    """So many that their entries are few enough to be read at once."""
    group: list[Link] = []
    for link in links:
        if group and sum(each.entries for each in group) + link.entries > _TOGETHER:
            yield group
            group = []
        group.append(link)
    if group:
        yield group


def _link_line(link: Link) -> str:
    told = {"link": link.link, "last_n": link.last_n, "entries": link.entries}
    return msgspec.json.encode({**told, "marks": link.marks.hex(), "hash": link.hash.hex()}).decode()


def _read(line: str) -> _Line | None:
    """None for an entry."""
    try:
        return None if line.startswith("[") else msgspec.json.decode(line, type=_Line)
    except msgspec.DecodeError:
        raise Broken("a line of the export can't be read") from None


def _link(told: _Line) -> Link:
    try:
        marks, digest = bytes.fromhex(told.marks), bytes.fromhex(told.hash)
    except ValueError:
        raise Broken(f"link {told.link} can't be read") from None
    return Link(told.link or 0, told.last_n, told.entries, marks, digest)


def _stripped(lines: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in lines if line.strip())


def _show(row: asyncpg.Record) -> dict[str, Any]:
    shown = {
        "n": row["n"],
        "at": show(row["at"]),
        "actor": row["actor"],
        "action": row["event"],
        "object": _object(row),
        "brand_id": row["brand_id"],
        "request_id": str(row["request_id"]) if row["request_id"] else None,
    }
    return {**shown, **({"details": row["details"]} if row["details"] else {})}


def _object(row: asyncpg.Record) -> dict[str, str | None]:
    """What it was done to."""
    details = row["details"] or {}
    if row["message_id"]:
        return {"kind": "message", "id": str(row["message_id"])}
    if "of" in details:
        return {"kind": details["of"], "id": None}
    for kind in _OBJECTS:
        if f"{kind}_id" in details:
            return {"kind": kind, "id": details[f"{kind}_id"]}
    return {"kind": "brand", "id": row["brand_id"]}
