"""`comms restored` and `comms resume`: after the database has lost what it had acknowledged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from comms.cli.shared import data_dir_option, in_force

if TYPE_CHECKING:
    from comms.actions.house import House
    from comms.actions.sending import Choice, Doubtful


@click.command()
@data_dir_option
def restored(data_dir: Path | None) -> None:
    """Say that the database was restored: nothing is sent until `comms resume`. Before a worker starts.

    Workers notice it by themselves where they remember more than the database does. They can't where all that
    they remember was restored with it: a whole machine, or a data directory with its folder `witness`.

    \b
      comms restored --data-dir ./comms-data
      COMMS_DATABASE_URL=postgresql://comms@db/comms comms restored
    """
    from comms.actions import sending
    from comms.cli.local import OPERATOR, act

    paused = act(in_force(data_dir=data_dir), lambda house: sending.pause(house, OPERATOR))
    click.echo("Sending is paused." if paused else "Sending was paused already.")


@click.command()
@click.option("--safe", is_flag=True, help="what a provider would send twice is given up")
@click.option("--expire", is_flag=True, help="all of it is given up")
@click.option("--send", is_flag=True, help="all of it goes, perhaps a second time")
@data_dir_option
def resume(safe: bool, expire: bool, send: bool, data_dir: Path | None) -> None:
    """Send again after a pause. What was due before it may have been sent already: say what becomes of that.

    Without an option it says what that is, and changes nothing. Given up means expired, with the reason
    may_have_been_sent. What is due since the pause goes as it would have.

    \b
      comms resume
      comms resume --safe
      comms resume --expire --data-dir ./comms-data
    """
    from comms.actions import sending
    from comms.cli.local import OPERATOR, act

    async def look(house: House) -> list[Doubtful]:
        return await sending.doubtful(house)

    async def work(house: House) -> int:
        return await sending.resume(house, OPERATOR, choice) if choice else 0

    given: dict[Choice, bool] = {"safe": safe, "expire": expire, "send": send}
    chosen = [each for each, is_said in given.items() if is_said]
    if len(chosen) > 1:
        raise click.UsageError("say one of --safe, --expire and --send.")
    choice = chosen[0] if chosen else None
    settings = in_force(data_dir=data_dir)
    if choice:
        click.echo(f"Sending goes on; messages that were given up: {act(settings, work)}.")
        return
    found = act(settings, look)
    for each in found:
        known, twice = "its providers know our key", "some would be sent twice: --safe gives them up"
        about = f"brand {each.brand_id}, {each.channel}, {each.template_key}"
        click.echo(f"{about}: {each.messages} may have been sent; {known if each.is_safe else twice}")
    if not found:
        click.echo("Nothing was due before a pause.")
