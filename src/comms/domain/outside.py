"""Does an address lead outside? Asked of addresses that strangers give us to call (SSRF)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""NAT64 (RFC 6052): the last four bytes are an IPv4 address."""

_IS_A_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


def is_outside(address: str) -> bool:
    """Is it an IP address of the public internet? What carries an IPv4 address is as good as that one."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        found = _carried(found) or found
    return found.is_global and not found.is_multicast


def may_lead_outside(host: str) -> bool:
    """Before it is looked up: a public address, or a name that needs to be looked up.

    What ends in a number is taken for an IPv4 address by some that resolve it (127.1, 0x7f000001; WHATWG
    URL, "ends in a number"), so it has to be one in its plain form. A name of one label is a neighbour's.
    """
    labels = host.removesuffix(".").split(".")
    if _IS_A_NUMBER.fullmatch(labels[-1]):
        return is_outside(host)
    return len(labels) > 1 and labels[-1].lower() not in {"localhost", "local", "internal"}


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address in _TRANSLATED:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour
