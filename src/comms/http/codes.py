"""Scopes, and the error codes that more than one call answers with."""

from __future__ import annotations

WRITE, READ = "write:messages", "read:messages"
TEMPLATES, BRANDS = "manage:templates", "manage:brands"
PREFERENCES = "manage:preferences"

NOT_FOUND: dict[int, tuple[str, ...]] = {404: ("not_found",)}
INVALID = ("validation_error", "unknown_field")
