"""The pages as persons meet them: in a browser, without scripts, by keyboard, read aloud."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from playwright.async_api import Browser, Page

from comms.actions import acceptance, addresses, consents, templates
from comms.actions.acceptance import Request
from comms.actions.addresses import Reader
from comms.actions.consents import About
from comms.actions.house import House
from comms.actions.templates import NewTemplate
from comms.domain.caller import Caller
from comms.domain.options import Options, Proof
from comms.http.app import application
from comms.settings import Settings
from comms.testing import FakeClock
from tests.http.browser import accessibility_complaints, chromium, listener, served

pytestmark = pytest.mark.anyio

TOPICS = (("email", "news"), ("sms", "news"), ("email", "health-tips"), ("push", "health-tips"))


class Site(NamedTuple):
    """A house that is open to browsers, and links of one person."""

    house: House
    caller: Caller
    browser: Browser
    preferences: str
    unsubscribe: str


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One for all tests: to start it takes longer than they do."""
    async with chromium() as opened:
        yield opened


@pytest.fixture
async def site(house: House, loop_health: Caller, browser: Browser) -> AsyncIterator[Site]:
    with listener() as (opened, address):
        made = replace(house, settings=msgspec.structs.replace(Settings(), public_url=address))
        for channel, category in TOPICS:
            new = NewTemplate("loop", f"{category}", channel, None, category, 60, "prefer_silence")
            template = await templates.create(made, loop_health, new)
            said = {"subject": "s", "body": "b"}
            await templates.add_version(made, loop_health, UUID(template["id"]), said)
        about = About("loop", "ada", "email", "news")
        await consents.put_consent(made, loop_health, about, opted_in=True, source="form")
        brand = await made.setup.require_brand("loop")
        expires = made.clock.now().replace(year=2031)
        async with served(application(made), opened):
            yield Site(
                made,
                loop_health,
                browser,
                addresses.preferences(made, brand, "ada", expires),
                addresses.unsubscribe(made, brand, Reader("ada", "email", "news")),
            )


async def plain(site: Site) -> Page:
    """A page without scripts, that no fault of the console escapes."""
    context = await site.browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    page.on("console", lambda said: pytest.fail(said.text))
    return page


async def picture(page: Page, name: str) -> None:
    """For the eye, where COMMS_TEST_PICTURES names a folder."""
    if folder := os.environ.get("COMMS_TEST_PICTURES"):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


async def test_preferences_are_changed_by_keyboard_and_without_scripts(site: Site) -> None:
    page = await plain(site)
    await page.goto(site.preferences)
    assert await page.title() == "What we may send you - Loop"
    await picture(page, "preferences")
    group = page.get_by_role("group", name="News")
    by_mail = group.get_by_role("checkbox", name="By e-mail")
    by_text = group.get_by_role("checkbox", name="By text message")
    assert [await by_mail.is_checked(), await by_text.is_checked()] == [True, False]
    await by_mail.focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    async with page.expect_navigation():
        await page.keyboard.press("Enter")
    assert await page.title() == "Saved: What we may send you - Loop"
    assert await page.get_by_role("status").inner_text() == "Your choices are saved."
    assert await page.locator(":focus").inner_text() == "Your choices are saved."
    await picture(page, "saved")
    assert [await by_mail.is_checked(), await by_text.is_checked()] == [False, True]
    said = await consents.consents(site.house, site.caller, "loop", "ada", 10, None)
    assert {(each["channel"], each["opted_in"]) for each in said} == {("email", True), ("sms", True)}
    async with page.expect_navigation():
        await page.get_by_role("button", name="Turn everything off").click()
    assert await page.locator("input:checked").count() == 0


async def test_a_click_on_a_label_is_one_on_its_box(site: Site) -> None:
    page = await plain(site)
    await page.goto(site.preferences)
    tips = page.get_by_role("group", name="Health tips")
    await tips.get_by_text("As notifications on your devices").click()
    assert await tips.get_by_role("checkbox", name="As notifications on your devices").is_checked()


async def test_unsubscribing_takes_one_press_of_a_button(site: Site) -> None:
    page = await plain(site)
    await page.goto(site.unsubscribe)
    assert await page.title() == "Unsubscribe - Loop"
    await picture(page, "unsubscribe")
    async with page.expect_navigation():
        await page.get_by_role("button", name="Unsubscribe").press("Enter")
    assert await page.get_by_role("heading").inner_text() == "You are unsubscribed"
    await picture(page, "unsubscribed")
    [said] = await consents.consents(site.house, site.caller, "loop", "ada", 10, None)
    assert said["opted_in"] is False


@pytest.mark.parametrize(("scheme", "width"), [("light", 1000), ("dark", 320)])
async def test_the_pages_read_well_aloud_in_light_and_dark_and_on_a_telephone(
    site: Site, clock: FakeClock, scheme: Any, width: int
) -> None:
    context = await site.browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 640})
    page = await context.new_page()
    for name, url in (("unsubscribe", site.unsubscribe), ("preferences", site.preferences)):
        await page.goto(url)
        async with page.expect_navigation():
            await page.get_by_role("button").first.click()
        assert await accessibility_complaints(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await picture(page, f"{name}-{scheme}")
    clock.advance(3 * 366 * 86_400)
    await page.goto(site.preferences)
    assert await page.get_by_role("main").inner_text() == (
        "This page can\u2019t be shown\n\nThis link has expired. Follow the one in a newer message."
    )
    await picture(page, f"expired-{scheme}")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1000), ("dark", 320)])
async def test_a_secure_page_is_opened_by_keyboard_and_reads_well(
    site: Site, scheme: Any, width: int
) -> None:
    new = NewTemplate("loop", "result", "sms", None, "transactional", 60, "prefer_silence")
    template = UUID((await templates.create(site.house, site.caller, new))["id"])
    page = {"title": "Your result", "body": "All is well.\n\nCall us."}
    await templates.add_version(
        site.house, site.caller, template, {"body": "{{ secure_link }}", "secure": page}
    )
    proof = Options(proof=Proof("Your date of birth?", "1990-01-02"))
    asked = Request("sms", "result", "+15555550123", "loop", "ada", "k", None, {}, options=proof)
    message_id = UUID((await acceptance.schedule(site.house, site.caller, asked)).message["id"])
    brand = await site.house.setup.require_brand("loop")
    url = addresses.secure(site.house, brand, message_id, site.house.clock.now().replace(year=2031))
    context = await site.browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 640})
    opened = await context.new_page()
    await opened.goto(url)
    for answer, title in (
        ("1990-01-03", "Not the answer: A message for you"),
        ("1990-01-02", "A message for you"),
    ):
        assert await accessibility_complaints(opened) == []
        await opened.get_by_role("textbox", name="Your date of birth?").fill(answer)
        async with opened.expect_navigation():
            await opened.keyboard.press("Enter")
        assert await opened.title() == f"{title} - Loop"
        assert await opened.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        await picture(opened, f"secure-{answer}-{scheme}")
    assert await accessibility_complaints(opened) == []
    assert "All is well.\n\nCall us." in await opened.get_by_role("main").inner_text()


async def test_a_page_that_reads_badly_would_be_noticed(site: Site) -> None:
    """The check checks: a box without its label, words too pale to read."""
    page = await (await site.browser.new_context()).new_page()
    await page.goto(site.preferences)
    await page.evaluate("document.querySelector('label').remove(); document.body.style.color = '#ddd'")
    found = {each.split(":")[0] for each in await accessibility_complaints(page)}
    assert {"label", "color-contrast"} <= found
