"""What a person answers before a secure page is shown, and how often they may be wrong."""

from __future__ import annotations

import unicodedata

MOST_TRIES = 5
"""Wrong answers; then the page is locked. Of 36,525 dates of birth in a century, somebody who knows nothing
finds the right one in five tries with a chance of 1 in 7,300.
"""

FEWEST = 4
"""Letters and digits of an answer."""


def normal(answer: str) -> str:
    """Letters and digits alone, of any case (Unicode NFKC): `1990-01-02` is `1990 01 02`."""
    return "".join(each for each in unicodedata.normalize("NFKC", answer).casefold() if each.isalnum())
