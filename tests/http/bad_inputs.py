"""Bodies that `POST /v1/messages/schedule` must refuse, each with one sentence: name, body, status, code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

GOOD: dict[str, Any] = {
    "channel": "sms",
    "template_key": "visit",
    "recipient": "+15555550123",
    "brand_id": "loop",
    "person_id": "p1",
    "variables": {"name": "Ada"},
    "dedup_key": "key-1",
    "hipaa": False,
    "scheduled_at": "2030-01-01T13:00:00Z",
}
NAMES = ("template_key", "recipient", "brand_id", "person_id", "dedup_key", "scheduled_at", "channel")
LONGEST = {"template_key": 255, "brand_id": 255, "person_id": 255, "dedup_key": 1024, "recipient": 4096}

Case = tuple[str, bytes, int, str]


def cases() -> list[Case]:
    """All of them."""
    return [*_no_json(), *_members(), *_texts(), *_times(), *_recipients(), *_unknown(), *_beyond()]


def _case(name: str, code: str = "validation_error", /, **changes: Any) -> Case:
    return name, json.dumps({**GOOD, **changes}).encode(), 422, code


def _raw(name: str, body: bytes | str, code: str = "validation_error") -> Case:
    return name, body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body, 422, code


def _with(member: str, text: str) -> str:
    """The good body with a member's JSON put in as it is."""
    return json.dumps({**GOOD, member: "@@"}).replace('"@@"', text)


