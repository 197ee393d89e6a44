"""What every vendor says afterwards: read where it is theirs, and only there."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from comms.providers import catalogue, mailgun, resend, sendgrid, twilio, vonage
from comms.providers.events import Event, Forged, Happening, Inbound, Incoming, Unreadable
from tests.providers.contract import ADDRESS as PERSON
from tests.providers.contract import KEY, NUMBER
from tests.providers.signing import ADDRESS, ALL, BY_KIND, NOW, VOICES, Folded, Recorded, Voice, recorded

every_voice = pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.kind)


def read(voice: Voice, incoming: Incoming, **secrets: str) -> Sequence[Happening]:
    parse = catalogue.KINDS[voice.kind].parse_events
    assert parse
    return parse(None, {**voice.secrets, **secrets}, incoming)


def first(voice: Voice) -> Any:
    """A payload that says something."""
    return next(each.body for each in recorded(voice.kind) if each.says)


def is_forged(voice: Voice, incoming: Incoming, **secrets: str) -> bool:
    try:
        read(voice, incoming, **secrets)
    except Forged:
        return True
    return False


@pytest.mark.parametrize("record", ALL, ids=lambda record: f"{record.kind}: {record.name}")
def test_what_a_vendor_says_is_said_in_our_words(record: Recorded) -> None:
    voice = BY_KIND[record.kind]
    happenings = read(voice, voice.call(record.body))
    assert len(happenings) == len(record.says)
    for happening, expected in zip(happenings, record.says, strict=True):
        assert record.shows(happening, expected), (happening, expected)


@every_voice
def test_a_call_that_is_not_signed_is_forged(voice: Voice) -> None:
    incoming = voice.call(first(voice))
    bare = json.loads(incoming.body) if incoming.body[:1] == b"{" else None
    unsigned = [replace(incoming, headers=Folded({"Content-Type": "application/json"}))]
    if isinstance(bare, dict) and ("signature" in bare or "sig" in bare):
        stripped = {name: value for name, value in bare.items() if name not in {"signature", "sig"}}
        unsigned = [replace(incoming, body=json.dumps(stripped).encode())]
    assert all(is_forged(voice, each) for each in unsigned)


@every_voice
def test_a_call_that_is_signed_by_a_stranger_is_forged(voice: Voice) -> None:
    assert not is_forged(voice, voice.call(first(voice)))
    assert is_forged(voice, voice.call(first(voice), by_stranger=True))


@every_voice
def test_without_a_secret_everything_is_forged(voice: Voice) -> None:
    for name in voice.secrets:
        assert is_forged(voice, voice.call(first(voice)), **{name: ""})


@every_voice
def test_a_secret_that_is_none_is_as_good_as_none(voice: Voice) -> None:
    for name in voice.secrets:
        for nonsense in ("x", "AAAA", "whsec_", "é", "=" * 40):
            assert is_forged(voice, voice.call(first(voice)), **{name: nonsense})


@every_voice
def test_another_body_under_the_same_signature_is_forged(voice: Voice) -> None:
    incoming = voice.call(first(voice))
    changed = incoming.body.replace(b"2", b"3", 1)
    assert changed != incoming.body
    if voice.signs_body:
        assert is_forged(voice, replace(incoming, body=changed))
    if voice.kind in {"sendgrid", "resend", "telnyx"}:  # the bytes count, not what they mean
        again = json.dumps(json.loads(incoming.body), indent=1).encode()
        assert is_forged(voice, replace(incoming, body=again))


@every_voice
def test_a_signature_of_long_ago_or_of_tomorrow_is_forged(voice: Voice) -> None:
    if not voice.signs_time:
        return
    for off in (timedelta(hours=-26), timedelta(minutes=6), timedelta(days=-4000)):
        assert is_forged(voice, voice.call(first(voice), NOW + off))
    assert not is_forged(voice, voice.call(first(voice), NOW - timedelta(minutes=4)))


@every_voice
def test_the_same_call_again_says_the_same_with_the_same_ids(voice: Voice) -> None:
    for record in recorded(voice.kind):
        once, twice = (read(voice, voice.call(record.body)) for _ in range(2))
        assert once == twice
        assert len({each.id for each in once if isinstance(each, Event | Inbound)}) == len(once)


@every_voice
def test_ids_and_reasons_name_nobody(voice: Voice) -> None:
    for record in recorded(voice.kind):
        for each in read(voice, voice.call(record.body)):
            said = f"{getattr(each, 'id', '')} {getattr(each, 'reason', '')} {each!r}"
            assert PERSON not in said
            assert NUMBER[1:] not in said


@every_voice
def test_a_key_that_is_none_of_ours_is_none(voice: Voice) -> None:
    for other in ("order-17", KEY[:-2], f"{KEY}\n", "../../etc", KEY.upper(), "0" * 40):
        body = json.loads(json.dumps(first(voice)).replace(KEY, json.dumps(other)[1:-1]))
        incoming = voice.call(body)
        if voice.kind == "twilio":
            continue  # its key stands in the address
        assert [each.key for each in read(voice, incoming) if isinstance(each, Event)] == [None]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@every_voice
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_signed_is_read_or_said_to_be_unreadable(voice: Voice, data: st.DataObject) -> None:
    """A recorded payload, broken at some places, or something else altogether."""
    body = data.draw(st.sampled_from([each.body for each in recorded(voice.kind)]) | JUNK)
    for _ in range(data.draw(st.integers(0, 3))):
        body = _broken(body, data)
    try:
        read(voice, voice.call(body))
    except (Unreadable, Forged):
        return


def _broken(body: Any, data: st.DataObject) -> Any:
    if isinstance(body, dict) and body:
        name = data.draw(st.sampled_from(sorted(body)))
        inner = data.draw(st.booleans())
        return {**body, name: _broken(body[name], data) if inner else data.draw(JUNK)}
    if isinstance(body, list) and body:
        return [_broken(body[0], data), *body[1:]]
    return data.draw(JUNK)


@every_voice
@given(body=st.binary(max_size=200), value=st.text(max_size=40))
@settings(max_examples=40, deadline=None)
def test_whatever_is_not_signed_is_forged(voice: Voice, body: bytes, value: str) -> None:
    names = voice.call(first(voice)).headers
    hostile = Folded(dict.fromkeys(names, value))
    assert is_forged(voice, Incoming(ADDRESS, hostile, body, NOW))


@every_voice
@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 50_000, b"\xff", b'{"\xc7": "\xe9"}', b"", b"null", b"7", b'"\\ud800"'],
)
def test_a_body_that_is_no_call_is_never_more_than_that(voice: Voice, body: bytes) -> None:
    incoming = replace(voice.call(first(voice)), body=body)
    with pytest.raises((Forged, Unreadable)):
        read(voice, incoming)


@every_voice
def test_nothing_secret_or_personal_is_logged_or_shown(
    voice: Voice, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    private = [PERSON, NUMBER, NUMBER[1:], "Hi Ada", *voice.secrets.values()]
    shown: list[object] = []
    with capture_logs() as lines:
        for record in recorded(voice.kind):
            incoming = voice.call(record.body)
            shown += [incoming, read(voice, incoming)]
            try:
                read(
                    voice,
                    replace(incoming, body=incoming.body + b" x"),
                    **dict.fromkeys(voice.secrets, "other"),
                )
            except (Forged, Unreadable) as error:
                shown += [error, error.args]
    said = " ".join([caplog.text, *capsys.readouterr(), repr(lines), repr(shown)])
    assert [word for word in private if word in said] == []


# That our second implementation signs as the vendors do: their own published examples.


def test_twilios_example() -> None:
    """https://www.twilio.com/docs/usage/webhooks/webhooks-security, as its libraries' tests have it."""
    body = (
        b"To=%2B18005551212&CallSid=CA1234567890ABCDE&Digits=1234&From=%2B12349013030&Caller=%2B12349013030"
    )
    headers = Folded({"X-Twilio-Signature": "0/KCTR6DLpKmkAf8muzZqo1nDgQ="})
    incoming = Incoming("https://mycompany.com/myapp.php?foo=1&bar=2", headers, body, NOW)
    with pytest.raises(Unreadable):  # signed; a call, not a text
        twilio.parse_events(None, {"auth_token": "12345"}, incoming)  # type: ignore[arg-type]
    for other in (
        "https://mycompany.com/myapp.php?foo=1&bar=3",
        "https://evil.example/myapp.php?foo=1&bar=2",
    ):
        with pytest.raises(Forged):
            twilio.parse_events(None, {"auth_token": "12345"}, replace(incoming, address=other))  # type: ignore[arg-type]
    ported = replace(incoming, address="https://mycompany.com:443/myapp.php?foo=1&bar=2")
    with pytest.raises(Unreadable):
        twilio.parse_events(None, {"auth_token": "12345"}, ported)  # type: ignore[arg-type]


