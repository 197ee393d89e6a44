"""Health data leaves an open surface by one way: a link to a page that is opened once, with a proof."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
import msgspec
import pytest
import structlog

from comms.actions import (
    acceptance,
    audit,
    erasure,
    messages,
    secure_pages,
    simulations,
    templates,
)
from comms.actions.brands import put_provider
from comms.actions.house import House
from comms.actions.templates import NewTemplate
from comms.dispatch.worker import Worker
from comms.domain.caller import Caller
from comms.domain.errors import Refused, TemplateRefused
from comms.domain.options import Options, Proof
from comms.domain.schedule import show
from comms.http.app import application
from comms.settings import Settings
from comms.store.audit import Wanted
from comms.testing import FakeClock
from tests.journeys.story import ask, events, outbox, status, tools
from tests.privacy.dump import dump, mentions

pytestmark = pytest.mark.anyio

PUBLIC = "https://comms.example.org"
CANARY = "Xanthoma"
PROOF = Options(proof=Proof("Your date of birth?", "1990-01-02"))
NOTICE: dict[str, Any] = {
    "body": "Loop: a message for you. {{ secure_link }}",
    "secure": {"title": "Your result, {{ name }}", "body": "It is {{ finding }}.\n<b>Call</b> us."},
    "classes": {"finding": "phi"},
}
VARIABLES = {"name": "Ada", "finding": CANARY}


@pytest.fixture
async def open_house(house: House, loop_health: Caller) -> House:
    """A house that persons can reach, whose sandbox may carry health data."""
    await put_provider(house, loop_health, "sand", "sandbox", {}, {}, baa=True, limits={}, brands=None)
    return replace(house, settings=msgspec.structs.replace(Settings(), public_url=PUBLIC))


@pytest.fixture
def worker(open_house: House) -> Worker:
    return Worker(open_house, tools(open_house))


@pytest.fixture
async def browser(open_house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever follows a link: without a token."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application(open_house)), base_url=PUBLIC
    ) as opened:
        yield opened


async def publish(house: House, caller: Caller, channel: str = "sms", **changes: Any) -> UUID:
    new = NewTemplate("loop", "result", channel, None, "transactional", 14_400, "prefer_silence")
    template = UUID((await templates.create(house, caller, new))["id"])
    await templates.add_version(house, caller, template, NOTICE | changes)
    return template


async def schedule(house: House, caller: Caller, clock: FakeClock, **changes: Any) -> str:
    wanted = {"template_key": "result", "variables": VARIABLES, "hipaa": True, "options": PROOF, **changes}
    accepted = await acceptance.schedule(house, caller, ask(clock, wanted.pop("channel", "sms"), **wanted))
    return str(accepted.message["id"])


async def send(house: House, caller: Caller, clock: FakeClock, worker: Worker, **changes: Any) -> str:
    """The link of a message that has gone out."""
    message_id = await schedule(house, caller, clock, **changes)
    clock.advance(300)
    await worker.once()
    assert await status(house, caller, message_id) == "sent"
    kept = next(each for each in await outbox(house, caller) if each["message_id"] == message_id)
    return link(kept["body"])


def link(text: str) -> str:
    found = re.search(PUBLIC.replace(".", r"\.") + r"/s/[\w-]+", text)
    assert found, text
    return found[0]


async def only_id(house: House) -> str:
    return str(await house.database.owner.fetchval("select id from message"))


async def answered(browser: httpx.AsyncClient, url: str, answer: str = "1990-01-02") -> tuple[int, str]:
    made = await browser.post(url, data={"answer": answer})
    return made.status_code, made.text


async def test_the_notice_tells_nothing_and_the_page_is_opened_once_by_who_knows(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, browser: httpx.AsyncClient
) -> None:
    await publish(open_house, loop_health)
    url = await send(open_house, loop_health, clock, worker)
    [notice] = await outbox(open_house, loop_health)
    assert notice["body"] == f"Loop: a message for you. {url}"
    for _ in range(2):  # scanners and previews
        for method in ("GET", "HEAD"):
            looked = await browser.request(method, url)
            assert looked.status_code == 200
    asked = (await browser.get(url)).text
    assert "Your date of birth?" in asked
    for hidden in (CANARY, "result", "Ada", "p1"):
        assert hidden not in asked
    made = await browser.post(url, data={"answer": " 1990 01 02 "})
    assert made.status_code == 200
    assert f"It is {CANARY}.\n&lt;b&gt;Call&lt;/b&gt; us." in made.text
    assert "<h1>Your result, Ada</h1>" in made.text
    assert (made.headers["Cache-Control"], made.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert "Your result" not in re.findall("<title>.*</title>", made.text)[0]  # a browser keeps that
    assert "<script" not in made.text
    assert "default-src 'none'" in made.headers["Content-Security-Policy"]
    for again in (await browser.get(url), await browser.post(url, data={"answer": "1990-01-02"})):
        assert again.status_code == 410
        assert "opened already" in again.text
        assert CANARY not in again.text
    message_id = await only_id(open_house)
    assert (await events(open_house, loop_health, message_id))[-2:] == ["sent", "page_opened"]


async def test_wrong_answers_are_counted_however_many_come_at_once_and_lock_the_page(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, browser: httpx.AsyncClient
) -> None:
    await publish(open_house, loop_health)
    url = await send(open_house, loop_health, clock, worker)
    code, text = await answered(browser, url, "1991-01-02")
    assert (code, "4 tries are left" in text, "1991" in text) == (403, True, False)
    guesses = [f"19{year}-01-02" for year in range(50, 58)]
    codes = [code for code, _ in await asyncio.gather(*(answered(browser, url, each) for each in guesses))]
    assert sorted(codes) == [403] * 3 + [410] * 5
    code, text = await answered(browser, url)
    assert (code, "locked" in text, CANARY in text) == (410, True, False)
    told = (await events(open_house, loop_health, await only_id(open_house)))[-6:]
    assert told == ["sent", *["page_refused"] * 4, "page_locked"]
    entries, _ = await audit.listed(
        open_house, loop_health, "loop", None, Wanted(action="page_refused"), 10, None
    )
    assert {each["actor"] for each in entries} == {"secure link"}
    assert [each["details"]["tries"] for each in entries] == [4, 3, 2, 1]


async def test_right_answers_at_once_open_it_once(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, browser: httpx.AsyncClient
) -> None:
    await publish(open_house, loop_health)
    url = await send(open_house, loop_health, clock, worker)
    made = await asyncio.gather(*(answered(browser, url) for _ in range(4)))
    assert sorted(code for code, _ in made) == [200, 410, 410, 410]
    assert sum(CANARY in text for _, text in made) == 1


async def test_a_page_is_recalled_and_says_so(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, browser: httpx.AsyncClient
) -> None:
    await publish(open_house, loop_health)
    url = await send(open_house, loop_health, clock, worker)
    message_id = UUID(await only_id(open_house))
    made = await secure_pages.recall(open_house, loop_health, message_id)
    assert made == {"message_id": str(message_id), "recalled_at": show(clock.now()), "opened_at": None}
    clock.advance(60)
    assert await secure_pages.recall(open_house, loop_health, message_id) == made
    code, text = await answered(browser, url)
    assert (code, "taken it back" in text, CANARY in text) == (410, True, False)
    assert (await browser.get(url)).status_code == 410
    assert (await events(open_house, loop_health, str(message_id))).count("page_recalled") == 1


async def test_what_waits_is_cancelled_and_not_recalled(
    open_house: House, loop_health: Caller, clock: FakeClock
) -> None:
    await publish(open_house, loop_health)
    waiting = UUID(await schedule(open_house, loop_health, clock))
    plain = UUID(
        await schedule(open_house, loop_health, clock, dedup_key="2", template_key="visit", hipaa=False)
    )
    for message_id, code in ((waiting, "not_sent"), (plain, "no_secure_page"), (UUID(int=0), "not_found")):
        with pytest.raises(Refused) as refused:
            await secure_pages.recall(open_house, loop_health, message_id)
        assert refused.value.code == code
    other = replace(loop_health, brand_id="other")
    with pytest.raises(Refused) as refused:
        await secure_pages.recall(open_house, other, waiting)
    assert refused.value.code == "not_found"


async def test_a_link_ends_and_erasing_the_person_ends_it(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, browser: httpx.AsyncClient
) -> None:
    await publish(open_house, loop_health, secure={**NOTICE["secure"], "expires_in": 3600})
    short = await send(open_house, loop_health, clock, worker)
    clock.advance(3600)
    code, text = await answered(browser, short)
    assert (code, CANARY in text) == (410, False)
    url = await send(open_house, loop_health, clock, worker, dedup_key="2")
    await erasure.erase(open_house, loop_health, "loop", "p1")
    for made in (await answered(browser, url), ((await browser.get(url)).status_code, "")):
        assert made[0] == 410
        assert CANARY not in made[1]


async def test_a_link_of_another_purpose_or_one_that_was_changed_opens_nothing(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, browser: httpx.AsyncClient
) -> None:
    await publish(open_house, loop_health)
    url = await send(open_house, loop_health, clock, worker)
    for wrong in (url.replace("/s/", "/p/"), url[:-1], url[:-5] + "AAAAA", PUBLIC + "/s/x"):
        assert (await browser.get(wrong)).status_code == 404
        assert (await browser.post(wrong, data={"answer": "1990-01-02"})).status_code == 404


async def test_neither_link_answer_nor_content_stands_anywhere_in_the_clear(
    open_house: House,
    loop_health: Caller,
    clock: FakeClock,
    worker: Worker,
    browser: httpx.AsyncClient,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await publish(open_house, loop_health)
    waiting = await schedule(open_house, loop_health, clock, after=timedelta(days=1), dedup_key="later")
    until = show(clock.now() + timedelta(days=2))
    simulated = await simulations.simulate(open_house, loop_health, "loop", None, until)
    assert simulated["data"][0]["verdict"] == "send"
    with structlog.testing.capture_logs() as logs:
        url = await send(open_house, loop_health, clock, worker)
        await browser.get(url)
        await answered(browser, url, "wrong answer")
        assert (await answered(browser, url))[0] == 200
    told = [await messages.explain(open_house, loop_health, each) for each in await _sent(open_house)]
    timeline = await messages.timeline(open_house, loop_health, (await _sent(open_house))[0])
    taken = await dump(open_house.database)
    token = url.rsplit("/", 1)[1]
    shown = await messages.get_scheduled(open_house, loop_health, UUID(waiting))
    for secret in (token, CANARY, "1990", "date of birth", "wrong answer"):
        assert mentions(taken, secret.encode()) == []
        for said in (simulated, logs, told, timeline, shown, capsys.readouterr()):
            assert secret not in str(said)
    options = Options(proof=Proof("Your date of birth?", "1990 01 02."))
    same = ask(
        clock, template_key="result", variables=VARIABLES, hipaa=True, dedup_key="later", options=options
    )
    same = replace(same, scheduled_at=shown["scheduled_at"])
    assert (await acceptance.schedule(open_house, loop_health, same)).replayed
    other = replace(same, options=Options(proof=Proof("Your date of birth?", "1990-01-03")))
    with pytest.raises(Refused, match="differs in options"):
        await acceptance.schedule(open_house, loop_health, other)


async def _sent(house: House) -> list[UUID]:
    rows = await house.database.owner.fetch("select id from message where outcome = 'sent'")
    return [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (Options(), "missing_proof"),
        (Options(proof=Proof("PIN?", "1-2-3")), "weak_proof"),
    ],
)
async def test_a_page_without_a_proof_is_not_accepted(
    open_house: House, loop_health: Caller, clock: FakeClock, options: Options, code: str
) -> None:
    await publish(open_house, loop_health)
    with pytest.raises(Refused) as refused:
        await schedule(open_house, loop_health, clock, options=options)
    assert (refused.value.status, refused.value.code) == (422, code)


async def test_a_message_without_a_proof_is_not_given_a_version_with_a_page(
    open_house: House, loop_health: Caller, clock: FakeClock
) -> None:
    template = await publish(
        open_house, loop_health, secure=None, body="Hi {{ name }}", classes={"name": "pii"}
    )
    bare = await schedule(open_house, loop_health, clock, options=Options())
    proved = await schedule(open_house, loop_health, clock, dedup_key="2")
    await templates.add_version(open_house, loop_health, template, NOTICE)
    change = messages.Change(current_version=True)
    with pytest.raises(Refused) as refused:
        await messages.change(open_house, loop_health, UUID(bare), change)
    assert refused.value.code == "missing_proof"
    await messages.change(open_house, loop_health, UUID(proved), change)


async def test_health_data_goes_by_the_page_alone(
    open_house: House, loop_health: Caller, clock: FakeClock
) -> None:
    leaky: dict[str, Any] = {**NOTICE, "body": "It is {{ finding }}. {{ secure_link }}"}
    with pytest.raises(TemplateRefused, match="finding is PHI"):
        await publish(open_house, loop_health, **leaky)
    undeclared = {**NOTICE, "body": "Hi {{ name }} {{ secure_link }}"}
    new = NewTemplate("loop", "result", "email", None, "transactional", 14_400, "prefer_silence")
    template = UUID((await templates.create(open_house, loop_health, new))["id"])
    await templates.add_version(
        open_house, loop_health, template, {**undeclared, "subject": "News {{ name }} {{ secure_link }}"}
    )
    with pytest.raises(TemplateRefused, match="subject, line 1: name is PHI"):
        await schedule(open_house, loop_health, clock, channel="email")


async def test_by_push_and_mail_the_link_is_the_same_in_all_places(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, browser: httpx.AsyncClient
) -> None:
    said = {
        "subject": "A message",
        "body": "<p>See <a href='{{ secure_link }}'>it</a></p>",
        "text": "{{ secure_link }}",
    }
    await publish(open_house, loop_health, "email", **said)
    await send(open_house, loop_health, clock, worker, channel="email")
    pushed = {"subject": "A message", "body": "Open it: {{ secure_link }}", "action_url": "{{ secure_link }}"}
    await publish(open_house, loop_health, "push", **pushed)
    url = await send(open_house, loop_health, clock, worker, channel="push", dedup_key="2")
    assert (await answered(browser, url))[0] == 200


async def test_a_preview_shows_the_page_too(open_house: House, loop_health: Caller) -> None:
    template = await publish(open_house, loop_health)
    made = await templates.render(open_house, loop_health, template, None, {"name": "Ada"}, strict=False)
    assert made["body"] == "Loop: a message for you. [secure_link]"
    assert made["missing_variables"] == ["finding"]
    assert made["details"]["secure"] == {
        "title": "Your result, Ada",
        "body": "It is [finding].\n<b>Call</b> us.",
    }


async def test_without_an_address_of_ours_there_is_no_secure_link(house: House, loop_health: Caller) -> None:
    with pytest.raises(TemplateRefused, match="secure_link needs COMMS_PUBLIC_URL"):
        await publish(house, loop_health)


async def test_what_nobody_could_have_said_is_no_try(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, browser: httpx.AsyncClient
) -> None:
    await publish(open_house, loop_health)
    url = await send(open_house, loop_health, clock, worker)
    for nothing in ("", "   ", "-1-", "199"):
        assert (await answered(browser, url, nothing))[0] == 422
    assert (await answered(browser, url))[0] == 200


async def test_who_follows_a_link_while_the_process_ends_is_told_so_on_a_page(
    open_house: House, loop_health: Caller, clock: FakeClock, worker: Worker, browser: httpx.AsyncClient
) -> None:
    await publish(open_house, loop_health)
    url = await send(open_house, loop_health, clock, worker)
    open_house.draining.set()
    turned_away = await browser.get(url)
    assert (turned_away.status_code, turned_away.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert turned_away.headers["Retry-After"] == "1"
    assert (await browser.get("/healthz")).status_code == 200
    assert (await browser.get("/readyz")).status_code == 503
