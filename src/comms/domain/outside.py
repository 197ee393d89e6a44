"""Addresses that strangers name: may we call there? Into our own network, never (SSRF).

A name says nothing of where it leads: whoever connects checks each address that it resolves to,
and connects to one of those that were checked (OWASP, Server Side Request Forgery Prevention).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from comms.domain.errors import Refused

LONGEST = 2048
_PORTS = (None, 443, 8443)

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address
_CARRIES_ANOTHER = tuple(map(IPv6Network, ("2002::/16", "2001::/32", "64:ff9b:1::/48", "5f00::/16")))
"""6to4, Teredo, local NAT64, segment routing: where they end is not for the address to say."""

_PUBLIC_BUT_OURS = tuple(map(IPv4Network, ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24")))
"""Where Azure and Oracle answer each of their machines, though some tables call it global; 6to4 relays."""

_IS_A_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


def is_outside(address: str) -> bool:
    """Does this address, as a resolver gives it, lie outside of every network of ours?"""
    try:
        found = _innermost(ip_address(address))
    except ValueError:
        return False
    if found is None or any(found in network for network in _PUBLIC_BUT_OURS):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def may_lead_outside(host: str) -> bool:
    """Before it is looked up: a public address, or a name that needs to be looked up.

    What ends in a number is taken for an IPv4 address by some that resolve it (127.1, 0x7f000001; WHATWG
    URL, "ends in a number"), so it has to be one in its plain form. A name of one label is a neighbour's.
    """
    labels = host.removesuffix(".").split(".")
    if _IS_A_NUMBER.fullmatch(labels[-1]):
        return is_outside(host)
    return len(labels) > 1 and labels[-1].lower() not in {"localhost", "local", "internal"}


def check_url(url: str, *, local: bool) -> None:
    """422 `url_refused` for what is no address to call; `local`: anything with http goes, for trying out."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise _refused("it can't be read") from None
    if not (url.isascii() and url.isprintable()) or any(each in url for each in " \\"):
        raise _refused("it holds characters that must be escaped; a name of other letters is written xn--...")
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise _refused("it must begin with https://")
    if not host or parts.username is not None or parts.password is not None or "#" in url:
        raise _refused("it must name a host, without a user, a password or a fragment")
    if port not in _PORTS and not local:
        raise _refused("its port must be 443 or 8443")
    if is_number(host) and not local and not is_outside(host):
        raise _refused("it leads into a network that is not public")


def is_number(host: str) -> bool:
    """Is a connection made to it without asking what the name resolves to? Of 127.1, too."""
    return ":" in host or host.replace(".", "").isdigit()


def _innermost(found: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address | None:
    """The IPv4 address inside, where there is one; None where nobody can tell where it leads."""
    if isinstance(found, IPv4Address):
        return found
    if found.ipv4_mapped:
        return found.ipv4_mapped
    if found in _NAT64:
        return IPv4Address(found.packed[-4:])
    if found.scope_id or any(found in network for network in _CARRIES_ANOTHER):
        return None
    return found


def _refused(why: str) -> Refused:
    return Refused(422, "url_refused", f"url can't be called: {why}.")
