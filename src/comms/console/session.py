"""Who is signed in: the caller's own token, sealed into a cookie; nothing is kept here.

The cookie opens only under the master key, ends after twelve hours, and the token in it is looked at
again with each page: one that is revoked is signed out within a second.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie

import msgspec

from comms.privacy.keyring import MasterKey, MasterKeyWrong

COOKIE = "comms_console"
_LASTS = timedelta(hours=12)
_PURPOSE = "console/session"


def sealed(master: MasterKey, token: str, now: datetime) -> str:
    """The cookie's value for a token."""
    ends = (now + _LASTS).timestamp()
    return base64.urlsafe_b64encode(master.wrap(msgspec.json.encode([token, ends]), _PURPOSE)).decode()


def token(master: MasterKey, header: str, now: datetime) -> str | None:
    """The token in the `Cookie` header; None where there is none, or none that is still good."""
    try:
        cookies = SimpleCookie(header)
        value = cookies[COOKIE].value if COOKIE in cookies else ""
        found, ends = msgspec.json.decode(master.unwrap(base64.urlsafe_b64decode(value), _PURPOSE))
    except (CookieError, binascii.Error, ValueError, MasterKeyWrong):
        return None
    return found if now.timestamp() < ends else None


def set_cookie(value: str, *, encrypted: bool) -> str:
    """The `Set-Cookie` header; an empty value ends the session.

    Strict: another site's link or form arrives without it, so that it can do nothing in our name.
    """
    ends = "; Max-Age=0" if not value else f"; Max-Age={int(_LASTS.total_seconds())}"
    return (
        f"{COOKIE}={value}; Path=/console; HttpOnly; SameSite=Strict{ends}{'; Secure' if encrypted else ''}"
    )


def is_ours(headers: Mapping[str, str]) -> bool:
    """Does a form come from one of our own pages? By Fetch Metadata (W3C), else by `Origin` (RFC 6454)."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")
