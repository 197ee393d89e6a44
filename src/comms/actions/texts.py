"""Texts from persons: STOP, START and HELP, obeyed at once, for each brand that texts from that number.

What a text says is not kept, only that there was one and which keyword it was.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import uuid4

import structlog

from comms.actions import acceptance
from comms.actions.house import House
from comms.actions.permission import address_hash
from comms.actions.setup import Account, Brand
from comms.actions.suppressions import suppression
from comms.domain.caller import Caller
from comms.domain.errors import Refused
from comms.domain.ids import bucket_of_digest
from comms.domain.keywords import keyword
from comms.domain.recipient import normalise
from comms.providers.events import Inbound
from comms.store import events as rows
from comms.store import setup, suppressions
from comms.store.database import Connection

log = structlog.get_logger()

HELP_TEMPLATE = "help"
"""The key of the SMS template that answers HELP, where a brand has published one."""


class Help(NamedTuple):
    """A HELP to be answered, once."""

    brand: Brand
    number: str
    id: str


async def obey(house: House, connection: Connection, provider_id: str, text: Inbound) -> list[Help]:
    """Do what the text asks for; what is to be answered once that is committed."""
    try:
        number = normalise("sms", text.sender)
    except Refused:
        return []  # a short code or a name: no person
    now = house.clock.now()
    said, at = text.keyword or keyword(text.text), min(text.at, now)
    brands = await _brands(house, provider_id, text.to)
    if not brands:
        log.warning("text_for_nobody", provider_id=provider_id, keyword=said)
    details = {"provider_id": provider_id, "keyword": said}
    for brand in brands:
        bucket = bucket_of_digest(address_hash(brand, "sms", number))
        await rows.note(connection, [rows.Note(bucket, None, brand.brand_id, at, "text_received", details)])
        stop = suppression(brand, "sms", number, "stop", f"a text to {provider_id}", now, at)
        if said == "stop":
            await suppressions.add_heard(connection, [stop])
        elif said == "start":
            await suppressions.start(connection, stop)
    return [Help(brand, number, f"{provider_id}/{text.id}") for brand in brands] if said == "help" else []


async def help_out(house: House, asked: Help) -> None:
    """Answer HELP with the brand's template for it, if it has one: many vendors answer by themselves."""
    brand_id = asked.brand.brand_id
    if await house.setup.template(brand_id, HELP_TEMPLATE, "sms") is None:
        return
    caller = Caller("a text", brand_id, frozenset(), uuid4())
    key = f"help/{asked.id}"
    request = acceptance.Request("sms", HELP_TEMPLATE, asked.number, brand_id, asked.number, key, None, {})
    try:
        await acceptance.schedule(house, caller, request)
    except Refused as refused:
        log.info("help_not_answered", brand_id=brand_id, reason=refused.code)


async def _brands(house: House, provider_id: str, number: str) -> list[Brand]:
    """Who texts from `number` through that provider. Where that can't be told apart, all of them."""
    account = await house.setup.account(provider_id)
    if account is None:
        return []
    names = await setup.many(house.database.owner, "texting_brands", provider_id, account.brands)
    found = [await house.setup.brand(row["brand_id"]) for row in names]
    brands = [each for each in found if each]
    return [each for each in brands if _may_text_from(account, each, number)] or brands


def _may_text_from(account: Account, brand: Brand, number: str) -> bool:
    sender = brand.settings.senders.sms
    own = account.settings.get("from") or (sender.number if sender else None)
    return own is None or own.lstrip("+") == number.lstrip("+")
