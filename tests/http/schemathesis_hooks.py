"""What schemathesis is told of the service: names that exist there, and what a refusal may mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis

_KNOWN = {"brand_id": "demo", "template_key": "appointment-reminder"}
_RECIPIENTS = {"email": "ada@example.org", "sms": "+15555550123"}
_NOTHING = {"line": 1, "status": 400, "error": "none", "message": "No line came, and none was answered."}
_TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()


@schemathesis.serializer("application/x-ndjson")
def one_line(_context: Any, value: Any) -> bytes:
    """A batch of one: the document's schema is that of a line."""
    return json.dumps(value).encode() + b"\n"


@schemathesis.serializer("text/csv")
def a_table(_context: Any, value: Any) -> bytes:
    """Of a table the document says only that it is text: one of which nothing can be made."""
    return f"no names {value!r}".encode()


@schemathesis.deserializer("application/x-ndjson")
def its_verdict(_context: Any, response: Any) -> Any:
    """What became of that line; of an export, one line like all others, if there is one."""
    lines = response.content.splitlines()
    return json.loads(lines[0]) if lines else _NOTHING


@schemathesis.check
def shapes_are_refused_only_as_documented(_context: Any, response: Any, case: Any) -> None:
    """Of what the document allows, 422 may refuse what it means, never how it is written."""
    judged = response.status_code == 422 or _is_batch(response, case)
    if judged and _is_meant_well(case):
        refused = response.json()
        assert refused.get("error") not in {"validation_error", "unknown_field"}, refused["message"]


@schemathesis.check
def lines_that_break_the_document_are_refused(_context: Any, response: Any, case: Any) -> None:
    """Of a batch the status says nothing: its verdict does."""
    if _is_batch(response, case) and _is_body_broken(case):
        assert all(json.loads(verdict)["status"] >= 400 for verdict in response.content.splitlines())


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Only what is meant to be accepted is changed; what is meant to be refused stays as it is."""
    if not _is_meant_well(case):
        return
    case.body = _whole(case.body)
    if isinstance(case.body, dict):
        case.body |= {name: value for name, value in _sensible(case.body).items() if name in case.body}
        if "recipient" in case.body and "variables" in case.body:
            case.body["recipient"] = _RECIPIENTS.get(case.body["channel"], "ada")
            case.body["variables"] = {"name": "Ada", "time": "9:30"}
            case.body["hipaa"] = False
    if case.query and "brand_id" in case.query:
        case.query["brand_id"] = _KNOWN["brand_id"]


def _sensible(body: dict[str, Any]) -> dict[str, Any]:
    """Values of members that the document can't tell to be none."""
    hours = {"start": "21:00", "end": "08:00"}
    quiet_hours = body.get("quiet_hours") and body["quiet_hours"] | hours
    options = {name: value for name, value in (body.get("options") or {}).items() if name != "supersedes"}
    limits = body.get("limits") and {k: v for k, v in body["limits"].items() if k != "requests_per_second"}
    return {
        **_KNOWN,
        "scheduled_at": _TOMORROW,
        "until": _TOMORROW,
        "timezone": "Europe/Berlin",
        "senders": {},
        "quiet_hours": quiet_hours,
        "options": options,
        "limits": limits,
    }


def _is_batch(response: Any, case: Any) -> bool:
    of_lines = case.operation.path.endswith(("/batch", "/import")) and case.media_type != "text/csv"
    return bool(response.status_code == 200 and of_lines)


def _is_meant_well(case: Any) -> bool:
    return case.meta is not None and case.meta.generation.mode is schemathesis.GenerationMode.POSITIVE


def _is_body_broken(case: Any) -> bool:
    body = case.meta.components.get("body") if case.meta is not None else None
    return body is not None and body.mode is schemathesis.GenerationMode.NEGATIVE


def _whole(value: Any) -> Any:
    """JSON Schema calls 7.0 an integer; we ask for it to be written as one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(member) for name, member in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
