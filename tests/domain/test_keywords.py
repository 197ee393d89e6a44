"""What a text asks for."""

from __future__ import annotations

import pytest

from comms.domain.keywords import keyword


@pytest.mark.parametrize(
    "text",
    ["STOP", "stop", " Stop! ", "STOP.", "“stop”", "S T O P", "\uff33\uff34\uff2f\uff30", "stop\n", "STOP\u200b", "Stop all", "STOPALL", "unsubscribe",
     "Cancel", "END", "quit", "revoke", "OPTOUT", "opt out", "Opt-Out", "arrêt", "ARRET", "Stopp!", "Désabonner", "alto"],
)  # fmt: skip
def test_words_that_stop(text: str) -> None:
    assert keyword(text) == "stop"


@pytest.mark.parametrize("text", ["START", "Unstop", "yes", "YES!", " Yes. "])
def test_words_that_start(text: str) -> None:
    assert keyword(text) == "start"


@pytest.mark.parametrize("text", ["HELP", "help?", "Info", "¿Ayuda?"])
def test_words_that_ask_for_help(text: str) -> None:
    assert keyword(text) == "help"


@pytest.mark.parametrize(
    "text",
    ["", "...", "please don't stop", "stop by at nine", "I'll be at the bus stop", "weekend", "yes please call", "no", "🛑",
     "cancel my appointment", "C", "S"],
)  # fmt: skip
def test_what_a_person_must_read(text: str) -> None:
    assert keyword(text) is None
