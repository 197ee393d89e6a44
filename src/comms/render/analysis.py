"""What a template needs, read off its syntax tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from liquid import RenderContext
from liquid.ast import ConditionalBlockNode, Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.tags.case_tag import CaseNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from comms.render.engine import Part

_TESTS = (IfNode, UnlessNode, CaseNode, ConditionalBlockNode)
_PROPERTIES = {"size", "first", "last"}
"""What Liquid itself adds to lists and texts."""


@dataclass(frozen=True, slots=True)
class Need:
    """A variable that a template reads: its path, such as `appointment.time`, and where."""

    path: str
    place: str
    line: int
    optional: bool

    @property
    def root(self) -> str:
        """The variable that the caller passes: `appointment`."""
        return self.path.split(".")[0]


def needs(part: Part) -> Iterator[Need]:
    """Every variable that the part reads from its caller, in order of appearance.

    Optional is what is tested by `if` or `unless`, or has a `default`: itself, or something that
    it belongs to.
    """
    forgiven = {_text(path.location()) for path in _forgiven(part.template.nodes, part)}
    found = [
        (variable.span.index, _text(tuple(variable.segments)))
        for variables in part.analysis.globals.values()
        for variable in variables
    ]
    for index, path in sorted(found):
        yield Need(path, part.place, part.line(index), optional=_belongs(path, forgiven))


def is_missing(path: str, variables: dict[str, Any]) -> bool:
    """Is there nothing at `path`? Null counts as nothing."""
    value: Any = variables
    for name in path.split("."):
        if not isinstance(value, dict):
            return name not in _PROPERTIES
        if name not in value:
            return name not in _PROPERTIES or value is variables
        value = value[name]
    return value is None


def _belongs(path: str, forgiven: set[str]) -> bool:
    return any(path == other or path.startswith(f"{other}.") for other in forgiven)


def _forgiven(nodes: Iterable[Node], part: Part) -> Iterator[Path]:
    for node in nodes:
        for expression in node.expressions():
            yield from _paths(expression) if isinstance(node, _TESTS) else _defaulted(expression)
        yield from _forgiven(node.children(_static(part), include_partials=False), part)


def _paths(expression: Expression) -> Iterator[Path]:
    if isinstance(expression, Path):
        yield expression
    for child in expression.children():
        yield from _paths(child)


def _defaulted(expression: Expression) -> Iterator[Path]:
    if (
        isinstance(expression, FilteredExpression)
        and isinstance(expression.left, Path)
        and _has_default(expression)
    ):
        yield expression.left
    for child in expression.children():
        yield from _defaulted(child)


def _has_default(expression: FilteredExpression) -> bool:
    return any(each.name == "default" for each in expression.filters or [])


def _static(part: Part) -> RenderContext:
    return RenderContext(part.template)  # what `children` asks for; never rendered


def _text(segments: tuple[Any, ...]) -> str:
    """The path up to the first part that is only known while rendering."""
    names: list[str] = []
    for segment in segments:
        if not isinstance(segment, str):
            break
        names.append(segment)
    return ".".join(names)