def _no_json() -> Iterator[Case]:
    bodies = [
        "", " ", "{", "}", "[", "nul", "null", "true", "1", '""', "[]", "[{}]", "{,}", '{"a"}', '{"a":}', "{'a':1}",
        '{"a":1,}', "{a:1}", "\ufeff{}", "<xml/>", "channel=sms", "{}{}", "{} x", '{"a":01}', '{"a":+1}', '{"a":.5}',
        '{"a":1.}', '{"a":"\t"}', '{"a":"\n"}', '{"a":"\\x"}', '{"a":"\\u12"}', '{"a":/*x*/1}', "// x\n{}",
    ]  # fmt: skip
    for text in bodies:
        yield _raw(f"no object of JSON: {text!r}", text)
    for name, body in {
        "utf-16": json.dumps(GOOD).encode("utf-16"),
        "latin-1": json.dumps({**GOOD, "person_id": "é"}, ensure_ascii=False).encode("latin-1"),
        "a lone continuation byte": b'{"channel": "\x80"}',
        "overlong": b'{"channel": "\xc0\xaf"}',
        "a raw surrogate": b'{"channel": "\xed\xa0\x80"}',
        "gzip": b"\x1f\x8b\x08\x00\x00",
        "a NUL byte": b'{"channel": "\x00"}',
    }.items():
        yield _raw(name, body)
    for number in ("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 100_000):
        yield _raw(f"a number that is none: {number[:10]}", _with("variables", f'{{"n": {number}}}'))
    for depth in (33, 100, 5_000, 40_000):
        yield _raw(
            f"nested {depth} deep in lists", _with("variables", '{"a":' + "[" * depth + "]" * depth + "}")
        )
        yield _raw(f"nested {depth} deep in objects", _with("variables", '{"a":' * depth + "1" + "}" * depth))
    for member, value in GOOD.items():
        pair = f'"{member}": {json.dumps(value)}'
        yield _raw(f"{member} twice", json.dumps(GOOD)[:-1] + f", {pair}}}")
    yield _raw("hipaa twice, differing", json.dumps({**GOOD, "hipaa": True})[:-1] + ', "hipaa": false}')
    yield _raw("two members of one name inside variables", _with("variables", '{"name": 1, "name": 2}'))


def _members() -> Iterator[Case]:
    value: Any
    for member in NAMES:
        missing = {name: value for name, value in GOOD.items() if name != member}
        yield _raw(f"without {member}", json.dumps(missing))
        yield _case(f"{member} empty", **{member: ""})
        for value in (None, 1, 1.5, True, [], {}, ["x"]):
            yield _case(f"{member} is {value!r}", **{member: value})
    for member, longest in LONGEST.items():
        yield _case(f"{member} too long", **{member: "x" * (longest + 1)})
    for value in (None, "", "x", 1, True, [], [1]):
        yield _case(f"variables is {value!r}", variables=value)
    for value in (None, "", "true", 0, 1, [], {}):
        yield _case(f"hipaa is {value!r}", hipaa=value)
    for value in ("fax", "SMS", "email ", "in-app", "inapp", "*", "whatsapp"):
        yield _case(f"channel is {value!r}", channel=value)
    for value in (None, [], "x", 1):
        yield _case(f"options is {value!r}", options=value)


def _texts() -> Iterator[Case]:
    for member in ("template_key", "recipient", "brand_id", "person_id", "dedup_key"):
        for name, text in {
            "NUL": '"a\\u0000b"',
            "half a pair": '"a\\ud800b"',
            "the other half": '"\\udc00"',
        }.items():
            yield _raw(f"{name} in {member}", _with(member, text))
    for text in (
        '{"name": "\\u0000"}',
        '{"\\u0000": 1}',
        '{"a": [{"b": "\\ud83d"}]}',
        '{"a": "\\ude00\\ud83d"}',
    ):
        yield _raw(f"in variables: {text}", _with("variables", text))


def _times() -> Iterator[Case]:
    unreadable = [
        "tomorrow", "2030-01-01", "2030-01-01T13:00:00", "2030-01-01 13:00:00Z", "2030-W01-2T13:00:00Z",
        "20300101T130000Z", "2030-01-01T13:00Z", "2030-13-01T13:00:00Z", "2030-02-30T13:00:00Z",
        "2030-01-01T24:00:00Z", "2030-01-01T13:60:00Z", "2030-01-01T13:00:61Z", "2030-01-01T13:00:00+99:00",
        "2030-01-01T13:00:00+0500", "2030-01-01T13:00:00 Z", "٢٠٣٠-01-01T13:00:00Z", "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59", "1893502800", "2030-01-01T13:00:00Z[Mars/Olympus]",
        "2030-01-01T13:00:00+01:00[America/New_York]", "2030-01-01T13:00:00Z[!x=y]", "2030-01-01T13:00:00Z[",
    ]  # fmt: skip
    for text in unreadable:
        yield _case(f"scheduled_at {text}", scheduled_at=text)
    for text in (
        "2030-01-01T07:59:59.999Z",
        "2029-12-31T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
    ):
        yield _case(f"past: {text}", "scheduled_at_in_past", scheduled_at=text)
    for text in ("2032-01-02T12:00:00.001Z", "9999-12-31T23:59:59Z"):
        yield _case(f"far: {text}", "scheduled_at_too_far", scheduled_at=text)


def _recipients() -> Iterator[Case]:
    numbers = ["5", "15555550123", "+0123456789", "+1 555 555 0123", "+1-555-555-0123", "+1555555012345678", "tel:+1555",
               "+١٥٥٥٥٥٥٠١٢٣", "+15555550123,+15555550124", "ada@example.org", "+", "++15555550123", " +15555550123"]  # fmt: skip
    for number in numbers:
        yield _case(f"number {number}", "invalid_recipient", recipient=number)
    addresses = ["ada", "ada@", "@example.org", "a@b@c.org", "a b@example.org", "a@b.org,c@d.org", "Ada <a@b.org>",
                 "a@b.org\r\nBcc: x@y.org", "a@-b.org", "a@b..org", ".a@b.org", "a@exam\u202eple.org", "a@b.org;"]  # fmt: skip
    for address in addresses:
        yield _case(f"address {address!r}", "invalid_recipient", channel="email", recipient=address)
    for text in ("a\nb", "a\rb", "a\x7fb", "a\u2028b", "a\x85b"):
        yield _case(f"push to {text!r}", "invalid_recipient", channel="push", recipient=text)


def _unknown() -> Iterator[Case]:
    for name in (
        "hippa",
        "HIPAA",
        "status",
        "id",
        "sent_at",
        "attempt",
        "__proto__",
        "provider",
        "scheduledAt",
        "",
        " ",
    ):
        yield _case(f"a member named {name!r}", "unknown_field", **{name: True})
    yield _case("options knows nothing yet", "unknown_field", options={"x": 1})
    yield _case("another brand", "unknown_brand", brand_id="nobody")
    yield _case("another template", "template_not_found", template_key="nothing")
    yield _case("a template's key in other letters", "template_not_found", template_key="VISIT")


def _beyond() -> Iterator[Case]:
    yield _case("missing variables", "missing_variables", variables={})
    yield _case("a variable that is null", "missing_variables", variables={"name": None})
    yield _case("PHI in a text", "phi_on_open_surface", hipaa=True)
    yield _case(
        "PHI to a provider without a BAA", "no_route", channel="email", recipient="a@b.org", hipaa=True
    )
    large = json.dumps({**GOOD, "variables": {"name": "x" * 262_144}})
    yield "too large", large.encode(), 413, "payload_too_large"
