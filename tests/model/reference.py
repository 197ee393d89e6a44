"""What the service should do, told a second time: small, in memory, and without a line of its code.

It knows what callers know (contract and documentation): requests go in, the expected answer comes out as a
status and a code, and every message stands where it should. What chance decides (by how much a retry is
spread) is told to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

LEASE = timedelta(seconds=30)


class Template(NamedTuple):
    """`twice`: a second text is better than none."""

    key: str
    category: str
    max_late: timedelta
    twice: bool = False


TEMPLATES = {
    each.key: each
    for each in (
        Template("visit", "transactional", timedelta(hours=4)),
        Template("letter", "marketing", timedelta(hours=1)),
        Template("code", "transactional", timedelta(minutes=10), twice=True),
    )
}
KEYED = {"email": True, "sms": False}
"""Does the channel's provider take an idempotency key?"""


@dataclass
class Message:
    """One message, with what was asked first, and what reached its recipient."""

    id: str
    asked: dict[str, Any]
    kind: str
    version: int
    scheduled_at: datetime
    due: datetime
    deadline: datetime
    name: str
    status: str = "scheduled"
    reason: str | None = None
    sent_at: datetime | None = None
    cancelled_at: datetime | None = None
    attempts: int = 0
    frozen: str | None = None
    doubts: int = 0
    lease_until: datetime | None = None
    is_open: bool = False
    """It was marked, and its worker died."""
    is_erased: bool = False
    reached: int = 0

    @property
    def template(self) -> Template:
        return TEMPLATES[self.asked["template_key"]]

    @property
    def channel(self) -> str:
        return str(self.asked["channel"])

    @property
    def key(self) -> str:
        return str(self.asked["dedup_key"])

    @property
    def may_be_taken(self) -> bool:
        return self.doubts > 0

    def end(self, status: str, reason: str | None = None) -> None:
        """It moves no more."""
        self.status, self.reason = status, reason

    def stands_in_doubt(self) -> bool:
        """Nothing may follow until somebody knows."""
        if self.doubts == 0 or KEYED[self.channel]:
            return False
        return not (self.template.twice and self.doubts == 1)


class Answer(NamedTuple):
    """HTTP status, and the code where it is refused."""

    status: int
    code: str | None = None
    message: Message | None = None


