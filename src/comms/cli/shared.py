"""What every command shares: the settings in force, and one sentence for what went wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from comms import settings

port_option = click.option(
    "--port", type=click.IntRange(0, 65_535), help="port to listen on; 0 picks a free one"
)
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="where the embedded PostgreSQL and the master key live",
)


class Commands(click.Group):
    """Says what went wrong in one sentence, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except Exception as problem:
            sentence = _sentence(_innermost(problem))
            if sentence is None:
                raise
            stop(sentence)


def in_force(**given: Any) -> settings.Settings:
    """The settings, with what the command line says over them; from here on logs go where they should."""
    from comms import telemetry

    loaded = settings.load()
    telemetry.set_up(loaded.log_level)
    return msgspec.structs.replace(loaded, **{name: said for name, said in given.items() if said is not None})


def stop(sentence: str) -> NoReturn:
    """Say it on standard error and end with status 1."""
    click.echo(f"comms: {sentence}", err=True)
    sys.exit(1)


def _innermost(problem: Exception) -> Exception:
    """What a group of tasks ended with."""
    while isinstance(problem, ExceptionGroup) and len(problem.exceptions) == 1:
        problem = problem.exceptions[0]
    return problem


def _sentence(problem: Exception) -> str | None:
    """What a person is told; None for a fault of ours."""
    import asyncpg

    from comms.domain.errors import Refused
    from comms.embedded_postgres import CannotStart
    from comms.privacy.epochs import EpochKeyMissing
    from comms.privacy.keyring import MasterKeyWrong
    from comms.store.migrate import MigrationRefused

    said = (settings.BadSetting, CannotStart, MigrationRefused, MasterKeyWrong, EpochKeyMissing)
    if isinstance(problem, said):
        return str(problem)
    if isinstance(problem, Refused):
        return problem.message
    if isinstance(problem, asyncpg.PostgresError):
        return f"PostgreSQL refuses: {type(problem).__name__}."
    if isinstance(problem, OSError) and not isinstance(problem, BrokenPipeError):
        return f"The database can't be reached: {problem.strerror or type(problem).__name__}."
    return None
