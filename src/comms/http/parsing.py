"""From bytes to shapes. Whatever comes in, one sentence goes out, and never the value.

The standard library's parser is used for the sake of its hook: duplicate members would
otherwise pass in silence, and the last `hipaa` of two would win.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from comms.domain.complaints import explain
from comms.domain.errors import Refused, invalid, not_found

LARGEST_BODY = 256 * 1024
LONGEST_NAME = 255
_DEEPEST = 32
_MOST_DIGITS = 309
"""More than the largest number that a float can hold."""

Shape = TypeVar("Shape", bound=Struct)


def decode(body: bytes, shape: type[Shape]) -> Shape:
    """The body as `shape`; 422 `validation_error` or `unknown_field` where it is none."""
    return convert(parse(body, shape.__struct_encode_fields__), shape)


def parse(body: bytes, known: Collection[str] = ()) -> Any:
    """The body as JSON, refusing what RFC 8259 leaves open and what would not survive storage.

    `known` are the members that an error may name; any other name might be somebody's secret.
    """
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=partial(_object, known),
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise _too_deep("The body") from None
    except ValueError:  # JSONDecodeError and UnicodeDecodeError
        raise invalid("The body is not valid JSON.") from None
    if body.count(b"{") + body.count(b"[") > _DEEPEST or b"\\u" in body:
        _check_whole(value, known)
    return value


def convert(value: Any, shape: type[Shape], *, strict: bool = True) -> Shape:
    """A parsed value as `shape`."""
    try:
        return msgspec.convert(value, shape, strict=strict)
    except msgspec.ValidationError as error:
        raise explain(str(error), shape) from None


def query(pairs: list[tuple[str, str]], shape: type[Shape]) -> Shape:
    """The query's parameters as `shape`; each may stand once."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise invalid("A parameter of the query stands there twice; name each once.")
    if any("\0" in value for value in values.values()):
        raise invalid("A parameter of the query holds a NUL character.")
    return convert(values, shape, strict=False)


def check_name(member: str, value: str) -> None:
    """422 for a name in an address that no name can be like; of what we made ourselves, 404 says enough."""
    if member not in {"id", "signed"} and ("\0" in value or len(value) > LONGEST_NAME):
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


def _object(known: Collection[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1 and name in known), "of one name")
        raise invalid(f"The body has two members {twice} in an object; name each once.")
    return made


def _no_constant(_text: str) -> None:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _too_large()
    return number


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > _MOST_DIGITS:
        raise _too_large()
    return int(text)


def _too_large() -> Refused:
    return invalid("The body has a number beyond what can be kept.")


def _check_whole(value: Any, known: Collection[str]) -> None:
    for name, member in value.items() if isinstance(value, dict) else [("", value)]:
        _check_text(name, "The name of a member")
        _check(member, name if name in known else "The body", 1)


def _check(value: Any, place: str, depth: int) -> None:
    if depth > _DEEPEST:
        raise _too_deep(place)
    if isinstance(value, str):
        _check_text(value, place)
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_text(name, place)
            _check(member, place, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, place, depth + 1)


def _check_text(text: str, place: str) -> None:
    if "\0" in text or (not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)):
        raise invalid(f"{place} holds a NUL character or half a surrogate pair.")


def _too_deep(place: str) -> Refused:
    return invalid(f"{place} is nested deeper than {_DEEPEST} levels.")
