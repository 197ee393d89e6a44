"""The OpenAPI 3.1 document, made from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

import msgspec
from msgspec import Struct

from comms import __version__
from comms.domain.brand import Channel
from comms.http.routing import CSV, NDJSON, Route
from comms.http.shapes.messages import ScheduledMessage

_REF = "#/components/schemas/{name}"
_ALWAYS = {
    401: ("unauthenticated", "invalid_token"),
    403: ("insufficient_scope", "forbidden"),
    429: ("rate_limited",),
}
_REASONS = {
    200: "Done",
    201: "Made",
    202: "Begun",
    401: "No token, or not a valid one",
    403: "The token may not",
    404: "Not there",
    408: "The body did not come in time",
    409: "Not in this state",
    410: "Not there any more",
    413: "Too large",
    415: "Not in a form that is read",
    422: "Understood and refused",
    429: "Too many requests",
    503: "Not now",
}
_HEADERS = {
    "Prefer": "wait=N: how many seconds to wait for the outcome, 0 to 30 (RFC 7240)",
    "X-Brand-Id": "the brand that is meant, where the token is for any",
    "Last-Event-ID": "the id of the last event that was heard: what came after it follows",
    "Idempotent-Replayed": "true where an earlier request made the message",
    "Location": "where the first message with this key is",
    "Retry-After": "seconds after which it is worth asking again",
    "WWW-Authenticate": "what the token lacks (RFC 6750)",
}
_SAID_WITH = {
    "unauthenticated": "WWW-Authenticate",
    "invalid_token": "WWW-Authenticate",
    "insufficient_scope": "WWW-Authenticate",
    "dedup_key_used": "Location",
    "in_flight": "Retry-After",
    "too_many_replays": "Retry-After",
    "rate_limited": "Retry-After",
    "temporarily_unavailable": "Retry-After",
}
"""The header that comes with a code."""

_LINES = (
    "NDJSON in, NDJSON out: the schemas of body and answer are those of one line, of 256 KiB at most. Blank "
    "lines are passed over; each other one gets its verdict, in the same order and while they are read. "
    "`line` counts from 1, blank ones too; `status`, `error` and `message` are what the call for one message "
    "would have answered. A bad line harms no other. A client may write everything before it reads."
)
"""OpenAPI 3.1 has no word for a sequence of values; 3.2 has itemSchema."""

_SIGNED = (
    "A provider's own call: no token, since its signature says whose it is. What stands in the body is the "
    "provider's affair. Twilio's texts are answered with an empty TwiML document."
)
_LIMITS: dict[str, dict[str, Any]] = {"id": {"format": "uuid"}, "signed": {"pattern": "^[A-Za-z0-9_-]+$"}}
"""Of names in addresses."""

Document = dict[str, Any]


def document(routes: Sequence[Route]) -> Document:
    """The whole document."""
    shapes = sorted({shape for route in routes for shape in _shapes(route)}, key=lambda shape: shape.__name__)
    _, components = msgspec.json.schema_components(shapes, ref_template=_REF)
    more = {shape.__name__: getattr(shape, "more_schema", {}) for shape in shapes}
    paths: dict[str, Document] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, _links(route, routes))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "comms",
            "version": __version__,
            "description": "Send this template to this person at this time, and never twice.",
        },
        "paths": paths,
        "components": {
            "schemas": {name: _tidy(schema) | more.get(name, {}) for name, schema in components.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, links: Document) -> Document:
    errors: dict[int, Sequence[str]] = dict(_ALWAYS) if route.scope else {}
    if route.body or route.raw:
        errors |= {408: ("request_timeout",), 413: ("payload_too_large",)}
    errors = {**errors, **route.errors, 503: ("temporarily_unavailable",)}
    operation: Document = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.tag],
        "responses": {
            **{
                str(status): _success(route, status, shape) | links for status, shape in route.answers.items()
            },
            **{str(status): _error(route, status, codes) for status, codes in sorted(errors.items())},
        },
    }
    if route.scope:
        operation["security"] = [{"token": []}, *([{}] if route.local else [])]
        operation["x-required-scope"] = route.scope
    if parameters := [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)]:
        operation["parameters"] = parameters
    if shape := route.body or route.line:
        media = route.media or _media(route)
        operation["requestBody"] = {"required": bool(route.body), "content": _content(media, shape)}
    if route.raw:
        operation["requestBody"] = {"required": True, "content": {"*/*": {"schema": {}}}}
        operation["description"] = _SIGNED
    if route.line:
        operation["description"] = _LINES
    return operation


def _media(route: Route) -> Sequence[str]:
    """What is answered."""
    return (NDJSON,) if route.line else route.media or ("application/json",)


def _content(media: Sequence[str], shape: type[Struct | str]) -> Document:
    """Of CSV a schema can only say that it is text."""
    schema = {"type": "string"} if issubclass(shape, str) else _reference(shape)
    return {kind: {"schema": {"type": "string"} if kind == CSV else schema} for kind in media}


def _text_of(route: Route) -> Sequence[str]:
    return ("text/html",) if route.page else route.media or ("text/plain",)


def _success(route: Route, status: int, shape: type[Struct | str]) -> Document:
    content = _content(_text_of(route) if issubclass(shape, str) else _media(route), shape)
    headers = _headers(["Idempotent-Replayed"] if shape is ScheduledMessage and status == 201 else [])
    return {"description": _REASONS[status], "content": content} | headers


def _headers(names: Iterable[str]) -> Document:
    described = {
        name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in sorted(set(names))
    }
    return {"headers": described} if described else {}


def _links(route: Route, routes: Sequence[Route]) -> Document:
    """What makes a thing that has an id leads to all that can be done with it."""
    made = route.answers.get(201)
    if made is None or issubclass(made, str) or "id" not in made.__struct_fields__ or "{id}" in route.path:
        return {}
    followers = (each for each in routes if "{id}" in each.path and each.tag == route.tag)
    parameters = {"id": "$response.body#/id"}
    return {"links": {each.name: {"operationId": each.name, "parameters": parameters} for each in followers}}


def _error(route: Route, status: int, codes: Sequence[str]) -> Document:
    if route.page:
        return {"description": _REASONS[status], "content": _content(_text_of(route), str)}
    schema = {
        "type": "object",
        "properties": {"error": {"type": "string", "enum": list(codes)}, "message": {"type": "string"}},
        "required": ["error", "message"],
        "additionalProperties": False,
    }
    headers = _headers(_SAID_WITH[code] for code in codes if code in _SAID_WITH)
    content = {"application/json": {"schema": schema}}
    return {"description": _REASONS[status], "content": content} | headers


def _path_parameters(route: Route) -> Iterator[Document]:
    for name in re.findall(r"{(\w+)}", route.path):
        limits = _LIMITS.get(name, {"minLength": 1, "maxLength": 255})
        schema = {"type": "string", **limits}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(route: Route) -> Iterator[Document]:
    if not route.query:
        return
    _, components = msgspec.json.schema_components([route.query], ref_template=_REF)
    schema = _tidy(components[route.query.__name__])
    for name, member in schema["properties"].items():
        yield {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": member}


def _header_parameters(route: Route) -> Iterator[Document]:
    for name in route.headers:
        described = {"description": _HEADERS[name], "schema": {"type": "string"}}
        yield {"name": name, "in": "header", "required": False, **described}


def _reference(shape: type[Struct]) -> Document:
    return {"$ref": _REF.format(name=shape.__name__)}


def _shapes(route: Route) -> Iterator[type[Struct]]:
    known = (route.body, route.line, *route.answers.values())
    yield from (shape for shape in known if shape and not issubclass(shape, str))


def _tidy(schema: Any) -> Any:
    """As the published reference writes it: `type: [string, null]`, and a type beside an enum."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _tidy(value) for name, value in schema.items() if (name, str) != ("title", type(value))}
    if "enum" in made:
        order = get_args(Channel)  # the library sorts; the published reference does not
        made["enum"] = [each for each in order if each in made["enum"]] or made["enum"]
        made["type"] = "string"
    options = made.get("anyOf", [])
    if len(options) == 2 and {"type": "null"} in options:
        other = next(option for option in options if option != {"type": "null"})
        if isinstance(other.get("type"), str) and "enum" not in other:
            del made["anyOf"]
            made |= {**other, "type": [other["type"], "null"]}
    return made
