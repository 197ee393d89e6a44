"""A template version: proved when it is published, compiled once, rendered for each message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from comms.domain.content import Rendered, SecurePage
from comms.domain.errors import Refused, TemplateRefused
from comms.domain.segments import segments
from comms.render.analysis import Keys, Need, is_missing, needs
from comms.render.email import html, preheaders, text_part
from comms.render.engine import LONGEST, Part, without_nulls
from comms.render.flows import reaching

_TITLED = frozenset(["email", "push", "in_app"])
_OPEN = {
    "email": {"subject", "preheader"},
    "sms": {"body"},
    "push": {"subject", "body", "action_url"},
    "in_app": set[str](),
}
"""Surfaces that anybody may read who holds the telephone, or carries the message."""

RESERVED = ("preferences_url", "secure_link", "unsubscribe_url")
"""Variables that are ours to fill: signed addresses of the person's own. A caller's do not count."""

_SOME_ADDRESS = "https://comms.example/u/signed"
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SCRIPT = re.compile(r"(javascript|data|vbscript):", re.IGNORECASE)
_UNSEEN = re.compile(r"[\x00-\x20]+")
"""A browser passes over them: `java\\tscript:` is a script to it (WHATWG URL, 4.4, basic URL parser)."""

_ADDRESS = re.compile(r"""\b(?:href|action)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*))""", re.IGNORECASE)
_SMS_SEGMENTS = 10
"""More is refused or cut by carriers."""

_PUSH_BYTES = 4096
"""The smallest limit of the push services: APNs, FCM."""


WEEK = 604_800


@dataclass(frozen=True, slots=True)
class Secure:
    """What stands behind `secure_link`, as text: a cleared surface. The link lives `expires_in` seconds."""

    title: str
    body: str
    expires_in: int = WEEK


@dataclass(frozen=True, slots=True)
class Source:
    """What a template's author wrote. `classes` says public, pii or phi of a variable."""

    channel: str
    body: str
    subject: str | None = None
    text: str | None = None
    action_url: str | None = None
    secure: Secure | None = None
    classes: dict[str, str] = field(default_factory=dict)


