"""Pages behind signed addresses: what they show, what they change, and what they never give away."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx2 as httpx
import msgspec
import pytest

from comms.actions import addresses, consents, templates, tokens
from comms.actions.addresses import Reader
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.templates import NewTemplate
from comms.cli.local import OPERATOR
from comms.domain.caller import Caller
from comms.http.app import application
from comms.settings import Settings
from comms.testing import FakeClock

pytestmark = pytest.mark.anyio

PUBLIC = "https://comms.example.org/sub"
WHO = "ada.private"


@pytest.fixture
async def open_house(house: House, loop_health: Caller) -> House:
    """A house with an address that persons know, and three topics of which one is transactional."""
    made = replace(house, settings=msgspec.structs.replace(Settings(), public_url=PUBLIC + "/"))
    for channel, category in (("email", "news"), ("sms", "news"), ("email", "health-tips")):
        new = NewTemplate("loop", f"{category}-{channel}", channel, None, category, 60, "prefer_silence")
        template = await templates.create(made, loop_health, new)
        await templates.add_version(made, loop_health, UUID(template["id"]), {"subject": "s", "body": "b"})
    draft = NewTemplate("loop", "draft", "push", None, "drafts", 60, "prefer_silence")
    await templates.create(made, loop_health, draft)
    return made


@pytest.fixture
async def client(open_house: House) -> AsyncIterator[httpx.AsyncClient]:
    token = await tokens.create(open_house, OPERATOR, "*", ["admin:comms"], "everything", None, None)
    transport = httpx.ASGITransport(application(open_house))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://comms.test", headers=headers
    ) as opened:
        yield opened


def path(url: str) -> str:
    assert url.startswith(PUBLIC + "/")
    return url.removeprefix(PUBLIC)


async def link(client: httpx.AsyncClient, **changes: Any) -> Any:
    asked = {"brand_id": "loop", "person_id": WHO, **changes}
    answer = await client.post("/v1/preferences/link", json=asked)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def unsubscribe_link(house: House, category: str = "news") -> str:
    brand = await house.setup.require_brand("loop")
    return path(addresses.unsubscribe(house, brand, Reader(WHO, "email", category)))


def ticked(page: str) -> dict[str, bool]:
    boxes = re.findall(r'<input type="checkbox" [^>]*value="([^"]+)"( checked)?>', page)
    return {value: bool(checked) for value, checked in boxes}


async def said(house: House, caller: Caller) -> set[tuple[str, str, bool, str]]:
    found = await consents.consents(house, caller, "loop", WHO, 100, None)
    return {(each["channel"], each["category"], each["opted_in"], each["source"]) for each in found}


async def test_a_link_is_made_by_who_may_and_tells_when_it_ends(
    client: httpx.AsyncClient, open_house: House
) -> None:
    made = await link(client, expires_in=3600)
    assert list(made) == ["url", "expires_at"]
    assert made["expires_at"] == "2030-01-01T13:00:00.000Z"
    assert re.fullmatch(re.escape(PUBLIC) + r"/p/[\w-]+", made["url"])
    assert WHO not in made["url"]
    weak = await tokens.create(open_house, OPERATOR, "loop", ["write:messages"], "weak", None, None)
    own = await tokens.create(open_house, OPERATOR, "loop", [], "own", None, WHO)
    for token in (weak, own):
        answer = await client.post(
            "/v1/preferences/link",
            json={"brand_id": "loop", "person_id": WHO},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("seconds", [0, 59, 7_776_001, -1, "60"])
async def test_a_link_s_life_has_bounds(client: httpx.AsyncClient, seconds: Any) -> None:
    asked = {"brand_id": "loop", "person_id": WHO, "expires_in": seconds}
    answer = await client.post("/v1/preferences/link", json=asked)
    assert (answer.status_code, answer.json()["error"]) == (422, "validation_error")


async def test_without_a_public_address_there_are_no_links(house: House, loop_health: Caller) -> None:
    assert loop_health.brand_id == "*"
    token = await tokens.create(house, OPERATOR, "*", ["admin:comms"], "everything", None, None)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application(house)), base_url="http://comms.test"
    ) as client:
        answer = await client.post(
            "/v1/preferences/link",
            json={"brand_id": "loop", "person_id": WHO},
            headers={"Authorization": f"Bearer {token}"},
        )
    assert (answer.status_code, answer.json()["error"]) == (422, "no_public_url")


async def test_the_page_shows_what_would_come(
    client: httpx.AsyncClient, open_house: House, loop_health: Caller
) -> None:
    url = path((await link(client))["url"])
    page = (await client.get(url)).text
    assert ticked(page) == {"email health-tips": False, "email news": False, "sms news": False}
    for channel in ("email", "sms"):
        about = About("loop", WHO, channel, "news")
        await consents.put_consent(open_house, loop_health, about, opted_in=True, source="form")
    await consents.put_preference(open_house, loop_health, About("loop", WHO, "sms", "news"), enabled=False)
    page = (await client.get(url)).text
    assert ticked(page) == {"email health-tips": False, "email news": True, "sms news": False}
    assert "transactional" not in page
    assert WHO not in page


async def test_what_is_chosen_is_kept_with_its_source_and_the_rest_stays(
    client: httpx.AsyncClient, open_house: House, loop_health: Caller
) -> None:
    url = path((await link(client))["url"])
    about = About("loop", WHO, "email", "news")
    await consents.put_consent(open_house, loop_health, about, opted_in=True, source="form")
    shown = ["email health-tips", "email news"]
    form = {
        "shown": [*shown, "email transactional", "fax news", "nonsense"],
        "on": ["email health-tips", "sms news"],
    }
    answer = await client.post(url, data=form)
    assert answer.status_code == 200
    assert "Your choices are saved." in answer.text
    assert ticked(answer.text) == {"email health-tips": True, "email news": False, "sms news": False}
    assert await said(open_house, loop_health) == {
        ("email", "health-tips", True, "preferences page"),
        ("email", "news", True, "form"),
    }
    preferences = await consents.preferences(open_house, loop_health, "loop", WHO, 100, None)
    assert [(each["category"], each["enabled"]) for each in preferences] == [("news", False)]
    back = await client.post(url, data={"shown": shown, "on": shown})
    assert ticked(back.text)["email news"] is True
    assert ("email", "news", True, "form") in await said(open_house, loop_health)
    actors = await open_house.database.owner.fetch(
        "select distinct actor from ledger where event = 'preference_put'"
    )
    assert [row["actor"] for row in actors] == ["preferences page"]


async def test_everything_can_be_turned_off_at_once(
    client: httpx.AsyncClient, open_house: House, loop_health: Caller
) -> None:
    url = path((await link(client))["url"])
    shown = ["email health-tips", "email news", "sms news"]
    assert all(ticked((await client.post(url, data={"shown": shown, "on": shown})).text).values())
    answer = await client.post(url, data={"shown": shown, "on": shown, "nothing": "1"})
    assert not any(ticked(answer.text).values())
    assert {opted_in for _, _, opted_in, _ in await said(open_house, loop_health)} == {True}


async def test_who_has_unsubscribed_may_come_back_on_the_page(
    client: httpx.AsyncClient, open_house: House, loop_health: Caller
) -> None:
    gone = await client.post(await unsubscribe_link(open_house))
    assert "You are unsubscribed" in gone.text
    assert await said(open_house, loop_health) == {("email", "news", False, "unsubscribe link")}
    url = path((await link(client))["url"])
    shown = {"shown": ["email news"], "on": ["email news"]}
    assert ticked((await client.post(url, data=shown)).text)["email news"] is True
    assert await said(open_house, loop_health) == {("email", "news", True, "preferences page")}


@pytest.mark.parametrize(
    "more",
    [
        {"data": {"List-Unsubscribe": "One-Click"}},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {},
        {"content": b"\xff\x00"},
    ],
)
async def test_one_click_is_understood_in_every_form(
    client: httpx.AsyncClient, open_house: House, loop_health: Caller, more: dict[str, Any]
) -> None:
    answer = await client.post(await unsubscribe_link(open_house), **more)
    assert answer.status_code == 200
    assert await said(open_house, loop_health) == {("email", "news", False, "unsubscribe link")}


async def test_looking_changes_nothing(
    client: httpx.AsyncClient, open_house: House, loop_health: Caller
) -> None:
    url = await unsubscribe_link(open_house)
    for method in ("GET", "HEAD"):
        assert (await client.request(method, url)).status_code == 200
    assert (await client.put(url)).status_code == 405
    assert await said(open_house, loop_health) == set()


async def test_a_link_of_one_kind_is_none_of_the_other(client: httpx.AsyncClient, open_house: House) -> None:
    unsubscribe = await unsubscribe_link(open_house)
    preferences = path((await link(client))["url"])
    for url in (unsubscribe.replace("/u/", "/p/"), preferences.replace("/p/", "/u/")):
        for method in ("GET", "POST"):
            assert (await client.request(method, url)).status_code == 404


async def test_an_expired_link_says_so_in_one_sentence(
    client: httpx.AsyncClient, open_house: House, clock: FakeClock
) -> None:
    urls = [path((await link(client, expires_in=60))["url"]), await unsubscribe_link(open_house)]
    for url, life in zip(urls, (60, 731 * 86_400 - 60), strict=True):
        clock.advance(life - 1)
        assert (await client.get(url)).status_code == 200
        clock.advance(1)
        for method in ("GET", "POST"):
            answer = await client.request(method, url)
            assert answer.status_code == 410
            assert "<p>This link has expired. Follow the one in a newer message.</p>" in answer.text


@pytest.mark.parametrize(
    "what", ["x", "%00", "AAAA", "a" * 5000, "ä", "AQAEbG9vcA", "AQAEbm9uZQAAAAAAAAAAAAAAAAAAAAAAAAA"]
)
async def test_what_is_no_link_is_told_so(client: httpx.AsyncClient, what: str) -> None:
    for kind in "up":
        for method in ("GET", "POST"):
            answer = await client.request(method, f"/{kind}/{what}")
            assert answer.status_code == 404, answer.text
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert "<p>This link is not complete." in answer.text


async def test_a_link_of_somebody_who_was_erased_leads_nowhere(client: httpx.AsyncClient) -> None:
    """It would make them anew, and give consent in their name."""
    given = {"brand_id": "loop", "person_id": WHO, "channel": "email", "category": "news", "opted_in": True}
    assert (await client.put("/v1/consents", json={**given, "source": "form"})).status_code == 200
    there = path((await link(client))["url"])
    assert (await client.delete(f"/v1/persons/{WHO}?brand_id=loop")).status_code == 200
    assert (await client.get(there)).status_code == 410
    assert (await client.post(there, data={"on": "email news", "shown": "email news"})).status_code == 410
    listed = await client.get(f"/v1/consents/{WHO}?brand_id=loop")
    assert listed.json() == {"data": []}


async def test_what_a_brand_and_a_category_are_called_is_escaped(
    client: httpx.AsyncClient, open_house: House, loop_health: Caller
) -> None:
    await client.put("/v1/brands/loop", json={"name": "<i>Loop</i> & Co"})
    hostile = '"><script>alert(1)</script>'
    about = About("loop", WHO, "email", hostile)
    await consents.put_consent(open_house, loop_health, about, opted_in=True, source="form")
    url = path((await link(client))["url"])
    for page in (
        (await client.get(url)).text,
        (await client.get(await unsubscribe_link(open_house, hostile))).text,
    ):
        assert "<script" not in page
        assert "<i>" not in page
        assert "&lt;i&gt;Loop&lt;/i&gt; &amp; Co" in page
    switched = await client.post(url, data={"shown": f"email {hostile}"})
    assert "Your choices are saved." in switched.text
    [preference] = await consents.preferences(open_house, loop_health, "loop", WHO, 10, None)
    assert (preference["category"], preference["enabled"]) == (hostile, False)


async def test_nobody_keeps_frames_or_lists_the_pages(client: httpx.AsyncClient, open_house: House) -> None:
    good = path((await link(client))["url"])
    for url in (good, await unsubscribe_link(open_house), "/p/none"):
        headers = (await client.get(url)).headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Robots-Tag"] == "noindex, nofollow"
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        for rule in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert rule in policy
        assert "Set-Cookie" not in headers
    style = await client.get("/pages.css")
    assert (style.status_code, style.headers["Content-Type"]) == (200, "text/css; charset=utf-8")


async def test_a_form_that_is_too_large_or_none_is_refused_as_a_page(client: httpx.AsyncClient) -> None:
    url = path((await link(client))["url"])
    for content, status in ((b"x" * 262_145, 413), (b"shown=" + b"\xff", 422), (b"a=1&" * 4001, 422)):
        answer = await client.post(url, content=content)
        assert answer.status_code == status
        assert answer.text.startswith("<!doctype html>")


async def test_a_fault_of_ours_is_said_to_a_person(client: httpx.AsyncClient, open_house: House) -> None:
    url = path((await link(client))["url"])
    await open_house.database.owner.execute("alter table preference rename to preference_away")
    try:
        answer = await client.get(url)
    finally:
        await open_house.database.owner.execute("alter table preference_away rename to preference")
    assert answer.status_code == 500
    assert "<p>It is our fault, not yours. Try again in a few minutes.</p>" in answer.text
