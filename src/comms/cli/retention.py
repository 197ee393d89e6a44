"""`comms retention`: what is erased once it is over, and what would be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from comms.cli.shared import data_dir_option, in_force, stop

if TYPE_CHECKING:
    from comms.actions.house import House
    from comms.domain.brand import BrandSettings

days = click.IntRange(1, 36_500)


@click.command()
@click.option("--brand", help="this brand alone")
@click.option("--days", type=days, help="as if retention_days were this")
@click.option("--hipaa-days", type=days, help="as if hipaa_retention_days were this")
@click.option("--json", "as_json", is_flag=True, help="a line of JSON a brand, for scripts")
@data_dir_option
def retention(
    brand: str | None, days: int | None, hipaa_days: int | None, as_json: bool, data_dir: Path | None
) -> None:
    """How many messages' content is over by each brand's retention, and not erased yet. Changes nothing.

    What is erased does not come back: look here before you set a brand's retention_days.

    \b
      comms retention
      comms retention --brand loop --days 30
      comms retention --days 365 --hipaa-days 30 --json
    """
    from comms.actions import retention as actions
    from comms.cli.local import act

    async def look(house: House) -> list[actions.Over]:
        everyone = await actions.brands(house)
        wanted = [each for each in everyone if brand in (None, each.brand_id)]
        if brand and not wanted:
            stop("There is no brand with this id.")
        return [
            await actions.foresee(house, each.brand_id, _as_if(each.settings, days, hipaa_days))
            for each in wanted
        ]

    for each in act(in_force(data_dir=data_dir), look):
        if as_json:
            click.echo(msgspec.json.encode(each._asdict()))
        else:
            health = f", {each.hipaa:,} of them health data" if each.hipaa else ""
            click.echo(f"brand {each.brand_id}: {each.messages:,} messages to be erased{health}")


def _as_if(settings: BrandSettings, days: int | None, hipaa_days: int | None) -> BrandSettings:
    """The brand's settings, with what was asked for over them."""
    given = {"retention_days": days, "hipaa_retention_days": hipaa_days}
    return msgspec.structs.replace(settings, **{name: each for name, each in given.items() if each})
