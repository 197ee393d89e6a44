"""`comms consents`, `preferences` and `suppressions`: files in and out, on the database itself.

What a file holds goes to a file or to standard output, what happens to it to standard error: so that
an export can be piped, and a terminal shows how far it is.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import msgspec

from comms.cli.shared import data_dir_option, in_force

if TYPE_CHECKING:
    from comms.actions.house import House
    from comms.http.intake import Kind

_PIECE = 64 * 1024
_TOGETHER = 500
_TOLD = 20
"""Refused lines that a person is shown; scripts ask for all with --json."""

_EVERY = 0.2

_ADA = '{"person_id": "ada", "channel": "email", "category": "news", %s}'


class _Progress:
    """One line on a terminal, written over itself; nothing elsewhere."""

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._shows = sys.stderr.isatty()
        self._at = 0.0

    def show(self, count: int, refused: int = 0, done: int = 0) -> None:
        now = time.monotonic()
        if self._shows and now - self._at > _EVERY:
            self._at = now
            share = f"  {100 * done // self._size} %" if self._size else ""
            click.echo(f"\r{count:,} lines, {refused:,} refused{share}  ", nl=False, err=True)

    def end(self) -> None:
        if self._shows:
            click.echo("\r" + " " * 60 + "\r", nl=False, err=True)

    def say(self, sentence: str) -> None:
        """A line that stays."""
        self.end()
        click.echo(sentence, err=True)


def _commands(name: str, example: str) -> click.Group:
    """The group of one kind; `example` is a line of it."""

    @click.group(name=name, help=f"Import and export {name}.")
    def group() -> None:
        pass

    @group.command(
        name="import",
        help=f"""Take {name} in from FILE: NDJSON, or CSV with a line of names first (- for standard input).

        Exit status 1 where a line was refused; the others are taken.

        \b
          comms {name} import {name}.csv --brand loop
          echo '{example}' |
            comms {name} import - --brand loop
        """,
    )
    @click.argument("file", type=click.File("rb"))
    @click.option("--brand", required=True, help="whose they are")
    @click.option(
        "--format", "form", type=click.Choice(["ndjson", "csv"]), help="by the name of FILE, unless said"
    )
    @click.option("--json", "as_json", is_flag=True, help="for scripts: a verdict a line, as the API answers")
    @data_dir_option
    def take_in(file: IO[bytes], brand: str, form: str | None, as_json: bool, data_dir: Path | None) -> None:
        is_csv = (form or Path(file.name).suffix.lstrip(".").lower()) == "csv"
        refused, taken = _import(_kind(name), file, brand, data_dir, is_csv=is_csv, as_json=as_json)
        if not as_json:
            click.echo(f"{taken:,} taken, {refused:,} refused")
        sys.exit(refused > 0)

    @group.command(
        name="export",
        help=f"""Write all {name} of a brand that stand, to import them again or to read them elsewhere.

        \b
          comms {name} export --brand loop --format csv --output {name}.csv
          comms {name} export --brand loop --output {name}.ndjson
        """,
    )
    @click.option("--brand", required=True, help="whose they are")
    @click.option(
        "--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True
    )
    @click.option(
        "--output", type=click.File("wb", lazy=True), default="-", help="a file; standard output unless said"
    )
    @data_dir_option
    def write_out(brand: str, form: str, output: IO[bytes], data_dir: Path | None) -> None:
        count = _export(_kind(name), output, brand, data_dir, is_csv=form == "csv")
        click.echo(f"{count:,} written", err=True)

    return group


def _import(
    kind: Kind, file: IO[bytes], brand: str, data_dir: Path | None, *, is_csv: bool, as_json: bool
) -> tuple[int, int]:
    """How many lines were refused, and how many taken."""
    from comms.cli.local import OPERATOR, act
    from comms.http.intake import Intake

    progress = _Progress(os.fstat(file.fileno()).st_size)  # of a pipe nobody knows

    async def work(house: House) -> tuple[int, int]:
        lines, counted, done = Intake(house, kind, brand, is_csv=is_csv), [0, 0], 0
        while piece := file.read(_PIECE):
            done += len(piece)
            await take(lines, lines.feed(piece), counted)
            progress.show(sum(counted), counted[0], done)
        await take(lines, lines.end(), counted)
        progress.end()
        return counted[0], counted[1]

    async def take(lines: Intake, records: list[Any], counted: list[int]) -> None:
        for begin in range(0, len(records), _TOGETHER):
            for verdict in await lines.verdicts(OPERATOR, records[begin : begin + _TOGETHER]):
                counted[verdict.status == 200] += 1
                if as_json:
                    click.echo(msgspec.json.encode(verdict).decode())
                elif verdict.status != 200 and counted[0] <= _TOLD:
                    progress.say(f"line {verdict.line}: {verdict.message}")

    return act(in_force(data_dir=data_dir), work)


def _export(kind: Kind, output: IO[bytes], brand: str, data_dir: Path | None, *, is_csv: bool) -> int:
    from comms.cli.local import OPERATOR, act
    from comms.http.transfers import written

    async def work(house: House) -> int:
        progress, count = _Progress(), 0

        async def counted() -> AsyncIterator[list[dict[str, Any]]]:
            nonlocal count
            async for page in kind.pages(house, OPERATOR, brand):
                count += len(page)
                yield page

        async for piece in written(kind, counted(), is_csv=is_csv):
            output.write(piece)
            progress.show(count)
        progress.end()
        return count

    return act(in_force(data_dir=data_dir), work)


def _kind(name: str) -> Kind:
    from comms.http.intake import KINDS

    return KINDS[name]


CONSENTS = _commands("consents", _ADA % '"opted_in": true, "source": "form"')
PREFERENCES = _commands("preferences", _ADA % '"enabled": false')
SUPPRESSIONS = _commands("suppressions", '{"number": "+15555550123", "reason": "manual", "source": "call"}')
