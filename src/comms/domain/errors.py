"""What can be refused, and how it is said.

    Refused                    an HTTP status, a stable code, one sentence for a person
    └── TemplateRefused        a template that can't be published, with its line
    Unavailable                the service can't answer for now; nothing was done

`code` is a machine's word in snake_case and keeps its meaning for ever; `message` is one
sentence that says what to do next and never repeats a value that the caller sent.
"""

from __future__ import annotations


class Refused(Exception):
    """A request that is understood and refused. `http` answers it as `{error, message}`."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


class TemplateRefused(Refused):
    """A template version that does not parse, or breaks a rule. `line` counts from 1 or is None."""

    def __init__(self, code: str, place: str, line: int | None, why: str) -> None:
        where = f"{place}, line {line}" if line else place
        super().__init__(422, code, f"The template's {where}: {why}")
        self.place = place
        self.line = line


class Unavailable(Refused):
    """503 with `Retry-After`: the database is away, or this process is draining."""

    def __init__(
        self, message: str = "The service can't answer for now; repeat the request with the same dedup_key."
    ) -> None:
        super().__init__(503, "temporarily_unavailable", message, {"Retry-After": "1"})


def invalid(message: str) -> Refused:
    """422 `validation_error`: the shape of the request is wrong."""
    return Refused(422, "validation_error", message)


def not_found(what: str) -> Refused:
    """404: there is no such row, or it is another brand's."""
    return Refused(404, "not_found", f"There is no such {what}, or it belongs to another brand.")


def invalid_token(
    message: str = "The token is unknown, expired or revoked; use another one.",
) -> Refused:
    """401 with the challenge of RFC 6750, section 3."""
    challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return Refused(401, "invalid_token", message, challenge)
