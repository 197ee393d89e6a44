"""A template version: proved when it is published, compiled once, rendered for each message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from comms.domain.content import Rendered
from comms.domain.errors import Refused, TemplateRefused
from comms.render.analysis import is_missing, needs
from comms.render.email import html, text_part
from comms.render.engine import Part, without_nulls

_TITLED = frozenset(["email", "push", "in_app"])
_OPEN = {
    "email": {"subject"},
    "sms": {"body"},
    "push": {"subject", "body", "action_url"},
    "in_app": set[str](),
}
"""Surfaces that anybody may read who holds the telephone, or carries the message."""

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_PUSH_BYTES = 4096
"""The smallest limit of the push services: APNs, FCM."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a template's author wrote. `classes` says public, pii or phi of a variable."""

    channel: str
    body: str
    subject: str | None = None
    text: str | None = None
    action_url: str | None = None
    classes: dict[str, str] = field(default_factory=dict)


class Version:
    """A compiled version. `needs` are all variables that it reads, each with its place."""

    def __init__(self, source: Source) -> None:
        self.channel = source.channel
        self._classes = source.classes
        self._parts = _compile(source)
        self.needs = tuple(need for part in self._parts.values() for need in needs(part))
        self._required = tuple(
            {need.path: need for need in reversed(self.needs) if not need.optional}.values()
        )

    @property
    def variables(self) -> list[str]:
        """The names that a caller may pass, in order."""
        return sorted({need.path for need in self.needs})

    def check(self, variables: dict[str, Any]) -> None:
        """422 `missing_variables`, naming each and where it is used."""
        absent = [need for need in self._required if is_missing(need.path, variables)]
        if absent:
            named = ", ".join(f"{need.path} ({need.place}, line {need.line})" for need in reversed(absent))
            raise Refused(422, "missing_variables", f"variables lacks what the template needs: {named}.")

    def check_surfaces(self, *, undeclared_is_phi: bool) -> None:
        """422 `phi_on_open_surface`, naming variable and place."""
        for need in self.needs:
            known = self._classes.get(need.path) or self._classes.get(need.root)
            if need.place in _OPEN[self.channel] and (known or ("phi" if undeclared_is_phi else "")) == "phi":
                raise TemplateRefused(
                    "phi_on_open_surface",
                    need.place,
                    need.line,
                    f"{need.path} is PHI and must not appear here.",
                )

    def render(self, variables: dict[str, Any]) -> Rendered:
        """The message; 422 `does_not_render` where the template can't work with these values."""
        given = without_nulls(variables)
        made = {place: part.render(given) for place, part in self._parts.items()}
        subject = _BREAKS.sub(" ", made["subject"]).strip() if "subject" in made else None
        text = made.get("text") or (text_part(made["body"]) if self.channel == "email" else None)
        rendered = Rendered(subject, made["body"], text, made.get("action_url"))
        _check_size(self.channel, rendered)
        return rendered


def publish(source: Source) -> Version:
    """Prove a version: it parses, has what its channel needs, and lets no PHI reach an open surface."""
    if source.channel in _TITLED and not source.subject:
        raise TemplateRefused("invalid_template", "subject", None, "this channel needs a subject.")
    version = Version(source)
    version.check_surfaces(undeclared_is_phi=False)
    return version


def _compile(source: Source) -> dict[str, Part]:
    return {place: Part(text, place, escape=escape) for place, text, escape in _texts(source)}


def _texts(source: Source) -> Iterator[tuple[str, str, bool]]:
    email = source.channel == "email"
    if source.subject is not None and source.channel in _TITLED:
        yield "subject", source.subject, False
    yield "body", html(source.body) if email else source.body, email
    if email and source.text:
        yield "text", source.text, False
    if source.action_url:
        yield "action_url", source.action_url, False


def _check_size(channel: str, rendered: Rendered) -> None:
    if channel == "push":
        size = sum(
            len((text or "").encode()) for text in (rendered.subject, rendered.body, rendered.action_url)
        )
        if size > _PUSH_BYTES:
            raise Refused(
                422,
                "does_not_render",
                f"The push would have {size} bytes; at most {_PUSH_BYTES} are carried.",
            )
