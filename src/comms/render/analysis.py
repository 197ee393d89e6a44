"""What a template needs, read off its syntax tree."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from liquid import RenderContext
from liquid.ast import ConditionalBlockNode, Node
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from comms.domain.errors import TemplateRefused
from comms.render.engine import PROPERTIES, Part

_TESTS = (IfNode, UnlessNode, ConditionalBlockNode)
_DEEPEST = 32
"""Levels of nesting that a request's variables may have."""

Keys = tuple[str, ...]
"""A path: `appointment.time` is ("appointment", "time")."""


@dataclass(frozen=True, slots=True)
class Need:
    """A variable that a template reads: its path, and where."""

    keys: Keys
    place: str
    index: int
    line: int
    optional: bool

    @property
    def path(self) -> str:
        """As a person writes it: `appointment.time`."""
        return ".".join(self.keys)

    @property
    def root(self) -> str:
        """The variable that it belongs to; empty where only rendering knows."""
        return self.keys[0] if self.keys else ""


def needs(part: Part) -> Iterator[Need]:
    """Every variable that the part reads from its caller, in order of appearance.

    Optional is what is tested by `if` or `unless`, or has a `default`: itself, or something that
    it belongs to.
    """
    forgiven = {_keys(path.location()) for path in _forgiven(part.template.nodes, part, set())}
    found = [
        (variable.span.index, _keys(tuple(variable.segments)))
        for variables in part.analysis.globals.values()
        for variable in variables
    ]
    for index, keys in sorted(found):
        optional = any(keys[: len(other)] == other for other in forgiven)
        if len(keys) > _DEEPEST:
            raise TemplateRefused(
                "invalid_template", part.place, part.line(index), "no variable is that deep."
            )
        yield Need(keys, part.place, index, part.line(index), optional)


def is_missing(keys: Keys, variables: dict[str, Any]) -> bool:
    """Is there nothing at this path? Null counts as nothing."""
    value: Any = variables
    for name in keys:
        if not isinstance(value, dict):
            return name not in PROPERTIES
        if name not in value:
            return name not in PROPERTIES or value is variables
        value = value[name]
    return value is None


def _forgiven(nodes: Iterable[Node], part: Part, local: set[str]) -> Iterator[Path]:
    """Paths that may be absent; a name that the template itself sets (`local`) is no caller's variable."""
    for node in nodes:
        for expression in node.expressions():
            found = _paths(expression) if isinstance(node, _TESTS) else _defaulted(expression)
            yield from (path for path in found if path.path[0] not in local)
        local |= set(node.template_scope())
        inner = local | set(node.block_scope())
        yield from _forgiven(node.children(_static(part), include_partials=False), part, inner)


def _paths(expression: Expression) -> Iterator[Path]:
    if isinstance(expression, Path):
        yield expression
    for child in expression.children():
        yield from _paths(child)


def _defaulted(expression: Expression) -> Iterator[Path]:
    """What stands before a `default` that comes first, and what that one falls back to."""
    if isinstance(expression, FilteredExpression) and expression.filters:
        first = expression.filters[0]
        if first.name == "default":
            for each in (expression.left, *first.children()):
                yield from _paths(each)
    for child in expression.children():
        yield from _defaulted(child)


def _static(part: Part) -> RenderContext:
    return RenderContext(part.template)  # what `children` asks for; never rendered


def _keys(segments: tuple[Any, ...]) -> Keys:
    """The path up to the first part that is only known while rendering."""
    return tuple(itertools.takewhile(lambda segment: isinstance(segment, str), segments))
