from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.content import Plain
from comms.privacy.addresses import Expired, NotSigned, brand_of, read, sign
from comms.privacy.cipher import Cipher

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
SAID = Plain(b'["ada.private","email","news"]')
CIPHER = Cipher("loop", {1: b"k" * 32}, b"h" * 32)


def signed(said: Plain = SAID) -> str:
    return sign(CIPHER, "loop", "unsubscribe", said, LATER)


def test_what_was_signed_is_read_again_and_shows_nothing_personal() -> None:
    made = signed()
    assert read(CIPHER, made, "unsubscribe", NOW) == SAID
    assert brand_of(made) == "loop"
    assert b"ada" not in made.encode()
    assert signed() != made


def test_it_ends_at_its_time() -> None:
    made = signed()
    assert read(CIPHER, made, "unsubscribe", LATER - timedelta(seconds=1)) == SAID
    with pytest.raises(Expired):
        read(CIPHER, made, "unsubscribe", LATER)


def test_it_is_good_for_one_purpose_of_one_brand() -> None:
    with pytest.raises(NotSigned):
        read(CIPHER, signed(), "preferences", NOW)
    for other in (
        Cipher("loop", {1: b"k" * 32}, b"g" * 32),
        Cipher("loop", {1: b"k" * 32}, b"h" * 31 + b"g"),
    ):
        with pytest.raises(NotSigned):
            read(other, signed(), "unsubscribe", NOW)
    elsewhere = sign(CIPHER, "pool", "unsubscribe", SAID, LATER)
    moved = signed()[:10] + elsewhere[10:]
    with pytest.raises(NotSigned):
        read(CIPHER, moved, "unsubscribe", NOW)


def test_a_key_of_its_own_is_used() -> None:
    assert CIPHER.derive("signed address") not in {b"h" * 32, CIPHER.derive("another purpose")}


def test_whatever_is_changed_is_refused() -> None:
    """Each character in turn, the last one's spare bits, what is cut off and what is added."""
    made = signed()
    changed = [made[:n] + ("A" if made[n] != "A" else "B") + made[n + 1 :] for n in range(len(made))]
    last = [made[:-1] + other for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    cut = [made[:n] for n in range(len(made))]
    for each in {*changed, *last, *cut, made + "A", made + "=", made + "\n", " " + made} - {made}:
        with pytest.raises(NotSigned):
            read(CIPHER, each, "unsubscribe", NOW)


@given(st.text() | st.binary().map(lambda raw: raw.hex()))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(NotSigned):
        read(CIPHER, text, "unsubscribe", NOW)


@given(st.text(max_size=300))
def test_its_length_depends_on_its_content_alone(text: str) -> None:
    said = Plain(text.encode())
    assert len(signed(said)) == len(signed(said))
    assert read(CIPHER, signed(said), "unsubscribe", NOW) == said
