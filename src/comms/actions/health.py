"""Is all well? What an operator is told, with what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg

from comms.actions import retention, sending, watching
from comms.actions.house import House
from comms.actions.introspection import Introspection
from comms.domain.ids import first_id
from comms.domain.schedule import show
from comms.providers.catalogue import KINDS
from comms.store import audit, breaker, canaries, history, keys, subscriptions
from comms.store import health as rows
from comms.store import retention as retention_rows

_REST = (
    "it is tried again by itself, and at once after PUT /v1/providers/...; its own status page may say more"
)

_WHY = "its message (GET /v1/providers/.../canary) says why in comms message explain; is the provider well?"
_NEVER_SENT = "does a worker run, and do its template, recipient and provider fit?"

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_MANY = 10_000
_CHAINED_WITHIN = timedelta(seconds=5)


class Finding(NamedTuple):
    """`what` was looked at, what was `found`, and what to do about it (None: all is well)."""

    what: str
    found: str
    advice: str | None = None


async def examine(house: House) -> list[Finding]:
    """Workers, what is stuck, routes."""
    counted, past = await rows.counts(house.database.owner), await history.state(house.database.owner)
    overdue = "see sending" if past.paused_at else "does a worker run, and does its log say why not?"
    findings = [
        Finding("PostgreSQL", counted["version"]),
        _sending(past),
        Finding("workers", f"{counted['workers']} at work", _no_worker(counted["workers"])),
        _stuck("overdue messages", counted["overdue"], overdue),
        _stuck("lapsed claims", counted["lapsed"], "a worker gives them back within seconds: does one run?"),
    ]
    findings += await _epoch_keys(house)
    for row in await rows.unknown(house.database.owner):
        advice = (
            f"comms message list --brand {row['brand_id']} --status unknown, then comms message settle each"
        )
        findings.append(Finding(f"unknown messages of brand {row['brand_id']}", str(row["messages"]), advice))
    findings += [
        _resting(each) for each in await breaker.standing(house.database.owner, house.clock.sql_now())
    ]
    findings += [_canary(row) for row in await canaries.found(house.database.owner, house.clock.sql_now())]
    findings += await _unheard(house)
    if house.platform is not None:
        findings.append(await _platform(house.platform))
    findings += await _unchained(house)
    findings += await _retained(house)
    if await rows.refusable(house.database.owner):
        findings.append(_public_url(counted["public_url"] or house.settings.public_url))
    for row in await rows.channels(house.database.owner):
        findings += await _route(house, row["brand_id"], row["channel"])
    return findings


def _sending(state: history.State) -> Finding:
    """Is anything sent at all?"""
    if state.paused_at is not None:
        found = f"paused since {show(state.paused_at)}: {sending.because(state)}"
        return Finding("sending", found, "comms resume says what may have been sent, and lets the rest go")
    if state.history != state.cleared:
        advice = (
            "a worker that remembers the other one clears it within a lease; if none does, sending is paused"
        )
        return Finding("sending", f"waits: another history ({state.history}) than {state.cleared}", advice)
    return Finding("sending", "on")


async def _platform(platform: Introspection) -> Finding:
    """Does whoever issues others' tokens answer us?"""
    if await platform.answers():
        return Finding("tokens of others", "the introspection answers")
    advice = "check COMMS_INTROSPECTION_URL, its client and secret; until then such tokens get 503"
    return Finding("tokens of others", "the introspection does not answer", advice)


def _resting(each: breaker.Standing) -> Finding:
    """A provider that is ill. Of an older set-up: nobody has needed it since."""
    whom = "" if each.key.brand_id == breaker.ALL else f" for brand {each.key.brand_id}"
    found = f"not called: {each.reason}, since {show(each.opened_at)}, {each.failures} tries"
    return Finding(f"provider {each.key.provider_id}{whom}", found, _REST)


def _canary(row: asyncpg.Record) -> Finding:
    """What a provider's own watch says."""
    what, problem = f"canary of provider {row['provider_id']}", watching.problem(row)
    if problem:
        found = f"{problem}, {_last_well(row)}"
        return Finding(what, found, _WHY if row["message_id"] else _NEVER_SENT)
    took = [
        f"{until} after {row[f'{until}_seconds'] * 1000:.0f} ms"
        for until in ("sent", "delivered")
        if row[f"{until}_seconds"] is not None
    ]
    return Finding(what, ", ".join(took) or "none yet")


def _last_well(row: asyncpg.Record) -> str:
    return f"went well at {show(row['well_at'])}, last" if row["well_at"] else "never went well"


