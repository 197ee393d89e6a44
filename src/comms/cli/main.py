"""The command `comms`. Each command's help teaches by example."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from comms import __version__
from comms.cli.audit import audit
from comms.cli.doctor import doctor
from comms.cli.keys import keys
from comms.cli.messages import message
from comms.cli.retention import retention
from comms.cli.sending import restored, resume
from comms.cli.shared import Commands, data_dir_option, in_force, port_option
from comms.cli.tokens import token
from comms.cli.transfers import CONSENTS, PREFERENCES, SUPPRESSIONS
from comms.settings import describe


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="comms")
def main() -> None:
    """Send the right message to the right person at the right time, once."""


@main.command()
@click.option("--host", help="address to listen on")
@port_option
@click.option(
    "--workers",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="how many processes, each an API and a worker",
)
@data_dir_option
def serve(host: str | None, port: int | None, workers: int, data_dir: Path | None) -> None:
    """Everything on one machine: PostgreSQL, migrations, API and worker.

    \b
      comms serve
      comms serve --port 9000 --data-dir ./comms-data
      comms serve --workers 4
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms serve
    """
    from comms.cli.running import run

    run(in_force(host=host, port=port, data_dir=data_dir), api=True, worker=True, processes=workers)


@main.command()
@click.option("--host", help="address to listen on")
@port_option
@data_dir_option
def api(host: str | None, port: int | None, data_dir: Path | None) -> None:
    """The API alone: for many machines on one database.

    \b
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms api --host 0.0.0.0
    """
    from comms.cli.running import run

    run(in_force(host=host, port=port, data_dir=data_dir), api=True, worker=False)


@main.command()
@click.option(
    "--metrics-port", type=click.IntRange(0, 65_535), help="port on loopback to show metrics on; 0 picks one"
)
@data_dir_option
def worker(metrics_port: int | None, data_dir: Path | None) -> None:
    """A worker alone: shares the work of all others on the same database.

    \b
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms worker
      comms worker --data-dir ./comms-data     # beside a running comms serve
      comms worker --metrics-port 9108         # and http://127.0.0.1:9108/metrics
    """
    from comms.cli.running import run

    run(in_force(metrics_port=metrics_port, data_dir=data_dir), api=False, worker=True)


@main.command()
@click.option("--once", is_flag=True, help="stop after the messages; status 0 only if all went out")
@port_option
@data_dir_option
def demo(once: bool, port: int | None, data_dir: Path | None) -> None:
    """Four messages, one a channel, each seen going out at its time.

    \b
      comms demo
      comms demo --once
    """
    from comms.cli import demo as demonstration
    from comms.cli.running import run

    async def meanwhile(house: Any, address: str) -> bool:
        return await demonstration.show_it(house, address, once=once)

    run(in_force(port=port, data_dir=data_dir), api=True, worker=True, meanwhile=meanwhile)


@main.command()
@click.option("--citus", is_flag=True, help="spread them over the machines of a distributed PostgreSQL")
@data_dir_option
def migrate(citus: bool, data_dir: Path | None) -> None:
    """Bring the database's tables up to date. Safe to run twice, and by many at once.

    \b
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms migrate
      comms migrate --data-dir ./comms-data
    With --citus, on a coordinator, they are spread by bucket as well; docs/scaling.md says what runs there.
    \b
      COMMS_DATABASE_URL=postgresql://comms@coordinator/comms comms migrate --citus
    """
    from comms import wiring

    settings = in_force(data_dir=data_dir)
    if settings.database_url is None:
        wiring.master_key(
            settings
        )  # a database without the key beside it would look like one whose key is lost
    with wiring.database(settings) as found:
        if citus:
            applied, spread = asyncio.run(wiring.spread_out(found.dsn))
        else:
            applied, spread = asyncio.run(wiring.bring_up_to_date(found.dsn)), []
    done = [f"applied {name}" for name in applied] + [f"spread {name}" for name in spread]
    click.echo("\n".join(done) or "nothing to do")
    if citus:
        click.echo("The tables are spread; this version does not send there yet: see docs/scaling.md.")


@main.command(name="settings")
def show_settings() -> None:
    """Name, type, default and meaning of every setting. Set them in the environment or in a file .env.

    \b
      comms settings
      COMMS_PORT=9000 comms serve
    """
    in_force()  # a variable that is misspelt is said so here as well
    for variable, kind, default, meaning in describe():
        click.echo(f"{variable}  {kind}{f'  [{default}]' if default else ''}\n    {meaning}")


main.add_command(message)
main.add_command(token)
main.add_command(keys)
main.add_command(retention)
for transfers in (CONSENTS, PREFERENCES, SUPPRESSIONS):
    main.add_command(transfers)
main.add_command(doctor)
main.add_command(restored)
main.add_command(resume)
main.add_command(audit)
