from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.content import Plain, Sealed
from comms.privacy.cipher import CannotOpen, Cipher

ROW = uuid4()
ADA = Cipher("ada", {1: b"1" * 32}, b"h" * 32)


@given(st.binary(max_size=2000))
def test_what_was_sealed_opens(text: bytes) -> None:
    assert ADA.open(ADA.seal(Plain(text), ROW, "variables"), ROW, "variables") == text


@pytest.mark.parametrize(
    ("cipher", "row", "field"),
    [
        (ADA, uuid4(), "variables"),
        (ADA, ROW, "address"),
        (Cipher("bob", {1: b"1" * 32}, b"h" * 32), ROW, "variables"),
        (Cipher("ada", {1: b"2" * 32}, b"h" * 32), ROW, "variables"),
        (Cipher("ada", {2: b"1" * 32}, b"h" * 32), ROW, "variables"),
    ],
)
def test_it_opens_nowhere_else(cipher: Cipher, row: object, field: str) -> None:
    sealed = ADA.seal(Plain(b"insulin at nine"), ROW, "variables")
    with pytest.raises(CannotOpen):
        cipher.open(sealed, row, field)  # type: ignore[arg-type]


@given(st.integers(0, 200))
def test_a_flipped_bit_is_noticed(position: int) -> None:
    sealed = bytearray(ADA.seal(Plain(b"insulin at nine"), ROW, "variables"))
    sealed[position % len(sealed)] ^= 1
    with pytest.raises(CannotOpen):
        ADA.open(Sealed(bytes(sealed)), ROW, "variables")


def test_old_keys_still_open_and_new_ones_seal() -> None:
    rotated = Cipher("ada", {1: b"1" * 32, 2: b"2" * 32}, b"h" * 32)
    old = ADA.seal(Plain(b"x"), ROW, "f")
    assert rotated.open(old, ROW, "f") == b"x"
    with pytest.raises(CannotOpen):
        ADA.open(rotated.seal(Plain(b"x"), ROW, "f"), ROW, "f")


def test_a_digest_is_bound_to_brand_and_kind() -> None:
    same = {ADA.digest("person", "p1"), ADA.digest("person", b"p1")}
    others = {ADA.digest("recipient", "p1"), Cipher("bob", {1: b"1" * 32}, b"i" * 32).digest("person", "p1")}
    assert len(same) == 1
    assert len(same | others) == 3
