"""Providers' calls to us, read with what their signatures need.

A parser is a pure function (`events.ParseEvents`). Some providers sign with a certificate that stands at
an address of theirs: the parser says that it is Wanted, and is asked again with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from comms.providers.events import Forged, Happening, Incoming, ParseEvents, Unavailable, Wanted
from comms.providers.http import Http

_SECONDS = 3.0
_KEPT = 16


class Webhooks:
    """One a process, for all accounts: it remembers the documents that have served to verify something."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._documents: dict[str, bytes] = {}

    async def read(
        self, parse: ParseEvents, settings: Any, secrets: Mapping[str, str], incoming: Incoming
    ) -> Sequence[Happening]:
        """What a call says. Raises Forged, Unreadable or Unavailable."""
        try:
            return parse(settings, secrets, replace(incoming, documents=self._documents))
        except Wanted as wanted:
            url = wanted.url
        document = await self._read(url)
        try:
            happenings = parse(settings, secrets, replace(incoming, documents={url: document}))
        except Wanted:
            raise Forged from None
        self._keep(url, document)
        return happenings

    async def confirm(self, url: str) -> None:
        """Tell the provider that the address is ours, or Unavailable."""
        await self._read(url)

    async def _read(self, url: str) -> bytes:
        answer = await self._http.get(url, _SECONDS)
        if answer is None or answer.status != 200 or answer.body is None:
            raise Unavailable
        return answer.body

    def _keep(self, url: str, document: bytes) -> None:
        """Addresses change with their documents, so the oldest goes, and none grows stale."""
        while len(self._documents) >= _KEPT:
            del self._documents[next(iter(self._documents))]
        self._documents[url] = document
