"""Traces: from a request to the provider's answer, for those who asked for them. Here nothing is traced.

A part is a span (OpenTelemetry's word): it begins when it is made and ends when it is left. It notes ids of
messages, words of ours, and the names that operators gave to brands, templates and providers: nothing of a
person, and nothing that was said in a request or by a provider. `otel.py` has the parts that are told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Self

Fact = str | int | bool


class Part:
    """One that nobody hears of."""

    link: str | None = None
    """What another trace points back with; None: there is nothing to point to."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        return None

    def part(self, name: str, *, since: datetime | None = None, calls: bool = False) -> Part:  # noqa: ARG002
        """One that belongs to this. It may have begun before now; `calls`: it is a call of somebody else."""
        return self

    def note(self, **facts: Fact) -> None:
        """What is known of it."""

    def answered(self, status: int) -> None:
        """Of a request: how it was answered."""

    def failed(self, why: str) -> None:
        """It did not go well; `why` is a word of ours."""


NOTHING = Part()
_here: ContextVar[Part] = ContextVar("part", default=NOTHING)


def here() -> Part:
    """The request that is being answered."""
    return _here.get()


@contextmanager
def inside(part: Part) -> Iterator[Part]:
    """`part` is what is `here` meanwhile."""
    with part:
        token = _here.set(part)
        try:
            yield part
        finally:
            _here.reset(token)


class Traces:
    """Of one process: none."""

    is_on = False

    def request(self, _method: str, _route: str, _headers: Mapping[str, str]) -> Part:
        """A request; it belongs to the trace that its `traceparent` names (W3C Trace Context)."""
        return NOTHING

    def delivery(self, _link: str | None) -> Part:
        """An attempt to deliver what was accepted in the part that `link` points to."""
        return NOTHING

    async def close(self) -> None:
        """Tell what is left."""


UNTRACED = Traces()
