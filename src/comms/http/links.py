"""Pages that a person reaches from a message, without a login: to unsubscribe, and to choose.

The signed address is the permission, so it also is what another site would need to act in the person's
name. Programs fetch what stands in mails: only POST changes something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from comms.actions import addresses, choices, consents
from comms.actions.choices import Topic
from comms.domain.caller import Caller
from comms.http.pages import form, page, refused_page
from comms.http.routing import Answer, Call, Route, read_body

_CHANNELS = {
    "email": ("by e-mail", "By e-mail"),
    "sms": ("by text message", "By text message"),
    "push": ("as notifications on your devices", "As notifications on your devices"),
    "in_app": ("in the app", "In the app"),
}
_BAD_LINK = {404: ("bad_link",), 410: ("expired_link",)}


class Box(NamedTuple):
    """One switch on the page."""

    id: str
    value: str
    label: str
    is_on: bool


async def show_unsubscribe(call: Call) -> Answer:
    """What would stop, and a button."""
    brand, said = await addresses.opened(call.house, call.request.path_params["signed"], "unsubscribe")
    return _unsubscribe_page(brand.settings.name, addresses.Reader(*said), done=False)


async def unsubscribe_by_link(call: Call) -> Answer:
    """Consent withdrawn, by one click (RFC 8058) or by the button. Nothing else of the body counts."""
    brand, said = await addresses.opened(call.house, call.request.path_params["signed"], "unsubscribe")
    reader = addresses.Reader(*said)
    caller = _holder(call, "unsubscribe link", brand.brand_id, reader.person_id)
    about = consents.About(brand.brand_id, *reader)
    await consents.put_consent(call.house, caller, about, opted_in=False, source="unsubscribe link")
    return _unsubscribe_page(brand.settings.name, reader, done=True)


async def show_preferences(call: Call) -> Answer:
    """What the person may choose."""
    brand, [person_id] = await addresses.opened(call.house, call.request.path_params["signed"], "preferences")
    caller = _holder(call, choices.SOURCE, brand.brand_id, person_id)
    chosen = await choices.choices(call.house, caller, brand, person_id)
    return _preferences_page(brand.settings.name, chosen, saved=False)


async def save_preferences(call: Call) -> Answer:
    """Take what was chosen among what was shown."""
    brand, [person_id] = await addresses.opened(call.house, call.request.path_params["signed"], "preferences")
    sent = form(await read_body(call.request))
    wanted = [] if "nothing" in sent else sent.get("on", [])
    caller = _holder(call, choices.SOURCE, brand.brand_id, person_id)
    chosen = await choices.choose(
        call.house, caller, brand, person_id, _topics(sent.get("shown", [])), _topics(wanted)
    )
    return _preferences_page(brand.settings.name, chosen, saved=True)


def _holder(call: Call, actor: str, brand_id: str, person_id: str) -> Caller:
    """Who holds the link: that person, and nobody else."""
    return Caller(actor, brand_id, frozenset(), call.caller.request_id, person_id)


def _topics(values: Iterable[str]) -> set[Topic]:
    """What can't be one of ours is none of those shown."""
    return {Topic(*value.split(" ", 1)) for value in values if " " in value}


def _unsubscribe_page(brand: str, reader: addresses.Reader, *, done: bool) -> Answer:
    channel, _ = _CHANNELS[reader.channel]
    return page("unsubscribe", brand=brand, category=_label(reader.category), channel=channel, done=done)


def _preferences_page(brand: str, chosen: Mapping[Topic, bool], *, saved: bool) -> Answer:
    boxes = enumerate(chosen.items(), 1)
    topics = [
        {"label": _label(category), "boxes": list(_boxes(numbered))}
        for category, numbered in groupby(boxes, key=lambda each: each[1][0].category)
    ]
    return page("preferences", brand=brand, topics=topics, saved=saved)


def _boxes(numbered: Iterable[tuple[int, tuple[Topic, bool]]]) -> Iterator[Box]:
    for number, (topic, is_on) in numbered:
        _, label = _CHANNELS[topic.channel]
        yield Box(f"box-{number}", " ".join(topic), label, is_on)


def _label(category: str) -> str:
    """`health-tips` as a person says it: Health tips."""
    words = category.replace("_", " ").replace("-", " ").strip() or category
    return words[:1].upper() + words[1:]


def _route(method: str, path: str, handler: Any, summary: str, **errors: Any) -> Route:
    return Route(
        method,
        path,
        None,
        handler,
        summary,
        {200: str},
        _BAD_LINK | errors.get("errors", {}),
        tag="pages",
        page=refused_page,
    )


ROUTES = [
    _route("GET", "/u/{signed}", show_unsubscribe, "A page with a button that unsubscribes"),
    _route("POST", "/u/{signed}", unsubscribe_by_link, "Unsubscribe with one click (RFC 8058)"),
    _route("GET", "/p/{signed}", show_preferences, "A person's preferences, as a page"),
    _route(
        "POST",
        "/p/{signed}",
        save_preferences,
        "Save a person's preferences",
        errors={
            408: ("request_timeout",),
            413: ("payload_too_large",),
            422: ("validation_error",),
        },
    ),
]
