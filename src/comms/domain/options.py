"""What a message may say besides the nine members of a request."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

_Key = Annotated[str, Meta(min_length=1, max_length=1024)]
_Name = Annotated[str, Meta(min_length=1, max_length=255)]


class Proof(Struct, frozen=True, forbid_unknown_fields=True):
    """What the person is asked before a secure page is shown, and what they answer.

    Anybody who holds the link reads the question. Once a message is accepted, `answer` is a hash of it.
    """

    question: Annotated[str, Meta(min_length=1, max_length=200)]
    answer: Annotated[str, Meta(min_length=1, max_length=200)]


class Options(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of it may be left out. `subject` is what the message is about, such as an appointment.

    `supersedes` is the dedup_key of a message that this one replaces, as long as that one waits.
    `send_if` are facts by name, each with the value that it must have when the message is sent.
    `proof` opens the secure page that the template has.
    """

    subject: _Key | None = None
    supersedes: _Key | None = None
    send_if: Annotated[dict[_Name, _Name], Meta(max_length=10)] = {}
    proof: Proof | None = None


class Kept(Options, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The same as it is stored, with what we note of a message for ourselves: no caller can set that.

    `trace` is the span in which the message was accepted, as `traces.py` links to it; `through` the provider
    that a canary goes through, whatever the route says.
    """

    trace: str | None = None
    through: str | None = None
