"""`comms token`: made, shown once, listed, revoked."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import click

from comms.cli.shared import data_dir_option, in_force, stop

_LONGEST = timedelta(days=3_653)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.group()
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
    """Print a new token: the only time that it is shown.

    \b
      comms token create --brand loop --scope write:messages --scope read:messages --name reminders
      comms token create --brand '*' --scope admin:comms --expires 1d
    """
    from comms.actions import tokens
    from comms.cli.local import OPERATOR, act

    if not scopes and person is None:
        stop("Name what the token may do with --scope, or whose it is with --person.")
    lifetime = _duration(expires) if expires else None
    made = act(
        in_force(data_dir=data_dir),
        lambda house: tokens.create(house, OPERATOR, brand, list(scopes), name, lifetime, person),
        may_set_up=True,
    )
    click.echo(made)


@token.command(name="list")
@data_dir_option
def list_tokens(data_dir: Path | None) -> None:
    """Names, brands, scopes and expiry; never the tokens themselves.

    \b
      comms token list
    """
    from comms.actions import tokens
    from comms.cli.local import act

    for line in act(in_force(data_dir=data_dir), tokens.listed):
        click.echo("  ".join(line))


@token.command(name="revoke")
@click.argument("name")
@data_dir_option
def revoke_token(name: str, data_dir: Path | None) -> None:
    """Refuse a token from now on: within a second, in every process.

    \b
      comms token revoke reminders
    """
    from comms.actions import tokens
    from comms.cli.local import OPERATOR, act

    if not act(in_force(data_dir=data_dir), lambda house: tokens.revoke(house, OPERATOR, name)):
        stop("There is no live token of that name; comms token list shows them.")
    click.echo(f"revoked {name}")


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    if found is None:
        stop("--expires takes a number and a unit, such as 30d, 12h, 15m or 90s.")
    lifetime = timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    if lifetime > _LONGEST:
        stop("--expires takes ten years at most; leave it out for a token that never does.")
    return lifetime
