"""An e-mail's HTML from MJML, and its text part from its HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mjml import mjml2html
from selectolax.lexbor import LexborHTMLParser, LexborNode

from comms.domain.errors import TemplateRefused

_BLOCKS = frozenset(
    ("address", "article", "blockquote", "div", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "li")
    + ("ol", "p", "pre", "section", "table", "tr", "ul")
)
_SILENT = frozenset(["head", "script", "style", "title", "template"])
_MJML = re.compile(r"\s*<mjml[\s>]")


def html(body: str) -> str:
    """The body as HTML: MJML is turned into it, Liquid stays as it is."""
    if not _MJML.match(body):
        return body
    try:
        made: str = mjml2html(body)
    except ValueError:
        raise TemplateRefused("invalid_template", "body", None, "this is not valid MJML.") from None
    return made


def text_part(markup: str) -> str:
    """What a reader without HTML sees: blocks apart, list items marked, links with their address."""
    body = LexborHTMLParser(markup).body
    text = "".join(_words(body)) if body else ""
    lines = (re.sub(r"[ \t\r\f\v\u00a0]+", " ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _words(node: LexborNode) -> Iterator[str]:
    for child in node.iter(include_text=True):
        tag = child.tag
        if tag == "-text":
            yield re.sub(r"\s+", " ", child.text_content or "")
        elif tag == "br":
            yield "\n"
        elif tag not in _SILENT:
            yield from _element(child, tag or "")


def _element(node: LexborNode, tag: str) -> Iterator[str]:
    if tag == "li":
        yield "\n- "
    elif tag in _BLOCKS:
        yield "\n\n" if tag != "tr" else "\n"
    yield from _words(node)
    if tag == "a":
        yield _address(node)
    elif tag == "img":
        yield node.attributes.get("alt") or ""
    elif tag in {"td", "th"}:
        yield " "
    elif tag in _BLOCKS and tag not in {"li", "tr"}:
        yield "\n\n"


def _address(link: LexborNode) -> str:
    address = link.attributes.get("href") or ""
    words = link.text(deep=True).strip()
    return f" ({address})" if address and not address.startswith("#") and address != words else ""
