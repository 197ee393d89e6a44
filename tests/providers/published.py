"""Requests held against the documents that vendors publish of their APIs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[3] / "shared" / "provider-specs"


@cache
def document(name: str) -> dict[str, Any]:
    """The vendor's OpenAPI document; skips loudly where it is not here, and fails where nothing skips."""
    path = FOLDER / name
    if not path.exists():
        if os.environ.get("COMMS_TEST_NO_SKIP"):
            pytest.fail(f"the vendor's document {name} is not here")
        pytest.skip(f"the vendor's document {name} is not here: the request is not held against it")
    text = path.read_text()
    found: dict[str, Any] = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    return found


def complaints(name: str, path: str, media: str, body: Mapping[str, Any]) -> list[str]:
    """What the document has against this body of a POST to `path`; unknown members count."""
    whole = document(name)
    request = _resolve(whole, whole["paths"][path]["post"]["requestBody"])
    schema = _resolve(whole, request["content"][media]["schema"])
    unknown = [f"{member} is unknown" for member in body if member not in schema["properties"]]
    # The document is the schema's root, so that its references lead somewhere.
    validator = Draft202012Validator({**whole, **schema})
    return unknown + [error.message for error in validator.iter_errors(body)]


def typed(name: str, path: str, form: Mapping[str, str]) -> dict[str, Any]:
    """A form's fields as the document's types have them: on the wire all are text."""
    whole = document(name)
    content = whole["paths"][path]["post"]["requestBody"]["content"]
    schema = _resolve(whole, content["application/x-www-form-urlencoded"]["schema"])
    kinds = {key: _resolve(whole, member).get("type") for key, member in schema["properties"].items()}
    return {key: int(value) if kinds.get(key) == "integer" else value for key, value in form.items()}


def complaints_of_google(name: str, schema: str, body: Any) -> list[str]:
    """What a discovery document has against a body; it is JSON Schema but for its references, and strict."""
    whole = {"schemas": {key: _strict(each) for key, each in document(name)["schemas"].items()}}
    validator = Draft202012Validator({**whole, "$ref": f"#/schemas/{schema}"})
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(body)]


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: _strict(each) for key, each in node.items()}
    if isinstance(found.get("$ref"), str):
        return {"$ref": f"#/schemas/{found['$ref']}"}
    if found.get("type") == "any":
        del found["type"]
    return {**found, "additionalProperties": False} if isinstance(found.get("properties"), dict) else found


def _resolve(whole: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    found: Any = node
    while "$ref" in found:
        pointer, found = found["$ref"], whole
        for step in pointer.removeprefix("#/").split("/"):
            found = found[step]
    return dict(found)
