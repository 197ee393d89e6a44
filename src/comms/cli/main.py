"""The command `comms`. Each command's help teaches by example."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from comms import __version__, settings

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="where the embedded PostgreSQL and the master key live",
)


class _Commands(click.Group):
    """Says what went wrong in one sentence, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        from comms.domain.errors import Refused
        from comms.embedded_postgres import CannotStart
        from comms.privacy.keyring import MasterKeyWrong
        from comms.store.migrate import MigrationRefused

        try:
            return super().invoke(ctx)
        except (settings.BadSetting, CannotStart, MigrationRefused, MasterKeyWrong) as problem:
            _stop(str(problem))
        except Refused as refused:
            _stop(refused.message)
        except BrokenPipeError:
            raise
        except OSError as problem:
            _stop(f"The database can't be reached: {problem.strerror or type(problem).__name__}.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="comms")
def main() -> None:
    """Send the right message to the right person at the right time, once."""


@main.command()
@click.option("--host", help="address to listen on")
@click.option("--port", type=int, help="port to listen on; 0 picks a free one")
@data_dir_option
def serve(host: str | None, port: int | None, data_dir: Path | None) -> None:
    r"""Everything on one machine: PostgreSQL, migrations, API and worker.

    \b
      comms serve
      comms serve --port 9000 --data-dir ./comms-data
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms serve
    """
    from comms.cli.running import run

    run(_settings(host=host, port=port, data_dir=data_dir), api=True, worker=True)


@main.command()
@click.option("--host", help="address to listen on")
@click.option("--port", type=int, help="port to listen on; 0 picks a free one")
@data_dir_option
def api(host: str | None, port: int | None, data_dir: Path | None) -> None:
    r"""The API alone: for many machines on one database.

    \b
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms api --host 0.0.0.0
    """
    from comms.cli.running import run

    run(_settings(host=host, port=port, data_dir=data_dir), api=True, worker=False)


@main.command()
@data_dir_option
def worker(data_dir: Path | None) -> None:
    r"""A worker alone: shares the work of all others on the same database.

    \b
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms worker
      comms worker --data-dir ./comms-data     # beside a running comms serve
    """
    from comms.cli.running import run

    run(_settings(data_dir=data_dir), api=False, worker=True)


@main.command()
@click.option("--once", is_flag=True, help="stop after the messages; status 0 only if all went out")
@click.option("--port", type=int, help="port to listen on; 0 picks a free one")
@data_dir_option
def demo(once: bool, port: int | None, data_dir: Path | None) -> None:
    r"""Four messages, one a channel, each seen going out at its time.

    \b
      comms demo
      comms demo --once
    """
    from comms.cli import demo as demonstration
    from comms.cli.running import run

    async def meanwhile(house: Any, address: str) -> bool:
        return await demonstration.show_it(house, address, once=once)

    run(_settings(port=port, data_dir=data_dir), api=True, worker=True, meanwhile=meanwhile)


@main.command()
@data_dir_option
def migrate(data_dir: Path | None) -> None:
    r"""Bring the database's tables up to date. Safe to run twice, and by many at once.

    \b
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms migrate
      comms migrate --data-dir ./comms-data
    """
    from comms import wiring

    with wiring.database(_settings(data_dir=data_dir)) as dsn:
        applied = asyncio.run(wiring.bring_up_to_date(dsn))
    click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to do")


@main.command(name="settings")
def show_settings() -> None:
    r"""Name, type, default and meaning of every setting.

    \b
    Set one in the environment or in a file .env:
      COMMS_PORT=9000 comms settings
    """
    for variable, kind, default, meaning in settings.describe():
        click.echo(f"{variable}  {kind}{f'  [{default}]' if default else ''}\n    {meaning}")


@main.group()
def token() -> None:
    """Make, list and revoke tokens."""


@token.command(name="create")
@click.option("--brand", required=True, help="the brand that it may act for; * for any")
@click.option("--scope", "scopes", multiple=True, help="what it may do; repeat for more")
@click.option("--person", help="makes it a person's own token: inbox and preferences, nothing else")
@click.option("--name", help="to list and revoke it by")
@click.option("--expires", help="after 30d, 12h, 15m or 90s; never unless said")
@data_dir_option
def create_token(
    brand: str,
    scopes: tuple[str, ...],
    person: str | None,
    name: str | None,
    expires: str | None,
    data_dir: Path | None,
) -> None:
    r"""Print a new token: the only time that it is shown.

    \b
      comms token create --brand loop --scope write:messages --scope read:messages --name reminders
      comms token create --brand '*' --scope admin:comms --expires 1d
    """
    from comms.actions import tokens
    from comms.cli.local import OPERATOR, act

    lifetime = _duration(expires) if expires else None
    made = act(
        _settings(data_dir=data_dir),
        lambda house: tokens.create(house, OPERATOR, brand, list(scopes), name, lifetime, person),
    )
    click.echo(made)


@token.command(name="list")
@data_dir_option
def list_tokens(data_dir: Path | None) -> None:
    """Names, brands and scopes; never the tokens themselves."""
    from comms.actions import tokens
    from comms.cli.local import act

    for line in act(_settings(data_dir=data_dir), tokens.listed):
        click.echo("  ".join(line))


@token.command(name="revoke")
@click.argument("name")
@data_dir_option
def revoke_token(name: str, data_dir: Path | None) -> None:
    """Refuse a token from now on: within a second, in every process."""
    from comms.actions import tokens
    from comms.cli.local import OPERATOR, act

    if not act(_settings(data_dir=data_dir), lambda house: tokens.revoke(house, OPERATOR, name)):
        _stop("There is no live token of that name; comms token list shows them.")
    click.echo(f"revoked {name}")


def _settings(**given: Any) -> settings.Settings:
    """The settings in force, with what the command line says over them."""
    return msgspec.structs.replace(settings.load(), **{n: v for n, v in given.items() if v is not None})


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    if found is None:
        _stop("--expires takes a number and a unit, such as 30d, 12h, 15m or 90s.")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _stop(sentence: str) -> NoReturn:
    click.echo(f"comms: {sentence}", err=True)
    sys.exit(1)
