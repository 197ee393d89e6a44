"""Is this a recipient for that channel? Checked for its shape, without being clever."""

from __future__ import annotations

import re
from functools import cache

import phonenumbers
from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from comms.domain.errors import Refused

PERSON = "person"
"""The recipient of a push to all of the person's devices."""

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def normalise(channel: str, recipient: str) -> str:
    """The recipient in its one spelling; 422 `invalid_recipient` where the channel can't use it.

    E-mail: one address (RFC 5321), the domain in lower case; special-use domains pass, since
    testing is a use. SMS: E.164 of a possible length; fictional numbers pass. Push: any text
    without control characters. In-app: any text, since the inbox is the person's.
    """
    if channel == "email":
        return _email(recipient)
    if channel == "sms":
        return _number(recipient)
    if channel == "push" and _CONTROL.search(recipient):
        raise _refused("must not hold control characters")
    return recipient


def on_the_wire(address: str) -> str:
    """A normalised address with its domain in ASCII (IDNA 2008, RFC 5891), as servers know it.

    The local part stays: outside ASCII it needs a server that speaks SMTPUTF8 (RFC 6531).
    """
    if address.isascii():
        return address
    parsed = _parse(address)
    return f"{parsed.local_part}@{parsed.ascii_domain}"


def folded(address: str) -> str:
    """A normalised address as it is compared where it must not slip through: a block on Ada@ is one on ada@.

    A server may tell the two apart (RFC 5321, section 2.4); hardly one does.
    """
    return address.lower()


def _email(recipient: str) -> str:
    try:
        return _parse(recipient).normalized
    except EmailNotValidError:
        raise _refused("must be one e-mail address, such as ada@example.org") from None


def _parse(address: str) -> ValidatedEmail:
    """Special-use domains pass: .test and its like are how one tries things out."""
    return validate_email(
        address, check_deliverability=False, globally_deliverable=False, test_environment=True
    )


def _number(recipient: str) -> str:
    if _E164.fullmatch(recipient) and (_is_plainly_possible(recipient) or _is_possible(recipient)):
        return recipient
    raise _refused("must be a telephone number in E.164 form, such as +15555550123")


def _is_possible(number: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def _is_plainly_possible(number: str) -> bool:
    """The same for most, in a tenth of the time: no country code begins another (ITU-T E.164)."""
    for length in (1, 2, 3):
        code, rest = int(number[1 : 1 + length]), number[1 + length :]
        if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return rest[0] != "0" and _is_possible_length(code, len(rest))
    return False


@cache
def _is_possible_length(code: int, digits: int) -> bool:
    """A country's plan says how long its numbers are: some thousand answers for all the numbers there are."""
    return phonenumbers.is_possible_number(
        phonenumbers.PhoneNumber(country_code=code, national_number=10 ** (digits - 1))
    )


def _refused(why: str) -> Refused:
    return Refused(422, "invalid_recipient", f"recipient {why}.")
