"""Persons of whom something is everywhere, and a house that can erase them."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comms.actions import (
    acceptance,
    consents,
    devices,
    suppressions,
    tokens,
)
from comms.actions.acceptor import Acceptor
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.setup import Setup
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.options import Options
from comms.privacy.epochs import EpochKeys
from comms.privacy.keyring import MasterKey
from comms.settings import Settings
from comms.store import keys as key_rows
from comms.store.database import Database
from comms.testing import FakeClock
from tests.journeys.story import RECIPIENTS, ask, tools
from tests.privacy.dump import SEALED, Read

MASTER = base64.b64encode(b"k" * 32).decode()
NAME, PERSON = "Xylophone", "Quetzal"
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def house(database: Database, clock: FakeClock, tmp_path: Path) -> House:
    """With a directory for the keys of epochs."""
    built = another(database, clock, tmp_path)
    built.setup.epochs.make(1)
    async with database.owner.acquire() as connection:
        await key_rows.add_epoch(connection, 1, built.setup.epochs.proof(1), clock.now())
    return built


def another(database: Database, clock: FakeClock, folder: Path) -> House:
    """Another process on the same database and directory."""
    master = MasterKey(MASTER)
    setup = Setup(database, master, clock, EpochKeys(master, folder))
    return House(database, setup, Acceptor(database, clock), clock, Settings())


@pytest.fixture
def worker(house: House) -> Worker:
    return Worker(house, tools(house))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def live(
    house: House, caller: Caller, clock: FakeClock, worker: Worker, person: str, name: str
) -> list[str]:
    """A person of whom something is in every table that holds content; what was sent, then what waits."""
    about = About("loop", person, "email", "news")
    mail = f"{person}@example.org".lower()
    await devices.put(house, caller, "loop", person, "fcm", f"token of {person}", None)
    await consents.put_consent(house, caller, about, opted_in=False, source=f"{name}'s call")
    await consents.put_consent(
        house, caller, replaced(about, category="offers"), opted_in=True, source=f"{name}'s form"
    )
    await consents.put_preference(house, caller, about, enabled=False)
    await consents.put_preference(house, caller, replaced(about, category="offers"), enabled=True)
    await tokens.create(house, caller, "loop", [], None, None, person)
    to = {"email": mail, "sms": RECIPIENTS["sms"], "push": "person", "in_app": person}
    made = []
    for channel, recipient in to.items():
        changes: dict[str, Any] = {"recipient": recipient, "variables": {"name": name}}
        asked = ask(clock, channel, person_id=person, dedup_key=f"{channel} {person}", **changes)
        made.append((await acceptance.schedule(house, caller, asked)).message["id"])
    clock.advance(300)
    while await worker.once():
        pass
    later = ask(clock, person_id=person, dedup_key=f"later {person}", variables={"name": name})
    later = replace(later, options=Options(subject=f"{name}'s appointment"))
    made.append((await acceptance.schedule(house, caller, later)).message["id"])
    await suppressions.add(house, caller, "loop", mail, "complaint", f"{name}'s letter")
    return made


def replaced(about: About, **changes: str) -> About:
    return msgspec.structs.replace(about, **changes)


def of(found: list[Read], *words: str) -> set[tuple[str, str]]:
    """Where something of a person can be read."""
    return {
        (each.table, each.column)
        for each in found
        if any(word.lower().encode() in each.text.lower() for word in words)
    }


EVERYWHERE = {(table, column) for table, columns in SEALED.items() for column, _, _ in columns}


async def destroyed(house: House) -> None:
    """Once the key is."""
    while not await house.database.owner.fetchval("select count(*) from person_key where wrapped is null"):
        await house.database.owner.fetchval("select 1")
