"""Pages for persons: made on the server, without scripts, and nobody's to keep, frame or list."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from comms.domain.errors import Refused, invalid
from comms.http.routing import Answer

_HTML = Path(__file__).with_name("html")
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_HTML), autoescape=True, undefined=StrictUndefined, auto_reload=False
)

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}
"""What the address says is a secret of its holder: it leaves with no link, and no engine lists it."""

STYLE = (_HTML / "pages.css").read_bytes()

_MOST_FIELDS = 4000
_NOT_NOW = "It is our fault, not yours. Try again in a few minutes."


def page(name: str, status: int = 200, **values: Any) -> Answer:
    """The page of that name; what it shows is escaped."""
    made = _ENVIRONMENT.get_template(f"{name}.html").render(values)
    return Answer(made.encode(), status, HEADERS)


def refused_page(refused: Refused) -> Answer:
    """A refusal, as a person reads it."""
    sentence = _NOT_NOW if refused.status >= 500 else refused.message
    made = page("refused", refused.status, brand=None, sentence=sentence)
    return Answer(made.body, made.status, {**refused.headers, **made.headers})


def form(body: bytes) -> dict[str, list[str]]:
    """What a page's form sent, by name; 422 where it is none."""
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:  # UnicodeDecodeError is one
        raise invalid("What was sent is not this page's form.") from None
