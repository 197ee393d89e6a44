"""From bytes to shapes. Whatever comes in, one sentence goes out, and never the value.

The standard library's parser is used for the sake of its hook: duplicate members would
otherwise pass in silence, and the last `hipaa` of two would win.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import Struct

from comms.domain.errors import Refused, invalid, not_found

LARGEST_BODY = 256 * 1024
LONGEST_NAME = 255
_DEEPEST = 32

Shape = TypeVar("Shape", bound=Struct)

_AT = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def decode(body: bytes, shape: type[Shape]) -> Shape:
    """The body as `shape`; 422 `validation_error` or `unknown_field` where it is none."""
    return convert(parse(body), shape)


def parse(body: bytes) -> Any:
    """The body as JSON, refusing what RFC 8259 leaves open and what would not survive storage."""
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # JSONDecodeError, UnicodeDecodeError, and an integer of too many digits
        raise invalid("The body is not valid JSON.") from None
    if body.count(b"{") + body.count(b"[") > _DEEPEST or b"\\u" in body:
        _check(value, 0)
    return value


def convert(value: Any, shape: type[Shape], *, strict: bool = True) -> Shape:
    """A parsed value as `shape`."""
    try:
        return msgspec.convert(value, shape, strict=strict)
    except msgspec.ValidationError as error:
        raise _explain(str(error), shape) from None


def query(pairs: list[tuple[str, str]], shape: type[Shape]) -> Shape:
    """The query's parameters as `shape`; each may stand once."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise invalid("A parameter of the query stands there twice; name each once.")
    if any("\0" in value for value in values.values()):
        raise invalid("A parameter of the query holds a NUL character.")
    return convert(values, shape, strict=False)


def check_name(member: str, value: str) -> None:
    """422 for a name in an address that no name can be like; of an id, 404 says enough."""
    if member != "id" and ("\0" in value or len(value) > LONGEST_NAME):
        raise invalid(f"{member} may have {LONGEST_NAME} characters at most, and no NUL character.")


def path_id(text: str, what: str) -> UUID:
    """The UUID in an address; 404 where it is none."""
    try:
        found = UUID(text)
    except ValueError:
        raise not_found(what) from None
    if str(found) != text:
        raise not_found(what)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise invalid("The body has two members of one name in an object; name each once.")
    return made


def _no_constant(_text: str) -> None:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise invalid("The body has a number beyond what can be kept.")
    return number


def _check(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise _too_deep()
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_text(name)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)


def _check_text(text: str) -> None:
    if "\0" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise invalid("The body holds a NUL character or half a surrogate pair.")


def _too_deep() -> Refused:
    return invalid(f"The body is nested deeper than {_DEEPEST} levels.")


def _explain(complaint: str, shape: type[Struct]) -> Refused:
    found = _AT.search(complaint)
    place, what = (found[1], complaint[: found.start()]) if found else ("", complaint)
    if missing := _MISSING.fullmatch(what):
        return invalid(f"{_member(place, missing[1])} is missing; add it.")
    if unknown := _UNKNOWN.fullmatch(what):
        return _unknown(unknown[1], place, shape)
    if what.startswith("Invalid enum value"):
        return invalid(f"{place} must be one of {', '.join(_choices(place, shape))}.")
    return invalid(f"{place or 'The body'}: {what[0].lower()}{what[1:].replace('`', '')}.")


def _unknown(name: str, place: str, shape: type[Struct]) -> Refused:
    shown = "".join(character for character in name if character.isprintable())[:64]
    known = [field.encode_name for field in msgspec.structs.fields(_inner(place, shape))]
    near = difflib.get_close_matches(name[:64], known, n=1, cutoff=0)
    hint = f"; did you mean {near[0]}?" if near else "."
    return Refused(422, "unknown_field", f"There is no member named {_member(place, shown)} here{hint}")


def _member(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _choices(place: str, shape: type[Struct]) -> tuple[Any, ...]:
    hint = _hint(place, shape)
    options = get_args(hint) if get_origin(hint) is Literal else ()
    for argument in get_args(hint):
        if get_origin(argument) is Literal:
            options = get_args(argument)
    return tuple(option for option in options if option is not None)


def _inner(place: str, shape: type[Struct]) -> type[Struct]:
    hint = _hint(place, shape) if place else shape
    for candidate in (hint, *get_args(hint)):
        if isinstance(candidate, type) and issubclass(candidate, Struct):
            return candidate
    return shape


def _hint(place: str, shape: type[Struct]) -> Any:
    """The annotation of a member by its path: `senders.email.address`."""
    current: Any = shape
    for name in re.split(r"[.\[]", place):
        owner = next(
            (c for c in (current, *get_args(current)) if isinstance(c, type) and issubclass(c, Struct)), None
        )
        hints: Mapping[str, Any] = (
            {field.encode_name: field.type for field in msgspec.structs.fields(owner)} if owner else {}
        )
        current = hints.get(name, current)
    return current
