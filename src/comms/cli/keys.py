"""`comms keys`: what there is of them, and how they are replaced."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from comms.cli.shared import data_dir_option, in_force, stop

if TYPE_CHECKING:
    from comms.actions.house import House
    from comms.actions.rotation import Progress

json_option = click.option("--json", "as_json", is_flag=True, help="a line of JSON at a time, for scripts")


@click.group()
def keys() -> None:
    """Replace the keys that seal, while everything goes on; and see what there is of them."""


@keys.command()
@click.option("--brand", help="the brand whose key is replaced")
@click.option("--all", "every", is_flag=True, help="every brand's")
@json_option
@data_dir_option
def rotate(brand: str | None, every: bool, as_json: bool, data_dir: Path | None) -> None:
    """Give a brand a new key, seal everything anew under it, destroy the older one.

    While it runs both keys open, messages are accepted and sent, and nobody needs to stop. Broken off,
    it goes on where it is asked for again. It takes at least as long as two leases, for what was begun
    under the older key to end.

    \b
      comms keys rotate --brand loop
      comms keys rotate --all --json
    """
    from comms.actions import rotation
    from comms.cli.local import OPERATOR, act

    if bool(brand) == every:
        stop("Name one brand with --brand, or all of them with --all.")
    in_line = not as_json and sys.stdout.isatty()

    async def work(house: House) -> int:
        wanted = [brand] if brand else await rotation.all_brands(house)
        if not wanted:
            return 0
        return await rotation.rotate(house, OPERATOR, wanted, _teller(in_line=in_line))

    sealed = act(in_force(data_dir=data_dir), work)
    if in_line:
        click.echo(f"\r\033[K{sealed:,} rows are sealed anew; the older keys are destroyed.")
    else:
        click.echo(msgspec.json.encode({"done": True, "sealed": sealed}))


@keys.command()
@json_option
@data_dir_option
def rewrap(as_json: bool, data_dir: Path | None) -> None:
    """Wrap all keys with the first of two master keys: the second can be thrown away then.

    COMMS_MASTER_KEY, or the file that holds it, has both, the new one first. Nothing that is sealed changes.
    On several machines every process must know both before this is run.

    \b
      COMMS_MASTER_KEY="$NEW,$OLD" comms keys rewrap
      printf '%s\\n' "$NEW" "$OLD" > comms-data/master.key && comms keys rewrap
    """
    from comms.actions import rewrapping
    from comms.cli.local import act

    changed = act(in_force(data_dir=data_dir), rewrapping.rewrap)
    if as_json:
        click.echo(msgspec.json.encode(changed._asdict()))
    else:
        click.echo(
            f"wrapped anew: {changed.brand_keys} keys of brands, {changed.providers} providers' secrets, "
            f"{changed.persons} persons' secrets"
        )


@keys.command()
@json_option
@data_dir_option
def status(as_json: bool, data_dir: Path | None) -> None:
    """Which keys there are and since when; never the keys themselves.

    \b
      comms keys status
      comms keys status --json
    """
    from comms.actions import rewrapping
    from comms.cli.local import act

    found = act(in_force(data_dir=data_dir), rewrapping.status)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for each in found["brands"]:
        newest = each["key_ids"][-1]
        under_way = "  a rotation is under way: comms keys rotate goes on" if len(each["key_ids"]) > 1 else ""
        click.echo(f"brand {each['brand_id']}: key {newest} seals, since {each['since']}{under_way}")
    for each in found["epochs"]:
        ended = f", destroyed {each['destroyed_at']}" if each["destroyed_at"] else ""
        replaced = f", replaced {each['replaced_at']}" if each["replaced_at"] else ", in force"
        click.echo(
            f"epoch {each['epoch']}: {each['persons']} persons, made {each['made_at']}{replaced}{ended}"
        )
    if not found["epochs"]:
        click.echo("epochs: none; the master key wraps persons' secrets (COMMS_EPOCH_KEYS_DIR)")
    if found["to_rewrap"]:
        click.echo(
            f"master key: {found['to_rewrap']} wrappings of an older one; comms keys rewrap changes them"
        )


def _teller(*, in_line: bool) -> Callable[[Progress], None]:
    """A line that is written over, or a line of JSON a second."""
    import time

    told = float("-inf")

    def tell(progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told < (0.1 if in_line else 1.0):
            return
        told = time.monotonic()
        if in_line:
            click.echo(f"\r\033[K{_words(progress)}", nl=False)
        else:
            click.echo(msgspec.json.encode(progress._asdict()))

    return tell


def _words(progress: Progress) -> str:
    if progress.doing == "waits":
        return f"{progress.sealed:,} rows sealed anew; what was begun before ends in {progress.seconds} s"
    share = 100 * progress.seen // max(progress.total, 1)
    return f"round {progress.round}, {progress.doing}: {share} %, {progress.sealed:,} rows sealed anew"