class Version:
    """A compiled version. `needs` are all variables that it reads of its caller's, each with its place;
    `reserved` those of ours.
    """

    def __init__(self, source: Source) -> None:
        self.channel = source.channel
        self._classes = {tuple(path.split(".")): kind for path, kind in source.classes.items()}
        self._parts = _compile(source)
        self._page = _compile_page(source.secure)
        self.page_lives = timedelta(seconds=source.secure.expires_in) if source.secure else None
        self._hidden = _hidden(self._parts["body"]) if source.channel == "email" else frozenset()
        parts = (*self._parts.values(), *self._page.values())
        read = [need for part in parts for need in needs(part)]
        self.needs = tuple(need for need in read if need.root not in RESERVED)
        self._ours = [need for need in read if need.root in RESERVED]
        self.reserved = frozenset(need.root for need in self._ours)
        self._required = tuple(
            {need.keys: need for need in reversed(self.needs) if not need.optional}.values()
        )

    @property
    def variables(self) -> list[str]:
        """The names that a caller may pass, in order."""
        return sorted({need.path for need in self.needs})

    def check(self, variables: dict[str, Any]) -> None:
        """422 `missing_variables`, naming each and where it is used."""
        absent = [need for need in self._required if is_missing(need.keys, variables)]
        if absent:
            named = ", ".join(f"{need.path} ({need.place}, line {need.line})" for need in reversed(absent))
            raise Refused(422, "missing_variables", f"variables lacks what the template needs: {named}.")

    def check_surfaces(self, *, undeclared_is_phi: bool) -> None:
        """422 `phi_on_open_surface`, naming variable and place."""
        for need in self.needs:
            place = self._surface(need)
            if place in _OPEN[self.channel] and self._is_phi(need.keys, undeclared=undeclared_is_phi):
                why = f"{need.path} is PHI and must not appear here."
                raise TemplateRefused("phi_on_open_surface", place, need.line, why)

    def check_reserved(self, unfillable: Mapping[str, str]) -> None:
        """Refuse what reads one of ours that can't be filled; `unfillable` says why of each."""
        for need in self._ours:
            why = "is a text, and has no parts." if len(need.keys) > 1 else unfillable.get(need.root)
            if why:
                raise TemplateRefused("invalid_template", need.place, need.line, f"{need.path} {why}")

    def check_secure(self) -> None:
        """Refuse a page that nothing leads to, and a link that leads to none."""
        places = {need.place: need for need in self._ours if need.root == "secure_link"}
        within = next((need for place, need in places.items() if place in self._page), None)
        if within is not None:
            why = "secure_link leads to this very page; write it where the page is announced."
            raise TemplateRefused("invalid_template", within.place, within.line, why)
        if places and not self._page:
            [first, *_] = places.values()
            why = "secure_link leads nowhere; give the version a secure part."
            raise TemplateRefused("invalid_template", first.place, first.line, why)
        if self._page and not places:
            why = "nothing leads to it; write {{ secure_link }} where it is announced."
            raise TemplateRefused("invalid_template", "secure", None, why)

    def missing(self, variables: dict[str, Any]) -> list[str]:
        """What is needed and not there, by its path."""
        return sorted({need.path for need in self._required if is_missing(need.keys, variables)})

    def prove(self, variables: dict[str, Any], *, hipaa: bool) -> None:
        """Refuse what it would lack or leak; and render once, in a part of the time that sending has:
        what is accepted renders.
        """
        if hipaa:
            self.check_surfaces(undeclared_is_phi=True)
        self.check(variables)
        hurried = partial(Part.render, seconds=LONGEST / 4)
        self._require_link(self._made(variables, hurried), variables.get("secure_link"))
        self._made_page(variables, hurried)

    def _require_link(self, made: Rendered, link: str | None) -> None:
        """A filter or a condition may leave nothing of it that leads to the page."""
        texts = (made.subject, made.body, made.text, made.action_url)
        if self._page and link and not any(link in text for text in texts if text):
            raise _does_not_render("Its secure_link would not stand whole in what is sent.")

    def prove_fixed(self) -> None:
        """Refuse what reads nothing of its caller's and does not render: it never will."""
        if not self.needs:
            self.prove(dict.fromkeys(self.reserved, _SOME_ADDRESS), hipaa=False)

    def render(self, variables: dict[str, Any]) -> Rendered:
        """The message; 422 `does_not_render` where the template can't work with these values."""
        return self._made(variables, Part.render)

    def page(self, variables: dict[str, Any]) -> SecurePage | None:
        """What stands behind the message's `secure_link`; None where it has none."""
        return self._made_page(variables, Part.render)

    def preview(self, variables: dict[str, Any]) -> tuple[Rendered, SecurePage | None]:
        """Both, with what is missing shown by its name."""
        given: dict[str, Any] = without_nulls(variables)
        for need in self._required:
            _make_room(given, need.keys[:-1])
        return self._made(given, Part.preview), self._made_page(given, Part.preview)

    def _surface(self, need: Need) -> str:
        """Where a reader sees it: a body's hidden beginning is shown beside the subject."""
        return "preheader" if need.place == "body" and need.index in self._hidden else need.place

    def _is_phi(self, keys: Keys, *, undeclared: bool) -> bool:
        """The nearest declaration counts; who shows a whole shows its parts, too."""
        if any(each[: len(keys)] == keys for each, kind in self._classes.items() if kind == "phi"):
            return True
        known = (self._classes.get(keys[:length]) for length in range(len(keys), 0, -1))
        return next((kind for kind in known if kind), "phi" if undeclared else "") == "phi"

    def _made(self, variables: dict[str, Any], make: Callable[[Part, dict[str, Any]], str]) -> Rendered:
        given = without_nulls(variables)
        made = {place: make(part, given) for place, part in self._parts.items()}
        subject = _BREAKS.sub(" ", made["subject"]).strip() if "subject" in made else None
        text = made.get("text") or (text_part(made["body"]) if self.channel == "email" else None)
        rendered = Rendered(subject, made["body"], text, made.get("action_url"))
        _check(self.channel, rendered)
        return rendered

    def _made_page(
        self, variables: dict[str, Any], make: Callable[[Part, dict[str, Any]], str]
    ) -> SecurePage | None:
        if not self._page:
            return None
        given = without_nulls(variables)
        title, body = (make(part, given) for part in self._page.values())
        page = SecurePage(_BREAKS.sub(" ", title).strip(), body)
        if not page.title or not page.body.strip():
            raise _does_not_render("Its secure page would have an empty title or body.")
        return page


