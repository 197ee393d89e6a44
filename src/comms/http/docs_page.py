"""`/docs`: the OpenAPI document as a page that needs no script and fetches nothing."""

from __future__ import annotations

from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --mark: #0a7d6c; }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 2rem 1rem 6rem }
h1 { margin: 0 } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); text-transform: capitalize }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; padding: .5rem .9rem }
summary { cursor: pointer; display: flex; flex-wrap: wrap; gap: .8rem; align-items: baseline }
summary b { color: var(--mark); min-width: 3.6rem; font: 600 .85rem ui-monospace, monospace }
code, td:first-child { font: .88rem ui-monospace, monospace; overflow-wrap: anywhere }
summary span { opacity: .75 }
table { border-collapse: collapse; width: 100%; margin: .4rem 0 1rem }
td, th { text-align: left; padding: .25rem .5rem; border-top: 1px solid var(--line); vertical-align: top }
h3 { font-size: .95rem; margin: 1rem 0 .2rem } p { margin: .4rem 0 }
"""


def page(document: dict[str, Any]) -> str:
    """The page."""
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(document, method, path, operation))
    sections = "".join(
        f"<section><h2>{escape(tag)}</h2>{''.join(items)}</section>" for tag, items in groups.items()
    )
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>comms: the API</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="stylesheet" href="/docs/style.css"></head><body><header>'
        f"<h1>comms</h1><p>{escape(info['description'])}</p>"
        f'<p>Version {escape(info["version"])} · <a href="/v1/openapi.json">OpenAPI document</a></p>'
        f"</header><main>{sections}</main></body></html>"
    )


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    scope = operation.get("x-required-scope")
    parts = [f"<p>Needs a token with the scope <code>{escape(scope)}</code>.</p>" if scope else ""]
    parts += [_parameters(operation["parameters"])] if "parameters" in operation else []
    if "requestBody" in operation:
        schema = _schema(operation["requestBody"])
        parts.append(f"<h3>Body</h3>{_members(document, schema)}")
    parts += [_response(document, status, answer) for status, answer in operation["responses"].items()]
    return (
        f"<details><summary><b>{escape(method.upper())}</b><code>{escape(path)}</code>"
        f"<span>{escape(operation['summary'])}</span></summary>{''.join(parts)}</details>"
    )


def _schema(content: dict[str, Any]) -> dict[str, Any]:
    """Of a body or an answer, whatever its first media type."""
    described = next(iter(content["content"].values()))
    found: dict[str, Any] = described["schema"]
    return found


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = "".join(
        _row(each["name"], f"{_type(each['schema'])}, in the {each['in']}", needed=each["required"])
        for each in parameters
    )
    return f"<h3>Parameters</h3><table>{rows}</table>"


def _response(document: dict[str, Any], status: str, answer: dict[str, Any]) -> str:
    schema = _schema(answer)
    codes = schema.get("properties", {}).get("error", {}).get("enum")
    if codes:
        listed = ", ".join(f"<code>{escape(code)}</code>" for code in codes)
        return f"<h3>{status} · {escape(answer['description'])}</h3><p>{listed}</p>"
    return f"<h3>{status} · {escape(answer['description'])}</h3>{_members(document, schema)}"


def _members(document: dict[str, Any], schema: dict[str, Any]) -> str:
    schema = _resolve(document, schema)
    needed = schema.get("required", [])
    rows = "".join(
        _row(name, _type(member), needed=name in needed)
        for name, member in schema.get("properties", {}).items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _row(name: str, kind: str, *, needed: bool) -> str:
    return f"<tr><td>{escape(name)}</td><td>{escape(kind)}</td><td>{'required' if needed else ''}</td></tr>"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return " or ".join(kind) if isinstance(kind, list) else str(schema.get("format", kind))


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][_type(schema)]
    return found
