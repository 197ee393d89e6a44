"""`make demo`: four messages, one a channel, each seen going out at its time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import click
from rich.live import Live
from rich.table import Table

from comms.actions import acceptance, brands, messages, templates, tokens
from comms.actions.acceptance import Request
from comms.actions.house import House
from comms.domain.brand import BrandSettings, EmailSender, Routes, Senders, SmsSender
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.domain.schedule import DEFAULT_MAX_LATE, show

BRAND = "demo"
_FIRST_IN = 2.0
_APART = 0.5
_PATIENCE = 30.0

_ROUTES = Routes(email=["demo-sandbox"], sms=["demo-sandbox"], push=["demo-sandbox"], in_app=["demo-inbox"])
_RECIPIENTS = {"email": "ada@example.org", "sms": "+15555550123", "push": "device-of-ada", "in_app": "ada"}
_VERSION = {
    "email": {
        "subject": "Your visit, {{ name }}",
        "body": "<h1>Hello {{ name }}</h1><p>See you at <b>{{ time }}</b>.</p>",
    },
    "sms": {"body": "Hello {{ name }}, see you at {{ time }}. Reply STOP to opt out."},
    "push": {"subject": "Your visit", "body": "Hello {{ name }}, see you at {{ time }}."},
    "in_app": {"subject": "Your visit", "body": "Hello {{ name }}, see you at {{ time }}."},
}

Seen = dict[str, tuple[str, str, str]]
"""A channel's message: its time, its status, how late it was."""


async def show_it(house: House, address: str, *, once: bool) -> bool:
    """Set up the demo brand, schedule a message a channel, show each go out; True where it shall end then."""
    caller = Caller("demo", "*", frozenset(["admin:comms"]), uuid4())
    await set_up(house, caller)
    await tokens.revoke(house, caller, BRAND)  # an earlier demo's
    token = await tokens.create(house, caller, BRAND, ["admin:comms"], BRAND, timedelta(days=1), None)
    scheduled = await _schedule(house, caller)
    all_sent = await _watch(house, caller, scheduled)
    if once:
        if not all_sent:
            raise click.ClickException("Not every message went out in time.")
        return True
    _explain(address, token)
    return False


async def set_up(house: House, caller: Caller) -> None:
    """The demo brand with a sandbox a channel and a template each; a second time changes nothing."""
    shared = {"baa": False, "limits": {}, "brands": [BRAND]}
    await brands.put_provider(house, caller, "demo-sandbox", "sandbox", {}, {}, **shared)  # type: ignore[arg-type]
    await brands.put_provider(house, caller, "demo-inbox", "inbox", {}, {}, **shared)  # type: ignore[arg-type]
    senders = Senders(EmailSender("care@demo.example", "Demo"), SmsSender("+15555550100"))
    await brands.put_brand(house, caller, BRAND, BrandSettings(name="Demo", routes=_ROUTES, senders=senders))
    for channel in _RECIPIENTS:
        await _template(house, caller, channel)


async def _template(house: House, caller: Caller, channel: str) -> None:
    new = templates.NewTemplate(
        BRAND, "appointment-reminder", channel, None, "transactional", DEFAULT_MAX_LATE, "prefer_silence"
    )
    try:
        made = await templates.create(house, caller, new)
    except Refused:
        return  # it is there from an earlier demo
    await templates.add_version(house, caller, UUID(made["id"]), dict(_VERSION[channel]), draft=False)


async def _schedule(house: House, caller: Caller) -> dict[str, UUID]:
    first = house.clock.now() + timedelta(seconds=_FIRST_IN)
    made: dict[str, UUID] = {}
    for position, channel in enumerate(_RECIPIENTS):
        at = show(first + timedelta(seconds=position * _APART))
        request = Request(
            channel=channel,
            template_key="appointment-reminder",
            recipient=_RECIPIENTS[channel],
            brand_id=BRAND,
            person_id="ada",
            dedup_key=f"demo:{channel}:{uuid4()}",
            scheduled_at=at,
            variables={"name": "Ada", "time": "9:30"},
        )
        made[channel] = UUID((await acceptance.schedule(house, caller, request)).message["id"])
    return made


async def _watch(house: House, caller: Caller, scheduled: dict[str, UUID]) -> bool:
    """Follow each message to its end; True where all were sent."""
    ends = asyncio.get_running_loop().time() + _PATIENCE
    told: Seen = {}
    screen, tell = _screen()
    with screen:
        while asyncio.get_running_loop().time() < ends:
            seen = {channel: await _look(house, caller, each) for channel, each in scheduled.items()}
            tell(seen, told)
            told = seen
            if all(status == "sent" for _, status, _ in seen.values()):
                return True
            await asyncio.sleep(0.02)
    return False


async def _look(house: House, caller: Caller, message_id: UUID) -> tuple[str, str, str]:
    shown = await messages.get_scheduled(house, caller, message_id)
    events = await messages.timeline(house, caller, message_id)
    handed = next((entry["at"] for entry in events if entry["event"] == "sent"), None)
    late = _milliseconds(shown["scheduled_at"], handed) if handed else ""
    return shown["scheduled_at"][11:23], shown["status"], late


def _milliseconds(due: str, sent: str) -> str:
    late = datetime.fromisoformat(sent) - datetime.fromisoformat(due)
    return f"{late / timedelta(milliseconds=1):.0f} ms after"


def _screen() -> tuple[AbstractContextManager[object], Callable[[Seen, Seen], None]]:
    """A live table on a terminal, plain lines elsewhere."""
    if sys.stdout.isatty():
        live = Live(refresh_per_second=30)
        return live, lambda seen, _told: live.update(_table(seen))
    return nullcontext(), _lines


def _table(seen: Seen) -> Table:
    table = Table("channel", "due (UTC)", "status", "recorded as sent")
    for channel, line in seen.items():
        table.add_row(channel, *line)
    return table


def _lines(seen: Seen, told: Seen) -> None:
    for channel, (due, status, late) in seen.items():
        if told.get(channel) != (due, status, late):
            click.echo(f"{channel:<7} due {due}  {status:<10} {late}".rstrip())


def _explain(address: str, token: str) -> None:
    click.echo(
        f"""
Address  {address}
Token    {token}
Console  {address}/console
Read on  {address}/docs

Schedule one yourself; it goes out at once:

curl -sS -X POST {address}/v1/messages/schedule \\
  -H "Authorization: Bearer {token}" -H "Content-Type: application/json" \\
  -d '{{"channel": "sms", "template_key": "appointment-reminder", "recipient": "+15555550123",
       "brand_id": "demo", "person_id": "ada", "variables": {{"name": "Ada", "time": "9:30"}},
       "dedup_key": "my-first-message-{uuid4().hex[:6]}",
       "scheduled_at": "'$(date -u +%Y-%m-%dT%H:%M:%SZ)'"}}'

Ctrl-C ends it."""
    )
