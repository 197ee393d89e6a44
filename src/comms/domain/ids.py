"""Identifiers that find their own shard.

A message's bucket comes from the keyed hash of (brand_id, dedup_key); its id is a UUIDv7
(RFC 9562, section 5.7) whose twelve `rand_a` bits are the first bits of that hash. So an
id alone names the bucket, and the bucket names the shard.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

# Slot i of 64 is the smallest integer whose hashint4() falls into the i-th 64th of PostgreSQL's
# hash range, so that Citus spreads the buckets evenly over 32 or 64 shards. Plain 0-63 left two
# of 32 shards empty and put five buckets on the fullest.
BUCKETS = (
    60, 8, 82, 1, 31, 88, 79, 24, 10, 92, 48, 109, 5, 112, 50, 166,
    4, 7, 17, 172, 16, 96, 170, 85, 36, 89, 19, 0, 37, 45, 101, 3,
    113, 52, 62, 99, 136, 168, 46, 28, 6, 66, 70, 21, 83, 39, 43, 13,
    2, 351, 27, 95, 58, 149, 41, 179, 9, 80, 59, 22, 12, 11, 44, 18,
)  # fmt: skip


def bucket_of_digest(digest: bytes) -> int:
    """The bucket of a keyed hash: its first six bits."""
    return BUCKETS[digest[0] >> 2]


def bucket_of(message_id: UUID) -> int:
    """The bucket that a message id carries. Any UUID has one; only ours are found in it."""
    return BUCKETS[(message_id.int >> 70) & 0x3F]


def first_id(instant: datetime) -> UUID:
    """No message that was accepted at `instant` or later has a smaller id, none from before a larger one.

    There are none from before 1970.
    """
    return UUID(int=max(0, int(instant.timestamp() * 1000)) << 80)


def message_id(now: datetime, digest: bytes, randomness: bytes) -> UUID:
    """A UUIDv7 for `now` (milliseconds) in the bucket of `digest`; `randomness` is eight bytes."""
    milliseconds = int(now.timestamp() * 1000)
    rand_a = int.from_bytes(digest[:2], "big") >> 4
    rand_b = int.from_bytes(randomness, "big") & (1 << 62) - 1
    return UUID(int=milliseconds << 80 | 7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)
