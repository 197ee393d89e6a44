"""Liquid, strict and within bounds: what a tenant writes may fail, but harms only itself.

Bounds: loop steps, nesting, size of what is assigned, size of what a filter makes, size of the
output, and seconds of the processor. The last is an alarm, since a filter may be slow without
being large; it works in the main thread, where comms renders.
"""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from liquid import BoundTemplate, Environment, FalsyStrictUndefined, Undefined
from liquid import escape as html_escape
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError, LiquidSyntaxError, ResourceLimitError, UndefinedError
from liquid.expression import Expression

from comms.domain.errors import Refused, TemplateRefused

LARGEST = 262_144
"""Characters that a rendered part, or anything on the way to it, may have."""

LONGEST = 0.2
"""Seconds of the processor that one part may take: others wait meanwhile."""

PROPERTIES = {"size", "first", "last"}
"""What Liquid itself adds to lists and texts."""

_NO_LOADER = ("include", "render", "extends", "block")


class TooLong(Exception):
    """The alarm rang."""


class _Bounded(Environment):
    loop_iteration_limit = 10_000
    local_namespace_limit = LARGEST
    output_stream_limit = LARGEST
    context_depth_limit = 30
    block_nesting_limit = 30


class _ShownByName(Undefined):
    """For previews: a variable that is missing is seen as its name."""

    __slots__ = ()

    def __str__(self) -> str:
        path = (self.hint or self.name).removesuffix(" is undefined").strip("'")
        return f"[{path}]"


def _environment(undefined: type[Undefined], *, escape: bool) -> Environment:
    environment = _Bounded(undefined=undefined, autoescape=escape)
    for tag in _NO_LOADER:
        environment.tags.pop(tag, None)
    for name, function in list(environment.filters.items()):
        environment.filters[name] = _bounded(function)
    environment.filters["replace"] = _guard_growth(environment.filters["replace"], _replaced_length)
    environment.filters["join"] = _guard_growth(environment.filters["join"], _joined_length)
    return environment


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Each filter's result is measured: 7,000 `escape` in a row grow a text to gigabytes."""

    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if isinstance(result, str) and len(result) > LARGEST:
            raise ResourceLimitError("too large", token=None)
        return result

    return measured


