"""Imports and exports: lines in with a verdict each, lines out; as NDJSON or CSV, a million like one."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator
from itertools import islice
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect

from comms.domain.errors import Refused
from comms.http.codes import INVALID, PREFERENCES
from comms.http.intake import KINDS, Intake, Kind, Record, quoted
from comms.http.lines import SILENCE_SECONDS, pieces
from comms.http.routing import CSV, NDJSON, Answer, Call, Route, too_slow
from comms.http.shapes.transfers import (
    ConsentLine,
    ExportQuery,
    ImportQuery,
    ImportVerdict,
    PreferenceLine,
    SuppressionLine,
)
from comms.http.spool import Spool, spoken

_TOGETHER = 500
"""Lines that are written in one transaction, at most: those of one piece of the body."""


async def import_consents(call: Call) -> Answer:
    """Consents, line by line."""
    return await _import(call, KINDS["consents"])


async def import_preferences(call: Call) -> Answer:
    """Preferences, line by line."""
    return await _import(call, KINDS["preferences"])


async def import_suppressions(call: Call) -> Answer:
    """Suppressions, line by line."""
    return await _import(call, KINDS["suppressions"])


async def export_consents(call: Call) -> Answer:
    """All consents of the brand."""
    return await _export(call, KINDS["consents"])


async def export_preferences(call: Call) -> Answer:
    """All preferences of the brand."""
    return await _export(call, KINDS["preferences"])


async def export_suppressions(call: Call) -> Answer:
    """All suppressions of the brand that stand."""
    return await _export(call, KINDS["suppressions"])


async def _import(call: Call, kind: Kind) -> Answer:
    """Brand and token are checked now, while there is a status to say it with; and again with every piece."""
    call.caller.act_for(call.query.brand_id)
    await call.house.setup.require_brand(call.query.brand_id)
    named = call.request.headers.get("Content-Type", NDJSON).partition(";")[0].strip().lower()
    if named not in {NDJSON, CSV}:
        raise Refused(415, "unsupported_media_type", f"Send lines as {NDJSON}, or as {CSV}.")
    spool, lines = Spool(), Intake(call.house, kind, call.query.brand_id, is_csv=named == CSV)
    return Answer(spoken(spool, _take_in(call, lines, spool)), headers={"Content-Type": NDJSON})


async def _take_in(call: Call, lines: Intake, spool: Spool) -> None:
    """Reading waits for writing, so that memory stays flat; it never waits for the client to read."""
    last = 1
    try:
        async for piece in pieces(call.request, SILENCE_SECONDS):
            await spool.room()
            for verdict in await _verdicts(call, lines, lines.feed(piece)):
                last = verdict.line
                _tell(spool, verdict)
        for verdict in await _verdicts(call, lines, lines.end()):
            _tell(spool, verdict)
    except ClientDisconnect:
        pass
    except TimeoutError:
        _refuse(spool, last, too_slow("Nothing more came for", SILENCE_SECONDS))
    except Refused as refused:  # the names of the columns
        _refuse(spool, 1, refused)
    finally:
        spool.close()


async def _verdicts(call: Call, lines: Intake, records: list[Record]) -> list[ImportVerdict]:
    told, rest = list[ImportVerdict](), iter(records)
    while group := list(islice(rest, _TOGETHER)):
        try:
            told += await lines.verdicts(await call.renewed(), group)
        except Exception as error:  # noqa: BLE001 - one transaction: of this group nothing was written
            told += lines.refused(group, call.refused(error))
    return told


def _refuse(spool: Spool, line: int, refused: Refused) -> None:
    _tell(spool, ImportVerdict(line, refused.status, error=refused.code, message=refused.message))


def _tell(spool: Spool, verdict: ImportVerdict) -> None:
    spool.put(msgspec.json.encode(verdict) + b"\n")


async def _export(call: Call, kind: Kind) -> Answer:
    """The first page is read now: until then a refusal still has its status."""
    found = kind.pages(call.house, call.caller, call.query.brand_id)
    first: list[dict[str, Any]] = await anext(found, [])
    media = CSV if call.query.format == "csv" else NDJSON
    body = written(kind, _pages(call, first, found), is_csv=media == CSV)
    kept = f'attachment; filename="{call.request.url.path.rpartition("/")[2]}.{call.query.format}"'
    return Answer(body, headers={"Content-Type": f"{media}; charset=utf-8", "Content-Disposition": kept})


async def _pages(
    call: Call, first: list[dict[str, Any]], found: AsyncIterator[list[dict[str, Any]]]
) -> AsyncIterator[list[dict[str, Any]]]:
    if first:
        yield first
    async for page in found:
        await call.renewed()  # a token that is revoked meanwhile reads no further
        yield page


async def written(
    kind: Kind, found: AsyncIterator[list[dict[str, Any]]], *, is_csv: bool
) -> AsyncGenerator[bytes, None]:
    """Pages as NDJSON, or as CSV (RFC 4180) with a line of names first."""
    if not is_csv:
        async for page in found:
            yield b"".join(msgspec.json.encode(row) + b"\n" for row in page)
        return
    yield _table(kind, [dict(zip(kind.columns, kind.columns, strict=True))])
    async for page in found:
        yield _table(kind, page)


def _table(kind: Kind, page: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerows([_cell(row.get(name, "")) for name in kind.columns] for row in page)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else quoted(value)


def _routes(path: str, kind: str, line: Any, take: Any, show: Any) -> list[Route]:
    return [
        Route(
            "POST",
            f"{path}/import",
            PREFERENCES,
            take,
            f"Import {kind}, line by line",
            {200: ImportVerdict},
            {415: ("unsupported_media_type",), 422: (*INVALID, "unknown_brand")},
            line=line,
            media=(NDJSON, CSV),
            query=ImportQuery,
            tag="permission",
        ),
        Route(
            "GET",
            path,
            PREFERENCES,
            show,
            f"Export a brand's {kind}",
            {200: line},
            {422: (*INVALID, "unknown_brand")},
            media=(NDJSON, CSV),
            query=ExportQuery,
            tag="permission",
        ),
    ]


ROUTES = [
    *_routes("/v1/consents", "consents", ConsentLine, import_consents, export_consents),
    *_routes("/v1/preferences", "preferences", PreferenceLine, import_preferences, export_preferences),
    *_routes("/v1/suppressions", "suppressions", SuppressionLine, import_suppressions, export_suppressions),
]
