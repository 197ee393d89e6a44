from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from comms.domain.ids import BUCKETS, bucket_of, bucket_of_digest, first_id, message_id

INSTANT = datetime(2026, 12, 1, tzinfo=UTC)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8))
def test_an_id_alone_names_its_bucket(digest: bytes, randomness: bytes) -> None:
    assert bucket_of(message_id(INSTANT, digest, randomness)) == bucket_of_digest(digest)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8))
def test_an_id_is_a_uuid_of_version_7_with_its_milliseconds(digest: bytes, randomness: bytes) -> None:
    made = message_id(INSTANT, digest, randomness)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(INSTANT.timestamp() * 1000)


def test_there_are_64_buckets_each_once() -> None:
    assert Counter(BUCKETS).most_common(1)[0][1] == 1
    assert len(BUCKETS) == 64


def test_the_first_id_of_a_time_before_there_were_any_is_the_smallest() -> None:
    assert first_id(datetime(1926, 1, 1, tzinfo=UTC)).int == 0
