"""`comms doctor`: what is wrong with this installation, and what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from comms.cli.shared import data_dir_option, in_force

if TYPE_CHECKING:
    from comms.actions.health import Finding
    from comms.settings import Settings

_LITTLE_SPACE = 1024**3


@click.command()
@data_dir_option
def doctor(data_dir: Path | None) -> None:
    """Look the installation over: files, database, master key, workers, routes, what is stuck.

    Changes nothing. Exit status 1 where something needs you.

    \b
      comms doctor
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms doctor
    """
    from comms import wiring
    from comms.actions.health import Finding
    from comms.store.database import connect_once
    from comms.store.migrate import missing

    settings = in_force(data_dir=data_dir)
    if settings.database_url is None and not (settings.data_dir / "postgres").exists():
        _tell([Finding("data directory", "nothing is set up here yet", "comms serve sets it up")])
    findings = [*_files(settings)]
    key = wiring.master_key(settings)
    with wiring.database(settings) as found:

        async def look() -> list[Finding]:
            connection = await connect_once(found.dsn)
            absent = await missing(connection)
            await connection.close()
            if absent:
                return [Finding("migrations", f"{len(absent)} to apply", "comms migrate applies them")]
            return await wiring.examine(found.dsn, settings, key)

        findings += asyncio.run(look())
    _tell(findings)


def _files(settings: Settings) -> Iterator[Finding]:
    """The data directory: who may read it, and how much room there is."""
    from comms.actions.health import Finding

    if settings.database_url is not None:
        return
    for path in (settings.data_dir, settings.data_dir / "master.key", settings.data_dir / "epochs"):
        if path.exists() and path.stat().st_mode & 0o077:
            yield Finding(path.name, "others on this machine may read it", f"chmod go= {path}")
    free = shutil.disk_usage(settings.data_dir).free
    room = f"{free / 1024**3:.1f} GiB free"
    yield Finding("disk", room, "make room, or move COMMS_DATA_DIR" if free < _LITTLE_SPACE else None)
    if not os.access(settings.data_dir, os.W_OK):
        yield Finding("data directory", "it can't be written", "chown it to the user that runs comms")


def _tell(findings: list[Finding]) -> None:
    for each in findings:
        mark = click.style("ok", fg="green") if each.advice is None else click.style("!!", fg="red")
        click.echo(f"{mark}  {each.what}: {each.found}" + (f" -> {each.advice}" if each.advice else ""))
    sys.exit(any(each.advice for each in findings))
