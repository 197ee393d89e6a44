"""`comms audit`: the ledger, exported and proved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from comms.cli.shared import data_dir_option, in_force, stop

if TYPE_CHECKING:
    from comms.actions.audit import Proof
    from comms.actions.house import House


@click.group()
def audit() -> None:
    """Prove that what happened is what is written down."""


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@data_dir_option
def export(file: Path, data_dir: Path | None) -> None:
    """Write all entries, and the chain over them, to a new file; - is standard output.

    \b
      comms audit export ledger-2026-11.ndjson
      comms audit export -
    """
    from comms.actions.audit import export as lines
    from comms.cli.local import act

    is_output = str(file) == "-"
    try:
        out = sys.stdout if is_output else file.open("x", encoding="utf-8")
    except OSError as error:
        stop(f"{file} can't be written: {error.strerror}.")

    async def write(house: House) -> None:
        async for line in lines(house):
            out.write(line + "\n")

    with out:
        act(in_force(data_dir=data_dir), write)


@audit.command()
@click.argument(
    "file",
    required=False,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
)
@click.option("--head", help="the hash of a link, noted elsewhere: the chain must hold it")
@data_dir_option
def verify(file: Path | None, head: str | None, data_dir: Path | None) -> None:
    """Follow the chain over the ledger, or over an export, for which nothing else is needed.

    Names the first broken entry, with exit status 1.

    \b
      comms audit verify
      comms audit verify --head "$(cat head-of-last-month)"
      comms audit verify ledger.ndjson
    """
    from comms.actions import audit as actions
    from comms.cli.local import act
    from comms.domain.chain import Broken

    try:
        if file is None:
            _tell(act(in_force(data_dir=data_dir), lambda house: actions.verify(house, head)))
        else:
            with click.open_file(str(file), encoding="utf-8", errors="replace") as lines:
                _tell(actions.verify_lines(lines, head))
    except Broken as broken:
        _name(broken)
    except FileNotFoundError:
        stop(f"There is no file {file}.")


def _tell(proof: Proof) -> None:
    click.echo(f"{proof.entries} entries, chain intact")
    click.echo(f"{proof.unchained} not yet chained")
    if proof.head:
        click.echo(f"head {proof.head}")


def _name(broken: Exception) -> NoReturn:
    click.echo(f"broken: {broken}")
    sys.exit(1)
