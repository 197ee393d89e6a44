"""Each vendor's page, followed word for word: what it has one set up takes a message, at the adapter's own test peer."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.house.test_docs import ROOT, blocks
from tests.journeys.story import ask, status, tools
from tests.providers.message_centre import centre
from tests.providers.signing import VOICES
from tests.providers.smtp_servers import sink
from tests.providers.vendor_cases import CASES
from tests.providers.vendor_server import vendor

from comms.actions import acceptance, brands, devices
from comms.actions.house import House
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.providers import catalogue
from comms.providers.http import Http
from comms.testing import FakeClock

pytestmark = pytest.mark.anyio

PAGES = sorted(each for each in (ROOT / "docs" / "providers").glob("*.md") if each.stem != "README")
BY_KIND = {case.kind: case for case in CASES}


def asked(page: Path) -> tuple[str, dict[str, Any]]:
    """The provider's id and the body of the first PUT: as JSON, or as what prints it."""
    [text] = [block.text for block in blocks(page) if block.language == "sh" and "-X PUT" in block.text][:1]
    name = re.search(r"/v1/providers/(\S+)", text)
    assert name
    if body := re.search(r"-d '\n(\{.*?\})'\n", text, re.DOTALL):
        return name[1], json.loads(body[1])
    made = re.search(r"json\.dumps\((\{.*?\})\)\)' <", text, re.DOTALL)
    assert made
    literal = (
        made[1].replace("sys.stdin.read()", '"from a file"').replace("json.load(sys.stdin)", '"from a file"')
    )
    return name[1], json.loads(literal)


@contextlib.asynccontextmanager
async def peer(kind: str, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The adapter's own, and what the page's settings have to be told to reach it."""
    if kind == "smtp":
        with sink(folder) as port:
            yield {"host": "localhost", "port": port, "tls": "none", "username": None}
    elif kind == "smpp":
        async with centre() as there:
            yield {"host": "127.0.0.1", "port": there.port, "tls": "none"}
    else:
        case = BY_KIND[kind]
        async with vendor(case.taken, aside=case.aside) as server:
            yield {"base_url": server.url}


def test_every_kind_has_its_page() -> None:
    ours = {"inbox", "sandbox"}
    assert {asked(page)[1]["kind"] for page in PAGES} == set(catalogue.KINDS) - ours
    listed = (ROOT / "docs" / "providers" / "README.md").read_text()
    assert [page.name for page in PAGES if f"]({page.name})" not in listed] == []


def test_every_kind_is_held_to_the_contract_and_its_events_are_recorded() -> None:
    """By the suite that all vendors pass, and by what each has to say; those with a protocol have their own."""
    ours, own_protocol = {"inbox", "sandbox"}, {"smtp", "smpp"}
    assert set(BY_KIND) == set(catalogue.KINDS) - ours - own_protocol
    speak = {name for name, kind in catalogue.KINDS.items() if kind.parse_events}
    assert {voice.kind for voice in VOICES} == speak - {
        "ses",
        "sns",
        "smtp",
    }  # test_amazon_events, test_bounces


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_its_users_must_know(page: Path) -> None:
    text = page.read_text()
    for title in ("Once", "Limits", "Answers worth knowing", "Health data"):
        assert f"\n## {title}\n" in text, title
    assert re.search(r"\*\*(Neither|Idempotent)\*\*", text), "its class"
    kind = catalogue.KINDS[asked(page)[1]["kind"]]
    for field in msgspec.structs.fields(kind.settings):
        assert f"`{field.encode_name}`" in text, field.encode_name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
async def test_what_a_page_sets_up_takes_a_message(
    house: House, loop_health: Caller, clock: FakeClock, page: Path, tmp_path: Path
) -> None:
    provider_id, body = asked(page)
    kind = body["kind"]
    channel = next(iter(catalogue.KINDS[kind].channels))
    secrets = body.get("secrets", {})
    if kind in BY_KIND:  # keys that the page has one make are no keys on paper
        secrets = {
            name: BY_KIND[kind].secrets[name] if channel == "push" else secrets[name] for name in secrets
        }
    async with peer(kind, tmp_path) as there, Http() as http:
        given = {**body.get("settings", {}), **there}
        settings = {name: value for name, value in given.items() if value is not None}
        shared: Any = {"baa": False, "limits": {}, "brands": ["loop"]}
        await brands.put_provider(house, loop_health, provider_id, kind, settings, secrets, **shared)
        brand = await house.setup.require_brand("loop")
        routes = msgspec.structs.replace(brand.settings.routes, **{channel: [provider_id]})
        changed = msgspec.structs.replace(brand.settings, routes=routes)
        await brands.put_brand(house, loop_health, "loop", changed)
        if channel == "push":
            await devices.put(house, loop_health, "loop", "p1", kind, BY_KIND[kind].token, None)
        request = ask(clock, channel, **({"recipient": "person"} if channel == "push" else {}))
        made = (await acceptance.schedule(house, loop_health, request)).message["id"]
        clock.advance(300)
        worker = Worker(house, tools(house, http))
        await worker.once()
        assert await status(house, loop_health, made) == "sent"
        await worker._accounts.close()
