from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.domain.errors import Refused
from comms.domain.recipient import _is_plainly_possible, _is_possible, normalise


@pytest.mark.parametrize(
    ("channel", "given_", "kept"),
    [
        ("email", "ada@example.com", "ada@example.com"),
        ("email", "Ada.Lovelace+x@EXAMPLE.org", "Ada.Lovelace+x@example.org"),
        ("email", "reject@sandbox.test", "reject@sandbox.test"),
        ("sms", "+15555550123", "+15555550123"),
        ("sms", "+442071838750", "+442071838750"),
        ("push", "person", "person"),
        ("push", "ExponentPushToken[abc]", "ExponentPushToken[abc]"),
        ("in_app", "whatever she likes", "whatever she likes"),
    ],
)
def test_recipients_that_pass(channel: str, given_: str, kept: str) -> None:
    assert normalise(channel, given_) == kept


@pytest.mark.parametrize(
    ("channel", "recipient"),
    [
        ("email", "ada"),
        ("email", "ada@"),
        ("email", "@example.org"),
        ("email", "a@b.org,c@d.org"),
        ("email", "a@b.org>\r\nRCPT TO:<x@y.org"),
        ("email", "Ada <ada@example.org>"),
        ("email", "a b@example.org"),
        ("email", "a@b.org\nBcc: x@y.org"),
        ("email", "a@exa\u202emple.org"),
        ("email", "x" * 4000 + "@example.org"),
        ("sms", "555"),
        ("sms", "15555550123"),
        ("sms", "+0123456789"),
        ("sms", "+1 555 555 0123"),
        ("sms", "+1555555012345678"),
        ("sms", "+١٥٥٥٥٥٥٠١٢٣"),
        ("sms", "+15555550123\n"),
        ("sms", "ada@example.org"),
        ("push", "tok\ren"),
        ("push", "tok\x00en"),
        ("push", "line\u2028break"),
    ],
)
def test_recipients_that_do_not_pass_are_not_repeated(channel: str, recipient: str) -> None:
    with pytest.raises(Refused) as refused:
        normalise(channel, recipient)
    assert refused.value.code == "invalid_recipient"
    said, _, _example = refused.value.message.partition(", such as")
    assert not re.search(rf"(?<!\w){re.escape(recipient)}(?!\w)", said)


@given(st.sampled_from(["email", "sms", "push", "in_app"]), st.text(min_size=1, max_size=80))
def test_any_text_passes_or_is_refused(channel: str, text: str) -> None:
    try:
        assert normalise(channel, normalise(channel, text)) == normalise(channel, text)
    except Refused as refused:
        outcome = refused.code
    else:
        outcome = "invalid_recipient"
    assert outcome == "invalid_recipient"


def test_the_short_way_finds_possible_only_what_is() -> None:
    chance = random.Random(1)
    digits = ["".join(chance.choices("0123456789", k=chance.randint(6, 14))) for _ in range(3000)]
    numbers = [f"+{chance.choice('123456789')}{each}" for each in digits]
    plainly = [number for number in numbers if _is_plainly_possible(number)]
    assert len(plainly) > 300
    assert all(_is_possible(number) for number in plainly)