def test_sendgrids_example() -> None:
    """github.com/sendgrid/sendgrid-python, test/unit/test_eventwebhook.py."""
    body = (
        b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
        b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
        b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
        b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
    )
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWz"
        "M+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
        "X-Twilio-Email-Event-Webhook-Timestamp": "1600112502",
    }
    public = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVp"
        "iglSI8eNEc6wEA3F+g=="
    )
    incoming = Incoming(ADDRESS, Folded(headers), body, datetime.fromtimestamp(1600112600, UTC))
    [event] = sendgrid.parse_events(None, {"webhook_public_key": public}, incoming)  # type: ignore[arg-type]
    assert (event.event, event.for_good, event.reference) == ("bounced", True, "LRzXl_NHStOGhQ4kofSm_A")
    trimmed = replace(incoming, body=body.strip())
    with pytest.raises(Forged):
        sendgrid.parse_events(None, {"webhook_public_key": public}, trimmed)  # type: ignore[arg-type]


def test_standard_webhooks_example() -> None:
    """github.com/standard-webhooks/standard-webhooks, libraries/rust/src/lib.rs, test_sign."""
    headers = {
        "svix-id": "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        "svix-timestamp": "1649367553",
        "svix-signature": "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    }
    body = b'{"email":"test@example.com","username":"test_user"}'
    incoming = Incoming(ADDRESS, Folded(headers), body, datetime.fromtimestamp(1649367600, UTC))
    secrets = {"webhook_secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
    with pytest.raises(Unreadable):  # signed; no mail's event
        resend.parse_events(None, secrets, incoming)  # type: ignore[arg-type]
    with pytest.raises(Forged):
        resend.parse_events(None, {"webhook_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, incoming)  # type: ignore[arg-type]


_SHA512 = (
    "812a18f76680fa0fe1b8bd9ee1625466ceb1bd96242e4d050d2cfd9a7b40166c"
    "63ed26ec9702168781b6edcf1633db8ff95af9341701004eec3fcf9550572ee8"
)


@pytest.mark.parametrize(
    ("signature", "is_taken"),
    [
        ("a321e824b9b816be7c3f28859a31749a098713d39f613c80d455bbaffae1cd24", True),
        (_SHA512, True),
        ("3e19a4e6880fdc2c1426bfd0587c98b9532f0210", False),  # SHA-1
        ("c15c21ced558c93a226c305f58f902f2", False),  # MD5
        ("6af838ef94998832dbfc29020b564830", False),  # MD5 without HMAC
    ],
)
def test_vonages_examples(signature: str, is_taken: bool) -> None:  # noqa: FBT001 - a table's column
    """github.com/Vonage/vonage-python-sdk, tests/test_signature.py: all five fit, and two are good enough."""
    body = f"a=1&b=2&timestamp=1461605396&sig={signature}".encode()
    incoming = Incoming(ADDRESS, Folded({}), body, datetime.fromtimestamp(1461605400, UTC))
    with pytest.raises(Unreadable if is_taken else Forged):
        vonage.parse_events(None, {"webhook_secret": "secret"}, incoming)  # type: ignore[arg-type]


def test_a_password_of_postmarks_may_stand_in_a_header() -> None:
    voice = BY_KIND["postmark"]
    by_header = Folded({"X-Webhook-Secret": voice.secrets["webhook_secret"]})
    incoming = replace(voice.call(first(voice)), headers=by_header)
    assert len(read(voice, incoming)) == 1
    for wrong in ("", "Basic", "Basic =", "Basic bm9jb2xvbg==", "Bearer x"):
        headers = Folded({"Authorization": wrong, "X-Webhook-Secret": "x"})
        assert is_forged(voice, replace(incoming, headers=headers))


def test_a_token_of_mailguns_is_the_events_id_whatever_stands_beside_it() -> None:
    """Its signature does not cover the body: what a replay would change is known already."""
    voice = BY_KIND["mailgun"]
    replayed = voice.call({"event-data": {**first(voice)["event-data"], "event": "complained"}})
    [honest], [forged] = (read(voice, each) for each in (voice.call(first(voice)), replayed))
    assert isinstance(honest, Event)
    assert isinstance(forged, Event)
    assert honest.id == forged.id
    assert mailgun.KIND.secrets == {"api_key", "webhook_secret"}