def _make_room(variables: dict[str, Any], parents: Keys) -> None:
    """What a missing variable belongs to, empty: so it is missed by its whole path."""
    place: Any = variables
    for name in parents:
        if not isinstance(place, dict):
            return
        place = place.setdefault(name, {})


def publish(source: Source) -> Version:
    """Prove a version: it parses, has what its channel needs, and lets no PHI reach an open surface."""
    if source.channel in _TITLED and not source.subject:
        raise TemplateRefused("invalid_template", "subject", None, "this channel needs a subject.")
    version = Version(source)
    version.check_surfaces(undeclared_is_phi=False)
    version.check_secure()
    return version


def _hidden(body: Part) -> frozenset[int]:
    """Positions of the variables that stand in a preheader, or reach one."""
    stretches = preheaders(body.source)
    standing = (need.index for need in needs(body) if any(need.index in each for each in stretches))
    return reaching(body, stretches).union(standing)


def _compile(source: Source) -> dict[str, Part]:
    return {place: Part(text, place, escape=escape) for place, text, escape in _texts(source)}


def _compile_page(secure: Secure | None) -> dict[str, Part]:
    """Title and body. They are text: whoever shows them escapes them."""
    if secure is None:
        return {}
    texts = {"secure.title": secure.title, "secure.body": secure.body}
    return {place: Part(text, place) for place, text in texts.items()}


def _texts(source: Source) -> Iterator[tuple[str, str, bool]]:
    email = source.channel == "email"
    if source.subject is not None and source.channel in _TITLED:
        yield "subject", source.subject, False
    yield "body", html(source.body) if email else source.body, email
    if email and source.text:
        yield "text", source.text, False
    if source.action_url:
        yield "action_url", source.action_url, False


def _check(channel: str, rendered: Rendered) -> None:
    """422 `does_not_render` for what no provider of the channel should be handed."""
    if not rendered.body.strip() or rendered.subject == "":
        raise _does_not_render(f"Its {'subject' if rendered.subject == '' else 'body'} would be empty.")
    if rendered.action_url and is_script(rendered.action_url):
        raise _does_not_render("Its action_url would be a script, not an address.")
    if channel == "email" and any(map(is_script, _addresses(rendered.body))):
        raise _does_not_render("A link of its body would be a script, not an address.")
    if channel == "sms" and (count := segments(rendered.body).count) > _SMS_SEGMENTS:
        raise _does_not_render(
            f"The text message would have {count} segments; at most {_SMS_SEGMENTS} are carried."
        )
    if channel == "push":
        size = sum(
            len((text or "").encode()) for text in (rendered.subject, rendered.body, rendered.action_url)
        )
        if size > _PUSH_BYTES:
            raise _does_not_render(f"The push would have {size} bytes; at most {_PUSH_BYTES} are carried.")


def is_script(address: str) -> bool:
    """Would a browser run it rather than go there?"""
    return _SCRIPT.match(_UNSEEN.sub("", address)) is not None


def _addresses(markup: str) -> Iterator[str]:
    """Where links and forms of HTML lead; as a value fills them in, that is without entities in a scheme."""
    for found in _ADDRESS.finditer(markup):
        yield found[1] or found[2] or found[3] or ""


def _does_not_render(why: str) -> Refused:
    return Refused(422, "does_not_render", why)
