"""TLS to a server whose authority may be a private one. Certificates are verified, always."""

from __future__ import annotations

import ssl


def tls_context(authority: str | None) -> ssl.SSLContext:
    """From TLS 1.2 on. `authority`: PEM of a private one; ssl.SSLError or ValueError where it is none."""
    made = ssl.create_default_context(cadata=authority)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made