def _guard_growth(function: Callable[..., Any], length: Callable[..., int]) -> Callable[..., Any]:
    """Two filters multiply their inputs: their result is reckoned before it is made."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if length(*args) > LARGEST:
            raise ResourceLimitError("too large", token=None)
        return function(*args, **kwargs)

    return guarded


def _replaced_length(value: object, old: object = "", new: object = "") -> int:
    text = str(value)
    return len(text) + text.count(str(old)) * len(str(new))


def _joined_length(value: object, separator: object = " ") -> int:
    pieces = value if isinstance(value, list | tuple | str) else ()
    return len(pieces) * len(str(separator))


_STRICT = {escape: _environment(FalsyStrictUndefined, escape=escape) for escape in (False, True)}
_LENIENT = {escape: _environment(_ShownByName, escape=escape) for escape in (False, True)}


class Part:
    """One compiled piece of a template: a subject, a body. `place` is its name in errors."""

    def __init__(self, source: str, place: str, *, escape: bool = False) -> None:
        self.place = place
        self.source = source
        self._escape = escape
        self._say: Callable[[object], str] = html_escape if escape else str
        self.template = _parse(_STRICT[escape], source, place)
        self.analysis = self.template.analyze(include_partials=False)
        self._refuse_unknown_filters()
        self._pieces = _pieces(self.template)

    def render(self, variables: Mapping[str, Any], seconds: float = LONGEST) -> str:
        """The text; 422 `does_not_render` names the place and the line, never a value."""
        filled = self._fill(variables)
        return self._render(self.template, variables, seconds) if filled is None else filled

    def preview(self, variables: Mapping[str, Any], seconds: float = LONGEST) -> str:
        """The text with what is missing shown by its name."""
        lenient = _parse(_LENIENT[self._escape], self.source, self.place)
        return self._render(lenient, variables, seconds)

    def _fill(self, variables: Mapping[str, Any]) -> str | None:
        """What Liquid would make of a template that has only variables, and of values that are only texts
        and whole numbers, in a tenth of its time; None for all else.
        """
        if self._pieces is None:
            return None
        said = []
        for text, keys in self._pieces:
            said.append(text)
            value: Any = variables
            for key in keys:
                value = value.get(key) if type(value) is dict else None
            if keys and type(value) not in {str, int}:
                return None
            said.append(self._say(value) if keys else "")
        made = "".join(said)
        return made if len(made) <= LARGEST else None

    def _render(self, template: BoundTemplate, variables: Mapping[str, Any], seconds: float) -> str:
        try:
            with alarm(seconds):
                return template.render(variables)
        except UndefinedError as error:
            raise self._refused(error, f"{self._missing(error)} is missing") from None
        except (ResourceLimitError, RecursionError, MemoryError, OverflowError, TooLong) as error:
            raise self._refused(error, "it grows beyond the limits of size, steps or time") from None
        except (LiquidError, ValueError, TypeError, ArithmeticError, AttributeError, LookupError) as error:
            raise self._refused(error, "a filter or tag can't work with the value it is given") from None

    def line(self, index: int) -> int:
        """The line, from 1, of a position in the source."""
        return self.source.count("\n", 0, index) + 1

    def _missing(self, error: UndefinedError) -> str:
        """The variable's name, where the template spells it: one that is made of values is not said."""
        name = str(error.args[0] if error.args else "").removesuffix(" is undefined").strip("'")
        spelt = {str(variable) for found in self.analysis.globals.values() for variable in found}
        return name if name in spelt else "a variable that it needs"

    def _refuse_unknown_filters(self) -> None:
        for name, spans in self.analysis.filters.items():
            if name not in self.template.env.filters:
                line = self.line(spans[0].index)
                raise TemplateRefused("invalid_template", self.place, line, "there is no such filter.")

    def _refused(self, error: BaseException, why: str) -> Refused:
        token = getattr(error, "token", None)
        where = f"{self.place}, line {self.line(token.start_index)}" if token else self.place
        return Refused(422, "does_not_render", f"The template's {where}: {why}.")


def _pieces(template: BoundTemplate) -> list[tuple[str, tuple[str, ...]]] | None:
    """A template of texts and variables alone as pairs of a text and the path that follows it; else None."""
    pieces: list[tuple[str, tuple[str, ...]]] = []
    for node in template.nodes:
        if isinstance(node, ContentNode):
            pieces.append((node.text, ()))
        elif isinstance(node, OutputNode) and (keys := _plain_path(node.expression)):
            pieces.append(("", keys))
        else:
            return None
    return pieces


def _plain_path(expression: Expression) -> tuple[str, ...]:
    """The names of a variable that nothing is done to; none for anything else."""
    if not isinstance(expression, FilteredExpression) or expression.filters:
        return ()
    path = expression.left.path if isinstance(expression.left, Path) else []
    names = tuple(name for name in path if isinstance(name, str) and name not in PROPERTIES)
    return names if len(names) == len(path) else ()


def without_nulls(value: Any) -> Any:
    """The same variables without members that are null: null counts as missing."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _parse(environment: Environment, source: str, place: str) -> BoundTemplate:
    try:
        with alarm():
            return environment.from_string(source)
    except LiquidSyntaxError as error:
        token = getattr(error, "token", None)
        line = source.count("\n", 0, token.start_index) + 1 if token else None
        raise TemplateRefused("invalid_template", place, line, "this is not valid Liquid.") from None
    except (LiquidError, RecursionError, MemoryError, ValueError, OverflowError, TooLong):
        raise TemplateRefused("invalid_template", place, None, "it is nested or built too deeply.") from None


@contextmanager
def alarm(seconds: float = LONGEST) -> Iterator[None]:
    """Raise `TooLong` inside the block once it has used the processor for longer than `seconds`.

    And once more after each further `seconds`: Python loses what is raised in a finalizer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _listen()
    signal.setitimer(signal.ITIMER_PROF, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@functools.cache
def _listen() -> None:
    """Once: setting a handler costs as much as rendering a short text."""
    signal.signal(signal.SIGPROF, _ring)


def _ring(_number: int, _frame: object) -> None:
    raise TooLong
