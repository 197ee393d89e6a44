"""What is wrong with a shape, in a person's words: the member, what it must be, never its value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

from comms.domain.errors import Refused, invalid

_AT = re.compile(r" - at (`key` in )?`\$\.?([^`]*)`$")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_BOUND = re.compile(r"Expected `(str|int|float|array|object)` (?:of length )?(>=|<=|>) (-?[0-9.]+)")
_TYPE = re.compile(r"Expected `([^`]+)`(?:, got `[^`]+`)?")

_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_UNITS = {"str": " characters", "array": " items", "object": " members"}
_SIDES = {">=": "at least", "<=": "at most", ">": "more than"}


def explain(complaint: str, shape: type[Struct], whole: str = "The body") -> Refused:
    """422 `validation_error` or `unknown_field` for what msgspec said of `shape`; `whole` names it."""
    found = _AT.search(complaint)
    place, what = (found[2], complaint[: found.start()]) if found else ("", complaint)
    if found and found[1]:
        return invalid(f"A name in {place or whole.lower()} {_must(what, place, shape)}.")
    if missing := _MISSING.fullmatch(what):
        return invalid(f"{_member(place, missing[1])} is missing; add it.")
    if unknown := _UNKNOWN.fullmatch(what):
        return _unknown(unknown[1], place, shape)
    return invalid(f"{place or whole} {_must(what, place, shape)}.")


def _must(what: str, place: str, shape: type[Struct]) -> str:
    if what.startswith("Invalid enum value"):
        return f"must be one of {', '.join(map(str, _choices(place, shape)))}"
    if "matching regex" in what:
        return "does not have the form that is required"
    if bound := _BOUND.match(what):
        kind, side, limit = bound.groups()
        if (kind, side, limit) == ("str", ">=", "1"):
            return "must not be empty"
        unit = _UNITS.get(kind, "")
        return (
            f"must have {_SIDES[side]} {limit}{unit.removesuffix('s') if limit == '1' else unit}"
            if kind in _UNITS
            else (f"must be {_SIDES[side]} {limit}")
        )
    if kinds := _TYPE.match(what):
        named = [_KINDS.get(kind, kind) for kind in kinds[1].split(" | ")]
        return f"must be {' or '.join(named)}"
    return f"is wrong: {what}"  # our own words, from a shape's own check


def _unknown(name: str, place: str, shape: type[Struct]) -> Refused:
    shown = "".join(character for character in name if character.isprintable())[:64]
    known = [field.encode_name for field in fields(_inner(place, shape))]
    near = difflib.get_close_matches(name[:64], known, n=1, cutoff=0)
    hint = f"; did you mean {near[0]}?" if near else "."
    return Refused(422, "unknown_field", f"There is no member named {_member(place, shown)} here{hint}")


def _member(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _choices(place: str, shape: type[Struct]) -> list[Any]:
    hints = _parts(_hint(place, shape))
    options = next((get_args(each) for each in hints if get_origin(each) is Literal), ())
    return [option for option in options if option is not None]


def _inner(place: str, shape: type[Struct]) -> type[Struct]:
    hint = _hint(place, shape) if place else shape
    return next((each for each in _parts(hint) if _is_struct(each)), shape)


def _parts(hint: Any) -> Iterator[Any]:
    """An annotation and all that it is made of: of a list its items, of what may be missing what it is."""
    yield hint
    for each in get_args(hint):
        yield from _parts(each)


def _hint(place: str, shape: type[Struct]) -> Any:
    """The annotation of a member by its path: `senders.email.address`, `limits.caps[...].then`."""
    current: Any = shape
    for name in re.split(r"[.\[]", place):
        owner = next((each for each in _parts(current) if _is_struct(each)), None)
        hints: Mapping[str, Any] = {field.encode_name: field.type for field in fields(owner)} if owner else {}
        current = hints.get(name, current)
    return current


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Struct)