async def _epoch_keys(house: House) -> list[Finding]:
    """Is each key there that still wraps persons' secrets, and does an erasure reach back-ups?"""
    epochs = house.setup.epochs
    found = [row for row in await keys.epochs(house.database.owner) if row["destroyed_at"] is None]
    absent = [row["epoch"] for row in found if not epochs.is_there(row["epoch"])]
    if absent:
        what = ", ".join(f"{epoch}.key" for epoch in absent)
        return [Finding("epoch keys", f"{what} can't be read", f"restore it in {epochs.directory}")]
    if found:
        return [Finding("epoch keys", f"{len(found)} in {epochs.directory}")]
    erased = await keys.ask(house.database.owner, "erased_since", datetime.min.replace(tzinfo=UTC))
    advice = "set COMMS_EPOCH_KEYS_DIR: until then back-ups tell of erased persons" if erased else None
    return [Finding("epoch keys", "none: the master key wraps persons' secrets", advice)]


async def _unheard(house: House) -> list[Finding]:
    """Subscriptions whose receiver takes nothing, or is gone."""
    findings = []
    for row in await subscriptions.ill(house.database.owner, house.clock.sql_now()):
        what = f"subscription {row['subscription_id']} of brand {row['brand_id']}"
        if row["disabled_at"]:
            advice = "its receiver answered 410: change its url, or DELETE /v1/subscriptions/{id}"
            findings.append(Finding(what, "disabled", advice))
        else:
            found = f"fails since {show(row['failing_since'])}: {row['problem']}, {row['missed']} missed"
            advice = "mend the receiver; POST /v1/subscriptions/{id}/replay tells again what it missed"
            findings.append(Finding(what, found, advice))
    return findings


async def _unchained(house: House) -> list[Finding]:
    """Entries of the ledger that no worker closes, though one should within a second."""
    owner = house.database.owner
    first = await audit.first_unchained(owner)
    if first is None or first > house.clock.now() - _CHAINED_WITHIN:
        return [Finding("audit chain", "closed")]
    waiting = await audit.count_unchained(owner, await audit.written(owner))
    found, advice = f"{waiting} entries wait", "a worker chains them within a second: does one run?"
    return [Finding("audit chain", found, advice)]


async def _retained(house: House) -> list[Finding]:
    """What is not kept for ever, and whether its erasing keeps up."""
    findings, now = [], house.clock.now()
    for each in await retention.classes(house):
        before = first_id(now - each.lasts)
        waiting = await retention_rows.waiting(house.database.owner, each.brand_id, before, hipaa=each.hipaa)
        of = "health data" if each.hipaa else "content"
        found = f"{each.lasts.days} days; {waiting if waiting < _MANY else f'{_MANY:,} and more'} to look at"
        advice = "a worker erases up to 5,000 a second: does one run?" if waiting >= _MANY else None
        findings.append(Finding(f"{of} of brand {each.brand_id}", found, advice))
    return findings


def _no_worker(count: int) -> str | None:
    return None if count else "nothing goes out: comms serve or comms worker runs one"


def _stuck(what: str, count: int, advice: str) -> Finding:
    return Finding(what, str(count), advice if count else None)


def _public_url(url: str | None) -> Finding:
    """Where the mails of this installation can be unsubscribed from."""
    if url is None:
        return Finding("one-click unsubscribe", "no address", "set COMMS_PUBLIC_URL: mails go out without it")
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return Finding("one-click unsubscribe", "for trying out, on this machine")
    is_good = parts.scheme == "https"
    advice = None if is_good else "COMMS_PUBLIC_URL must begin with https, or mailboxes pass it over"
    return Finding("one-click unsubscribe", "https" if is_good else "http", advice)


async def _route(house: House, brand_id: str, channel: str) -> list[Finding]:
    """What a brand's templates of a channel need: a route, with providers that are there and fit."""
    brand = await house.setup.require_brand(brand_id)
    what, named = f"brand {brand_id}, {channel}", brand.settings.routes.of(channel)
    if not named:
        return [Finding(what, "no route", f"name providers in the brand's routes.{channel}")]
    findings = []
    for provider_id in named:
        account = await house.setup.account(provider_id)
        if account is None:
            findings.append(Finding(what, f"provider {provider_id} is not set up", "PUT /v1/providers/..."))
        elif channel not in KINDS[account.kind].channels:
            findings.append(Finding(what, f"{provider_id} carries no {channel}", "take it off the route"))
        elif account.lacks:
            advice = "name it in PUT /v1/providers/...: without it nothing can be sent"
            findings.append(Finding(what, f"{provider_id} has no secret {account.lacks}", advice))
        elif not account.carries(brand_id, channel, hipaa=False):
            findings.append(Finding(what, f"{provider_id} is not for this brand", "add it to its brands"))
    sender = channel != "email" or brand.settings.senders.email is not None
    if not sender:
        findings.append(Finding(what, "no sender", "set the brand's senders.email.address"))
    return findings or [Finding(what, ", ".join(named))]