@dataclass
class Service:
    """All of it. `calls` are those that providers should have seen: key, recipient, text."""

    now: datetime
    messages: dict[str, Message] = field(default_factory=dict)
    """By their dedup_key."""
    consents: dict[tuple[str, str], bool] = field(default_factory=dict)
    """By person and channel, to the one category that asks for it."""
    suppressed: dict[str, set[str]] = field(default_factory=dict)
    """By recipient: the reasons."""
    versions: dict[tuple[str, str], int] = field(default_factory=dict)
    """By template and channel."""
    is_held: bool = False
    calls: list[tuple[str, str, str]] = field(default_factory=list)

    def accept(self, kind: str, body: dict[str, Any], at: datetime | None) -> Answer:
        """Schedule (`at`) or send: 201 with a new message whose id is not known yet, or what is refused."""
        known = self.messages.get(body["dedup_key"])
        if known:
            return self._known(kind, known, body)
        template = TEMPLATES[body["template_key"]]
        when = at or self.now
        if when < self.now - template.max_late:
            return Answer(422, "scheduled_at_in_past")
        if kind == "send" and (code := self.refusal(body["person_id"], body)):
            return Answer(422, code)
        if old_key := body.get("options", {}).get("supersedes"):
            refused = self._supersede(old_key)
            if refused:
                return refused
        version = self.versions[body["template_key"], body["channel"]]
        name = body["variables"]["name"]
        made = Message("", body, kind, version, when, when, when + template.max_late, name)
        self.messages[body["dedup_key"]] = made
        return Answer(200 if kind == "send" else 201, None, made)

    def _known(self, kind: str, known: Message, body: dict[str, Any]) -> Answer:
        if kind == "send":
            return Answer(409, "dedup_key_used")
        if known.status == "cancelled":
            return Answer(422, "dedup_key_cancelled")
        return Answer(201, None, known) if known.asked == body else Answer(422, "dedup_key_conflict")

    def _supersede(self, old_key: str) -> Answer | None:
        old = self.messages.get(old_key)
        if old is None:
            return Answer(422, "superseded_not_found")
        if old.status == "cancelled" and old.reason == "superseded":
            return Answer(409, "already_superseded")
        if old.status == "scheduled" and not old.may_be_taken:
            self._cancel(old, "superseded")
            return None
        if old.status in {"cancelled", "expired", "suppressed", "failed"}:
            return None
        return Answer(409, _too_late(old, "not_cancellable"))

    def cancel(self, message: Message) -> Answer:
        """200 where it waits and nobody can have it, or where it was cancelled."""
        if message.status == "scheduled" and not message.may_be_taken:
            self._cancel(message, None)
        if message.status == "cancelled":
            return Answer(200)
        return Answer(409, _too_late(message, "not_cancellable"))

    def _cancel(self, message: Message, reason: str | None) -> None:
        message.end("cancelled", reason)
        message.cancelled_at = self.now

    def change(
        self, message: Message, at: datetime | None, name: str | None, *, current: bool = False
    ) -> Answer:
        """PATCH: another time, another variable, the current version."""
        if message.status != "scheduled" or message.may_be_taken:
            return Answer(409, _too_late(message, "not_changeable"))
        if message.frozen and (name or current):
            return Answer(409, "attempted")
        if at and at < self.now - message.template.max_late:
            return Answer(422, "scheduled_at_in_past")
        if at:
            message.scheduled_at, message.deadline = at, at + message.template.max_late
        message.due = message.scheduled_at
        message.name = name or message.name
        if current:
            message.version = self.versions[message.template.key, message.channel]
        return Answer(200)

    def settle(self, message: Message, outcome: str) -> Answer:
        """Only what is unknown."""
        if message.status != "unknown":
            return Answer(409, "not_unknown")
        if outcome == "retry":
            message.status, message.due, message.doubts = "scheduled", self.now, 0
            message.deadline = max(message.deadline, self.now + message.template.max_late)
        elif outcome == "sent":
            self._sent(message)
        else:
            message.end("failed", "settled_as_failed")
        return Answer(200)

    def release(self, *, late: str) -> None:
        """What is late by now goes as if it were due now, or expires."""
        self.is_held = False
        for message in self.messages.values():
            if late == "send" and message.status == "scheduled" and message.deadline < self.now:
                message.deadline = self.now + message.template.max_late

    def erase(self, person: str) -> int:
        """How many were cancelled. Consent that was withdrawn stays withdrawn."""
        cancelled = 0
        for message in self.messages.values():
            if message.asked["person_id"] == person:
                message.is_erased = True
                if message.status == "scheduled" and not message.may_be_taken:
                    self._cancel(message, "person_erased")
                    cancelled += 1
        for key in [key for key, given in self.consents.items() if key[0] == person and given]:
            del self.consents[key]
        return cancelled

    def refusal(self, person: str, body: dict[str, Any]) -> str | None:
        """Why the person may not be written to now."""
        reasons = self.suppressed.get(body["recipient"], set())
        transactional = TEMPLATES[body["template_key"]].category == "transactional"
        if "hard_bounce" in reasons:
            return "suppressed_hard_bounce"
        if transactional:
            return None
        if "manual" in reasons:
            return "suppressed_manual"
        given = self.consents.get((person, body["channel"]))
        return {None: "no_consent", False: "opted_out"}.get(given)

    def due(self) -> list[Message]:
        """What a worker claims now."""
        if self.is_held:
            return []
        return [
            each for each in self.messages.values() if each.status == "scheduled" and each.due <= self.now
        ]

    def claim(self) -> list[Message]:
        """By a worker that dies, at the latest, before it has recorded anything."""
        claimed = self.due()
        for message in claimed:
            message.attempts += 1
            message.status, message.lease_until = "sending", self.now + LEASE
        return claimed

    def work(self, mood: str) -> list[Message]:
        """A worker sees everything through that is due; the messages that are tried again by chance's hour."""
        again = []
        for message in self.claim():
            message.lease_until = None
            if stopped := self._stopped(message):
                message.end(*stopped)
            elif self._hand_over(message, mood):
                again.append(message)
        return again

    def _stopped(self, message: Message) -> tuple[str, str | None] | None:
        """The judgement at the moment of sending: how it ends without a call, if it does."""
        ends: tuple[str, str | None]
        if message.is_erased:
            ends = ("suppressed", "person_erased")
        elif self.now > message.deadline:
            ends = ("expired", "expired")
        elif code := self.refusal(message.asked["person_id"], message.asked):
            ends = ("suppressed", code)
        else:
            return None
        return ("unknown", None) if message.may_be_taken else ends

    def _hand_over(self, message: Message, mood: str) -> bool:
        """One call; True where it waits for another."""
        message.frozen = message.frozen or f"v{message.version} {message.name}"
        self.calls.append((message.id, message.asked["recipient"], message.frozen))
        known = KEYED[message.channel] and message.reached > 0
        if mood in {"take", "lost, taken", "die, taken"} and not known:
            message.reached += 1
        if mood.startswith("die"):
            message.status, message.lease_until, message.is_open = "sending", self.now + LEASE, True
            return False
        if mood.startswith("lost"):
            message.doubts += 1
            message.status = "unknown" if message.stands_in_doubt() else "scheduled"
            return message.status == "scheduled"
        if mood == "take" or known:
            self._sent(message)
        elif mood == "reject":
            message.end("failed", "provider_rejected: no")
        else:
            message.status = "scheduled"
            return True
        return False

    def _sent(self, message: Message) -> None:
        message.end("sent")
        message.sent_at = self.now

    def sweep(self) -> None:
        """What waited too long and was never begun ends; claims of the dead go back, or are unknown.

        What a worker that is not heard of has not begun goes back at once, the rest once its lease is over.
        """
        for message in list(self.messages.values()):
            if message.lease_until and (not message.is_open or message.lease_until < self.now):
                self._rescue(message)
        for message in self.due():
            if not message.frozen and message.deadline < self.now:
                message.end("expired", "expired")

    def _rescue(self, message: Message) -> None:
        message.doubts += message.is_open
        message.is_open, message.lease_until = False, None
        message.status = "unknown" if message.stands_in_doubt() else "scheduled"
        if message.status == "scheduled":
            message.due = max(message.due, self.now + _pause(message.attempts))

    def patience(self, message: Message) -> tuple[timedelta, timedelta]:
        """The shortest and the longest that it may wait after an attempt."""
        step = min(2.0 ** (message.attempts - 1), 900.0)
        return timedelta(seconds=step), timedelta(seconds=min(2 * step, 900.0))

    def open_ones(self, **wanted: str) -> Iterator[Message]:
        """What has not ended, of which all this is true."""
        for message in self.messages.values():
            is_open = message.status in {"scheduled", "sending", "unknown"}
            if is_open and all(message.asked[name] == value for name, value in wanted.items()):
                yield message


def _too_late(message: Message, else_: str) -> str:
    return {"sent": "already_sent", "sending": "in_flight", "scheduled": "in_flight"}.get(
        message.status, else_
    )


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=min(2.0 ** (attempts - 1), 900.0)) if attempts > 2 else timedelta()
