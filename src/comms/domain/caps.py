"""Frequency caps: how much one person gets in any stretch of time.

What counts is what was handed over and not refused: taken, or under way, or perhaps taken. Nothing
counts against itself, so that a second attempt needs no second place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from comms.domain.brand import Cap


class Sent(NamedTuple):
    """One message that the person got."""

    id: str
    at: datetime
    channel: str
    category: str


@dataclass(frozen=True, slots=True)
class Counted:
    """A cap that covers a message, and the (id, time) of what counts against it, newest first."""

    cap: Cap
    sent: tuple[tuple[str, datetime], ...]

    @property
    def is_full(self) -> bool:
        """Would one more be one too many?"""
        return len(self.sent) >= self.cap.count

    @property
    def frees(self) -> datetime:
        """When there is room again, where it is full."""
        return self.sent[self.cap.count - 1][1] + timedelta(seconds=self.cap.seconds)


def counted(caps: Sequence[Cap], sent: Sequence[Sent], message: Sent) -> tuple[Counted, ...]:
    """The caps that cover a `message` to be sent at its time; `sent` is newest first."""
    return tuple(
        Counted(cap, _against(cap, sent, message))
        for cap in caps
        if cap.covers(message.channel, message.category)
    )


def with_another(caps: Sequence[Cap], sent: Sequence[Sent], message: Sent) -> list[Sent]:
    """What is to be remembered once `message` is sent: as much as these caps may ask for, newest first."""
    others = [each for each in sent if each.id != message.id]
    newest = sorted([message, *others], key=lambda each: each.at, reverse=True)
    wanted = {
        each.id
        for cap in caps
        for each in [n for n in newest if cap.covers(n.channel, n.category)][: cap.count]
        if each.at > message.at - timedelta(seconds=cap.seconds)
    }
    return [each for each in newest if each.id in wanted]


def _against(cap: Cap, sent: Sequence[Sent], message: Sent) -> tuple[tuple[str, datetime], ...]:
    after = message.at - timedelta(seconds=cap.seconds)
    covered = (
        (each.id, each.at)
        for each in sent
        if each.at > after and each.id != message.id and cap.covers(each.channel, each.category)
    )
    return tuple(covered)[: cap.count]
