"""HTTP as uvicorn speaks it, but for one answer: what is no HTTP is refused in our own shape, too."""

from __future__ import annotations

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

_BODY = msgspec.json.encode({"error": "bad_request", "message": "This is no request in HTTP/1.1; send one."})


class Protocol(HttpToolsProtocol):
    """One connection."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the library's words; ours are the same for all
        """Say so, and hang up: where the next request begins nobody knows."""
        headers = {
            "content-type": "application/json",
            "content-length": str(len(_BODY)),
            "cache-control": "no-store",
            "connection": "close",
        }
        lines = (f"{name}: {value}\r\n".encode() for name, value in headers.items())
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", _BODY]))
        self.transport.close()
