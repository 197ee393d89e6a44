"""An e-mail's HTML from MJML, and its text part from its HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mjml import mjml2html
from selectolax.lexbor import LexborHTMLParser, LexborNode

from comms.domain.errors import Refused, TemplateRefused
from comms.render.engine import TooLong, alarm

_BLOCKS = frozenset(
    ("address", "article", "blockquote", "div", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "li")
    + ("ol", "p", "pre", "section", "table", "tr", "ul")
)
_AROUND = {"br": ("\n", ""), "li": ("\n- ", ""), "tr": ("\n", ""), "td": ("", " "), "th": ("", " ")}
_SILENT = frozenset(["head", "script", "style", "title", "template"])
_PREHEADER = re.compile(
    r"<(\w+)\b[^>]*(?:display:\s*none|(?:class|id)=[\"'][^\"'>]*pre-?header)[^>]*>.*?</\1\s*>",
    re.DOTALL | re.IGNORECASE,
)
_MJML = re.compile(r"\s*<mjml[\s>]")


def html(body: str) -> str:
    """The body as HTML: MJML is turned into it, Liquid stays as it is."""
    if not _MJML.match(body):
        return body
    try:
        with alarm():
            made: str = mjml2html(body)
    except (ValueError, TooLong):
        raise _no_mjml() from None
    except BaseException as error:
        if (
            type(error).__name__ != "PanicException"
        ):  # its parser's, in Rust; no Exception, and not to be imported
            raise
        raise _no_mjml() from None
    return made


def _no_mjml() -> TemplateRefused:
    return TemplateRefused("invalid_template", "body", None, "this is not valid MJML.")


def preheaders(markup: str) -> list[range]:
    """Where the markup holds what an inbox shows beside the subject: in elements that are not shown."""
    try:
        with alarm():
            return [range(*found.span()) for found in _PREHEADER.finditer(markup)]
    except TooLong:
        raise TemplateRefused("invalid_template", "body", None, "its HTML hides too much.") from None


def text_part(markup: str) -> str:
    """What a reader without HTML sees: blocks apart, list items marked, links with their address."""
    body = LexborHTMLParser(markup).body
    try:
        with alarm():
            text = "".join(_words(body)) if body else ""
    except TooLong:
        why = "The template's body: its HTML is too large to make a text part of; give it a text."
        raise Refused(422, "does_not_render", why) from None
    lines = (re.sub(r"[ \t\r\f\v\u00a0]+", " ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _words(body: LexborNode) -> Iterator[str]:
    """In the order of reading, without recursion: mail is nested deeper than Python's stack."""
    to_read: list[LexborNode | str] = [body]
    while to_read:
        node = to_read.pop()
        if isinstance(node, str):
            yield node
        elif node.tag == "-text":
            yield re.sub(r"\s+", " ", node.text_content or "")
        elif node.tag not in _SILENT:
            before, after = _around(node)
            yield before
            to_read.append(after)
            to_read += reversed(list(node.iter(include_text=True)))


def _around(node: LexborNode) -> tuple[str, str]:
    """What is written before and after an element's own words."""
    tag = node.tag or ""
    if tag == "a":
        return "", _address(node)
    if tag == "img":
        return node.attributes.get("alt") or "", ""
    return _AROUND.get(tag) or (("\n\n", "\n\n") if tag in _BLOCKS else ("", ""))


def _address(link: LexborNode) -> str:
    address = link.attributes.get("href") or ""
    words = link.text(deep=True).strip()
    return f" ({address})" if address and not address.startswith("#") and address != words else ""
