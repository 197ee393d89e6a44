"""Scopes, and the error codes that more than one call answers with."""

from __future__ import annotations

WRITE, READ = "write:messages", "read:messages"
TEMPLATES, BRANDS = "manage:templates", "manage:brands"
PREFERENCES = "manage:preferences"

NOT_FOUND: dict[int, tuple[str, ...]] = {404: ("not_found",)}
INVALID = ("validation_error", "unknown_field")

UNACCEPTABLE = (
    "template_not_found",
    "missing_variables",
    "does_not_render",
    "phi_on_open_surface",
    "missing_proof",
    "no_public_url",
    "no_route",
)
"""Why a message is not accepted, by what its template and its way need; also where a ping sends it."""

NOBODY = ("unknown_brand", "invalid_recipient")
"""Nor is one from nobody, or to nobody."""
