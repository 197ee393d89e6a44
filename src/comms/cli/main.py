"""The command `comms`. Each command's help teaches by example."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import NoReturn

import click
import msgspec

from comms import __version__, settings


class _Command(click.Group):
    """Says what went wrong in one sentence, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        from comms.embedded_postgres import CannotStart
        from comms.store.migrate import MigrationRefused

        try:
            return super().invoke(ctx)
        except (settings.BadSetting, CannotStart, MigrationRefused) as problem:
            _stop(str(problem))
        except BrokenPipeError:
            raise
        except OSError as problem:
            _stop(f"The database can't be reached: {problem.strerror or type(problem).__name__}.")


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="comms")
def main() -> None:
    """Send the right message to the right person at the right time, once."""


@main.command(name="settings")
def show_settings() -> None:
    r"""Name, type, default and meaning of every setting.

    \b
    Set one in the environment or in a file .env:
      COMMS_PORT=9000 comms settings
    """
    for variable, kind, default, meaning in settings.describe():
        click.echo(f"{variable}  {kind}{f'  [{default}]' if default else ''}\n    {meaning}")


@main.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="where the embedded PostgreSQL lives")
def migrate(data_dir: Path | None) -> None:
    r"""Bring the database's tables up to date. Safe to run twice, and by many at once.

    \b
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms migrate
      comms migrate --data-dir ./comms-data
    """
    from comms import wiring

    with wiring.database(_settings(data_dir)) as dsn:
        applied = asyncio.run(wiring.bring_up_to_date(dsn))
    click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to do")


def _settings(data_dir: Path | None) -> settings.Settings:
    loaded = settings.load()
    return msgspec.structs.replace(loaded, data_dir=data_dir) if data_dir else loaded


def _stop(sentence: str) -> NoReturn:
    click.echo(f"comms: {sentence}", err=True)
    sys.exit(1)
