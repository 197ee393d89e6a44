"""The console as a browser meets it: forms in, pages out, and nothing that another site could do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest

from comms.actions import acceptance, brands, consents, erasure, suppressions, templates, tokens
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.messages import get_scheduled
from comms.cli.local import OPERATOR
from comms.console.app import VIEWS, console
from comms.console.session import COOKIE
from comms.dispatch.worker import Worker
from comms.domain.brand import BrandSettings
from comms.domain.caller import Caller
from comms.domain.schedule import DEFAULT_MAX_LATE
from comms.settings import Settings
from comms.testing import FakeClock
from tests.journeys.story import ask, make_letter, tools

pytestmark = pytest.mark.anyio

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def browser(house: House, loop_health: Caller) -> AsyncIterator[httpx.AsyncClient]:
    assert loop_health.brand_id == "*"
    transport = httpx.ASGITransport(console(house))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://comms.test", follow_redirects=True
    ) as opened:
        yield opened


async def sign_in(browser: httpx.AsyncClient, house: House, *scopes: str, brand_id: str = "loop") -> str:
    token = await tokens.create(house, OPERATOR, brand_id, list(scopes), None, None, None)
    answer = await browser.post("/console/sign-in", data={"token": token})
    assert answer.status_code == 200, answer.text
    return token


async def made(house: House, caller: Caller, clock: FakeClock, **changes: Any) -> str:
    accepted = await acceptance.schedule(house, caller, ask(clock, **changes))
    return str(accepted.message["id"])


async def test_who_has_not_signed_in_is_shown_the_way_in(browser: httpx.AsyncClient) -> None:
    for method, address, _ in VIEWS:
        path = address.replace("{id}", str(UUID(int=7))).replace("{brand_id:path}", "loop")
        answer = await browser.request(method, path)
        assert "<h1>Sign in</h1>" in answer.text, address


async def test_the_cookie_is_for_the_console_alone_and_shows_nothing(
    browser: httpx.AsyncClient, house: House
) -> None:
    token = await sign_in(browser, house, "read:messages")
    assert token not in browser.cookies[COOKIE]
    answer = await browser.post("/console/sign-in", data={"token": token}, follow_redirects=False)
    given = answer.headers["Set-Cookie"]
    assert "Path=/console; HttpOnly; SameSite=Strict" in given
    assert "Secure" not in given
    behind = {"X-Forwarded-Proto": "https"}
    answer = await browser.post(
        "/console/sign-in", data={"token": token}, headers=behind, follow_redirects=False
    )
    assert answer.headers["Set-Cookie"].endswith("; Secure")


async def test_a_wrong_token_and_a_persons_own_are_refused(browser: httpx.AsyncClient, house: House) -> None:
    answer = await browser.post("/console/sign-in", data={"token": "comms_guess"})
    assert answer.status_code == 401
    assert "unknown, expired or revoked" in answer.text
    own = await tokens.create(house, OPERATOR, "loop", [], None, None, "p1")
    answer = await browser.post("/console/sign-in", data={"token": own})
    assert answer.status_code == 403
    assert COOKIE not in browser.cookies


@pytest.mark.parametrize("how", ["revoked", "old", "forged", "signed out"])
async def test_a_session_ends(browser: httpx.AsyncClient, house: House, clock: FakeClock, how: str) -> None:
    await tokens.create(house, OPERATOR, "loop", ["read:messages"], "agent", None, None)
    await sign_in(browser, house, "read:messages")
    assert "<h1>Messages</h1>" in (await browser.get("/console/messages")).text
    if how == "revoked":
        for name, *_ in await tokens.listed(house):
            await tokens.revoke(house, OPERATOR, name)
        house.setup.doubt()
    elif how == "old":
        clock.advance(timedelta(hours=12).total_seconds())
    elif how == "forged":
        forged = browser.cookies[COOKIE][:-8] + "AAAAAAA="
        browser.cookies.clear()
        browser.cookies.set(COOKIE, forged, path="/console")
    else:
        await browser.post("/console/sign-out")
    assert "<h1>Sign in</h1>" in (await browser.get("/console/messages")).text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
    ],
)
async def test_a_form_of_another_site_does_nothing(
    browser: httpx.AsyncClient,
    house: House,
    loop_health: Caller,
    clock: FakeClock,
    headers: dict[str, str],
) -> None:
    await sign_in(browser, house, "admin:comms")
    message = await made(house, loop_health, clock)
    answer = await browser.post(f"/console/messages/{message}/cancel", headers=headers)
    assert answer.status_code == 403
    assert (await get_scheduled(house, loop_health, UUID(message)))["status"] == "scheduled"


async def test_a_message_is_found_by_what_must_not_stand_in_an_address(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await sign_in(browser, house, "read:messages")
    message = await made(house, loop_health, clock, dedup_key="visit-1", person_id="ada")
    other = await made(house, loop_health, clock, dedup_key="visit-2", person_id="bob", channel="email")
    for asked in ({"person_id": "ada"}, {"recipient": "+15555550123"}, {"dedup_key": "visit-1"}):
        answer = await browser.post("/console/messages", data=asked)
        assert (message in answer.text, other in answer.text) == (True, False), asked
        assert answer.url.path == "/console/messages"
    answer = await browser.post("/console/messages", data={"dedup_key": "never"})
    assert "No message fits." in answer.text
    answer = await browser.post("/console/messages", data={"id": message})
    assert answer.url.path == f"/console/messages/{message}"


async def test_older_ones_follow_with_the_same_narrowing(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await sign_in(browser, house, "read:messages")
    keys = [f"key-{n}" for n in range(51)]
    for key in keys:
        await made(house, loop_health, clock, dedup_key=key, person_id="ada")
    first = await browser.post("/console/messages", data={"person_id": "ada"})
    hidden = dict(
        re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', first.text.partition("</table>")[2])
    )
    assert hidden["person_id"] == "ada"
    rest = await browser.post("/console/messages", data=hidden)
    assert (
        rest.text.count('<a href="/console/messages/') - first.text.count('<a href="/console/messages/')
        == -49
    )


async def test_a_message_tells_what_happened_and_why(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await sign_in(browser, house, "read:messages")
    message = await made(house, loop_health, clock)
    clock.advance(300)
    await Worker(house, tools(house)).once()
    text = (await browser.get(f"/console/messages/{message}")).text
    for told in (
        "was taken by the provider",
        "Nothing speaks against it.",
        "Handed to the provider",
        "it would have come too late.</li>",
        "lateness",
    ):
        assert told in text, told
    assert '<button class="danger">' not in text


async def test_what_was_not_sent_says_in_words_on_what_that_rests_and_what_would_have_let_it_go(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await sign_in(browser, house, "read:messages")
    await make_letter(house, loop_health, "news")
    message = await made(house, loop_health, clock, template_key="letter", person_id="p1")
    await consents.unsubscribe(house, loop_health, About("loop", "p1", "sms", "news"))
    clock.advance(300)
    await Worker(house, tools(house)).once()
    text = (await browser.get(f"/console/messages/{message}")).text
    assert "<p>It would have gone if consent " in text
    assert " had not been withdrawn on 2030-01-01T12:00:00.000Z.</p>" in text
    words, _, raw = text.partition("<details>")
    assert "<li>Its template&#39;s category is news.</li>" in words
    assert "<li>The person withdrew consent to this category on this channel on " in words
    assert "usable providers" not in words
    assert '<th scope="row">consent</th>' in raw.partition("</details>")[0]
    sent = await made(house, loop_health, clock, dedup_key="other")
    clock.advance(300)
    await Worker(house, tools(house)).once()
    assert "It would have gone if" not in (await browser.get(f"/console/messages/{sent}")).text


async def test_a_waiting_message_is_cancelled_once(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await sign_in(browser, house, "read:messages", "write:messages")
    message = await made(house, loop_health, clock)
    answer = await browser.post(f"/console/messages/{message}/cancel")
    assert "was cancelled before it went" in answer.text
    clock.advance(300)
    assert await Worker(house, tools(house)).once() == 0


async def test_what_is_too_late_to_cancel_says_so(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await sign_in(browser, house, "read:messages", "write:messages")
    message = await made(house, loop_health, clock)
    clock.advance(300)
    await Worker(house, tools(house)).once()
    answer = await browser.post(f"/console/messages/{message}/cancel")
    assert answer.status_code == 409
    assert "The message was sent already and can&#39;t be cancelled." in answer.text


async def test_an_unknown_message_is_settled(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await sign_in(browser, house, "read:messages", "write:messages")
    message = await made(house, loop_health, clock, recipient="+15555550004")
    clock.advance(300)
    await Worker(house, tools(house)).once()
    assert "say how it ended" in (await browser.get(f"/console/messages/{message}")).text
    assert (await browser.post(f"/console/messages/{message}/settle")).status_code == 422
    answer = await browser.post(f"/console/messages/{message}/settle", data={"outcome": "sent"})
    assert "was taken by the provider" in answer.text


async def test_a_token_sees_its_own_brand_alone(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await brands.put_brand(house, loop_health, "other", BrandSettings(name="Other"))
    await sign_in(browser, house, "admin:comms", brand_id="other")
    message = await made(house, loop_health, clock)
    assert (await browser.get(f"/console/messages/{message}")).status_code == 404
    assert (await browser.post(f"/console/messages/{message}/cancel")).status_code == 404
    assert (await browser.get("/console/brands/loop")).status_code == 404
    assert ">loop<" not in (await browser.get("/console/brands")).text
    listed = await browser.post("/console/messages", data={"brand": "loop"})
    assert message not in listed.text


async def test_a_page_needs_the_scope_that_its_call_needs(browser: httpx.AsyncClient, house: House) -> None:
    await sign_in(browser, house)
    for address in ("messages", "persons", "brands", "providers", "templates"):
        answer = await browser.get(f"/console/{address}")
        assert answer.status_code == 403
        assert "needs a token with the scope" in answer.text


async def test_what_people_wrote_is_text_and_nothing_else(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await sign_in(browser, house, "admin:comms")
    hostile = "<script>alert(1)</script>"
    message = await made(house, loop_health, clock, channel="in_app", recipient=hostile, person_id=hostile)
    for answer in (
        await browser.get(f"/console/messages/{message}"),
        await browser.post("/console/messages", data={"person_id": hostile, "template_key": hostile}),
        await browser.post("/console/persons", data={"person_id": hostile}),
    ):
        assert answer.status_code == 200
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_person_is_shown_whole_and_changed(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await sign_in(browser, house, "admin:comms")
    about = About("loop", "ada", "email", "news")
    await consents.put_consent(house, loop_health, about, opted_in=True, source="form")
    await consents.put_preference(house, loop_health, about, enabled=True)
    await made(house, loop_health, clock, channel="email", person_id="ada")
    await suppressions.add(house, loop_health, "loop", "ada@example.org", "manual", "call")
    asked = {"person_id": "ada", "channel": "email", "category": "news"}
    shown = (await browser.post("/console/persons", data=asked)).text
    for told in ("given", "Switch off", "manual", "ada@example.org"):
        assert told in shown, told
    assert "withdrawn" in (await browser.post("/console/persons/withdraw", data=asked)).text
    shown = (await browser.post("/console/persons/preference", data={**asked, "enabled": "no"})).text
    assert "Switch on" in shown
    lift = re.search(r"/console/suppressions/[0-9a-f-]+/lift", shown)
    assert lift
    assert "None of those" in (await browser.post(lift[0], data=asked)).text


async def test_a_number_that_said_stop_and_a_person_who_was_erased_are_shown(
    browser: httpx.AsyncClient, house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await sign_in(browser, house, "admin:comms")
    await made(house, loop_health, clock, person_id="ada")
    await suppressions.add(house, loop_health, "loop", "+15555550123", "manual", "call", "sms")
    shown = await browser.post("/console/persons", data={"person_id": "ada"})
    assert "None of those" not in shown.text
    assert shown.text.count("+15555550123") == 2
    await erasure.erase(house, loop_health, "loop", "ada")
    shown = await browser.post("/console/persons", data={"person_id": "ada"})
    assert (shown.status_code, "<td>erased</td>" in shown.text) == (200, True)


async def test_a_brand_is_held_and_released(browser: httpx.AsyncClient, house: House) -> None:
    await sign_in(browser, house, "admin:comms")
    assert "On hold since" in (await browser.post("/console/hold/loop")).text
    assert "On hold since" not in (await browser.post("/console/release/loop", data={"late": "send"})).text


async def test_a_template_is_tried(browser: httpx.AsyncClient, house: House) -> None:
    await sign_in(browser, house, "admin:comms")
    address = re.findall(r"/console/templates/[0-9a-f-]{36}", (await browser.get("/console/templates")).text)[
        0
    ]
    assert "Hi {{ name }}" in (await browser.get(address)).text
    assert "<pre>Hi Ada</pre>" in (await browser.post(address, data={"payload": '{"name": "Ada"}'})).text
    assert (await browser.post(address, data={"payload": "[1]"})).status_code == 422


async def test_what_stands_behind_a_templates_link_is_shown_and_tried(
    browser: httpx.AsyncClient, house: House
) -> None:
    new = templates.NewTemplate(
        "loop", "result", "sms", None, "transactional", DEFAULT_MAX_LATE, "prefer_silence"
    )
    made = await templates.create(house, OPERATOR, new)
    page = {"title": "Your result", "body": "{{ finding }}\nCall us.", "expires_in": 7200}
    source = {"body": "See {{ secure_link }}", "secure": page}
    public = replace(house, settings=Settings(public_url="https://comms.test"))
    await templates.add_version(public, OPERATOR, UUID(made["id"]), source, draft=False)
    await sign_in(browser, house, "admin:comms")
    address = f"/console/templates/{made['id']}"
    shown = (await browser.get(address)).text
    assert "Behind the link, for 2 hours" in shown
    assert "<pre>{{ finding }}\nCall us.</pre>" in shown
    tried = (await browser.post(address, data={"payload": '{"finding": "Well."}'})).text
    assert "<pre>Well.\nCall us.</pre>" in tried


async def test_providers_are_shown_without_what_their_secrets_say(
    browser: httpx.AsyncClient, house: House, loop_health: Caller
) -> None:
    secrets: dict[str, str | None] = {"api_key": "re_hidden"}
    await brands.put_provider(
        house, loop_health, "mail", "resend", {}, secrets, baa=False, limits={}, brands=None
    )
    await sign_in(browser, house, "admin:comms")
    shown = (await browser.get("/console/providers")).text
    assert "api_key" in shown
    assert "re_hidden" not in shown


async def test_the_first_page_says_what_is_wrong_to_those_who_run_it(
    browser: httpx.AsyncClient, house: House
) -> None:
    await sign_in(browser, house, "admin:comms", brand_id="*")
    assert "nothing goes out: comms serve or comms worker runs one" in (await browser.get("/console")).text


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/console/nothing", b"", 404),
        ("GET", "/console/messages/7", b"", 404),
        ("GET", "/console/messages?cursor=x", b"", 404),
        ("GET", "/console/brands/%00", b"", 404),
        ("POST", "/console/messages", b"status=%ff", 422),
        ("POST", "/console/messages", b"status=no-such", 422),
        ("POST", "/console/messages", b"id=7", 422),
        ("POST", "/console/messages", b"person_id=%00", 422),
        ("POST", "/console/messages", b"brand=none", 422),
        ("POST", "/console/messages", b"\xff", 422),
        ("POST", "/console/messages", b"a=1&" * 101, 422),
        ("POST", "/console/messages", b"a" * 70_000, 413),
        ("POST", "/console/persons/withdraw", b"person_id=ada", 422),
        ("POST", "/console/suppressions/7/lift", b"", 404),
    ],
)
async def test_bad_input_gets_one_clear_sentence(
    browser: httpx.AsyncClient, house: House, method: str, path: str, body: bytes, status: int
) -> None:
    await sign_in(browser, house, "admin:comms", brand_id="*")
    answer = await browser.request(method, path, content=body, headers=FORM)
    assert answer.status_code == status
    assert 'class="problem"' in answer.text
