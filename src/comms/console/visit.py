"""One visit to a page: who comes, what was asked, and how it is answered.

A page asks the same actions as the API does, under the same scopes, and shows what they answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from comms.actions import brands
from comms.actions.house import House
from comms.console import words
from comms.domain.caller import ANY, Caller
from comms.domain.errors import Refused, not_found

_PAGES = Path(__file__).parent / "pages"

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """`asked` is the query's or the form's fields, each once; empty ones are left out."""

    house: House
    caller: Caller
    request: Request
    asked: Mapping[str, str] = field(repr=False)

    def need(self, scope: str) -> None:
        """403 where the token has not this scope."""
        if not self.caller.allows(scope):
            raise Refused(403, "insufficient_scope", f"This page needs a token with the scope {scope}.")

    def path(self, name: str) -> str:
        """A word of the address; 404 where no name can be like it."""
        word = str(self.request.path_params[name])
        if "\0" in word:
            raise not_found("page")
        return word

    def path_id(self, what: str) -> UUID:
        """The id in the address; 404 where it is none."""
        try:
            return UUID(self.path("id"))
        except ValueError:
            raise not_found(what) from None

    def cursor(self) -> UUID | None:
        """Where a list goes on."""
        try:
            return UUID(self.asked["cursor"]) if "cursor" in self.asked else None
        except ValueError:
            raise not_found("page") from None

    async def brand_id(self) -> str | None:
        """The brand that is looked at: the token's, else the one that was chosen, else the first."""
        if self.caller.brand_id != ANY:
            return self.caller.brand_id
        if "brand" in self.asked:
            return self.asked["brand"]
        return next(iter(await self.brand_ids()), None)

    async def brand_ids(self) -> list[str]:
        """The brands that may be chosen."""
        return [each["brand_id"] for each in await brands.listed(self.house, self.caller)]

    async def show(self, page: str, status: int = 200, **facts: Any) -> Response:
        """A page of the console, with what all of them show."""
        common = {
            "caller": self.caller,
            "asked": self.asked,
            "brand_id": await self.brand_id(),
            "brand_ids": await self.brand_ids(),
            "here": self.request.url.path,
        }
        return rendered(page, status, **common, **facts)


def rendered(page: str, status: int = 200, **facts: Any) -> HTMLResponse:
    """A page as it is, for somebody who may not be known."""
    known = {"caller": None, "problem": None, **facts}
    return HTMLResponse(_environment().get_template(page).render(known), status, SECURITY)


def back_to(address: str) -> RedirectResponse:
    """After a form: the page that shows what came of it, so that a reload repeats nothing."""
    return RedirectResponse(address, 303, SECURITY)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"moment": words.moment, "event": words.event, "status": words.status, "fact": words.fact}
    return made
