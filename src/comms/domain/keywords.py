"""What a text from a person asks for: STOP, START, HELP, or something else.

The whole text counts, without its case, accents, punctuation and spaces: "Stop!" is a STOP, "please
don't stop" is none. The words are those of the CTIA's Messaging Principles and Best Practices, of 47
CFR 64.1200(a)(10) as of April 2025 (revoke, opt out), and those that Twilio, Telnyx and AWS act on
by themselves, with what they are called in French, German and Spanish.
"""

from __future__ import annotations

import unicodedata
from typing import Literal

Keyword = Literal["stop", "start", "help"]

_WORDS: dict[str, Keyword] = {
    **dict.fromkeys(("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"), "stop"),
    **dict.fromkeys(("remove", "td", "arret", "desabonner", "stopp", "abmelden", "alto", "parar"), "stop"),
    **dict.fromkeys(("start", "unstop", "yes"), "start"),
    **dict.fromkeys(("help", "info", "aide", "hilfe", "ayuda"), "help"),
}


def keyword(text: str) -> Keyword | None:
    """The keyword that a text is; None where a person must read it."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return _WORDS.get("".join(each for each in plain if each.isalnum()))
