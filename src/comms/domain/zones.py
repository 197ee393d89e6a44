"""Time zones, from the database that is installed and locked with comms.

So every process of one version knows the same rules, whatever its machine has; and when they
change is known: with a version of the package `tzdata`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from zoneinfo import ZoneInfo

_OWN_USE = {"Factory", "localtime"}
"""Names that stand in the database for its own use."""


def release() -> str:
    """The rules in force: the IANA release, such as `2026.1`."""
    return version("tzdata")


@cache
def names() -> frozenset[str]:
    """Every zone there is."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split()) - _OWN_USE


@cache
def zone(name: str) -> ZoneInfo:
    """The zone's rules; KeyError where there is no such zone."""
    if name not in names():
        raise KeyError("no such time zone")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def instant(wall: datetime, name: str, near: datetime) -> datetime:
    """When the clocks of a zone show `wall`. Of two such times the one next to `near`; of none, the time
    that the clocks jump to (RFC 5545, section 3.3.5).
    """
    rules = zone(name)
    found = [wall.replace(tzinfo=rules, fold=fold).astimezone(UTC) for fold in (0, 1)]
    true = [each for each in found if each.astimezone(rules).replace(tzinfo=None) == wall]
    return min(true or found[:1], key=lambda each: abs(each - near))
