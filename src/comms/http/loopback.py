"""Who asks from this very machine."""

from __future__ import annotations

from ipaddress import ip_address

from starlette.requests import Request

_PROXY_HEADERS = ("forwarded", "x-forwarded-", "x-real-ip", "via")


def is_local(request: Request) -> bool:
    """Is the other end of the connection on this machine, and no proxy that speaks for somebody else?

    Headers may only take that away, since anybody can write them.
    """
    try:
        address = ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return address.is_loopback and not any(name.startswith(_PROXY_HEADERS) for name in request.headers)
