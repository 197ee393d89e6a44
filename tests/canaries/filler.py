"""Requests made from the OpenAPI document: whatever it asks for is filled in, so that a new member is, too."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from comms.http.app import DOCUMENT

Schema = Mapping[str, Any]

ONE_OF: dict[str, tuple[str, ...]] = {
    "CancelMany": ("dedup_key", "person_id", "template_key", "subject"),
    "Search": ("dedup_key", "person_id", "recipient", "template_key"),
    "PutSuppression": ("email", "number", "device"),
    "SuppressionLine": ("email", "number", "device"),
}
"""Members of which a body names exactly one."""


class Operation(NamedTuple):
    """One call of the document: method, address with its names in braces, and what it says of both."""

    method: str
    path: str
    said: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The operation's id."""
        return str(self.said["operationId"])

    def parameters(self, place: str) -> list[tuple[str, Schema]]:
        """Name and schema of those in `place`: path, query or header."""
        return [
            (each["name"], each["schema"]) for each in self.said.get("parameters", []) if each["in"] == place
        ]

    @property
    def media(self) -> str | None:
        """What the body is; None where there is none."""
        return next(iter(self.said.get("requestBody", {}).get("content", {})), None)

    @property
    def body(self) -> Schema:
        """The schema of the body."""
        schema: Schema = self.said["requestBody"]["content"][self.media].get("schema", {})
        return schema


def operations(document: Mapping[str, Any] = DOCUMENT) -> Iterator[Operation]:
    """Every call that the document knows."""
    for path, calls in document["paths"].items():
        for method, said in calls.items():
            if method in {"get", "post", "put", "patch", "delete"}:
                yield Operation(method.upper(), path, said)


class Filler:
    """Fills in bodies and parameters. `known` answers for names that must be something that is there;
    whatever else is a text is what `plant` makes of its name.
    """

    def __init__(
        self, dice: random.Random, known: Mapping[str, Callable[[], Any]], plant: Callable[[str], str]
    ) -> None:
        self._dice = dice
        self._known = known
        self._plant = plant

    def body(self, schema: Schema) -> Any:
        """A body of that shape; of members of which one is named, one."""
        named = str(schema.get("$ref", "")).rpartition("/")[2]
        made = self.value(schema, "")
        if named in ONE_OF and isinstance(made, dict):
            keep = self._dice.choice(ONE_OF[named])
            return {name: value for name, value in made.items() if name == keep or name not in ONE_OF[named]}
        return made

    def value(self, schema: Schema, name: str) -> Any:
        """Something that the schema allows."""
        schema = _resolved(schema)
        if choices := schema.get("enum"):
            return self._dice.choice(choices)
        if name in self._known:
            return self._known[name]()
        if schema.get("format") == "uuid":
            return "01a20a31-cbed-7914-bfa9-4f22b6fa28e7"
        return self._by_type(schema, name)

    def _by_type(self, schema: Schema, name: str) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):  # of several, the first that is not null
            kind = next(each for each in kind if each != "null")
        if kind == "object" or "properties" in schema:
            return self._object(schema, name)
        if kind == "array":
            return [self.value(schema.get("items", {}), name)]
        if kind in {"integer", "number"}:
            return schema.get("minimum", 1)
        if kind == "boolean":
            return self._dice.random() < 0.5
        return self._plant(name)[: schema.get("maxLength", 255)]

    def _object(self, schema: Schema, name: str) -> dict[str, Any]:
        made = {each: self.value(what, each) for each, what in schema.get("properties", {}).items()}
        anything = schema.get("additionalProperties", "properties" not in schema)
        if isinstance(anything, dict):
            made[self._plant(f"{name}'s name")] = self.value(anything, f"{name}.*")
        elif anything:
            made |= {self._plant(f"{name}'s name"): [self._plant(name), {"deep": self._plant(name)}]}
        return made


def _resolved(schema: Schema) -> Schema:
    """Behind references; of several, the first that is not null."""
    if "$ref" in schema:
        named = schema["$ref"].rpartition("/")[2]
        return _resolved(DOCUMENT["components"]["schemas"][named])
    for several in ("anyOf", "oneOf"):
        if several in schema and "properties" not in schema:
            return _resolved(next(each for each in schema[several] if each.get("type") != "null"))
    return schema
