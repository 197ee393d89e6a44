"""Which of a caller's variables reach a stretch of a template: by what is shown there, and by whether it is.

A value goes through `assign`, `capture`, filters and loops; a condition says something of what it asks for by
what it lets through. All of it is one graph, from what is shown back to where it came from, and errs on the
safe side: a name that is assigned twice is what either made it. (The static analysis of information flow of
Denning and Denning, 1977.)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

from liquid import RenderContext
from liquid.ast import ConditionalBlockNode, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import Path
from liquid.builtin.tags.case_tag import MultiExpressionBlockNode
from liquid.builtin.tags.cycle_tag import CycleNode
from liquid.builtin.tags.for_tag import BreakNode, ContinueNode
from liquid.builtin.tags.ifchanged_tag import IfChangedNode
from liquid.expression import Expression

from comms.render.engine import Part

_ALTERNATIVES = (ConditionalBlockNode, MultiExpressionBlockNode)
_REMEMBERING = (CycleNode, IfChangedNode)

_SHOWN, _ANY, _STATE, _ENDED = "shown", "any name", "state", "ended"
"""Points of the graph beside places, names and blocks: what the stretches show; a name that only rendering
knows; what `cycle` and `ifchanged` remember; whether a loop was left.
"""

Scope = dict[str, Hashable]


def reaching(part: Part, stretches: Sequence[range]) -> frozenset[int]:
    """Positions in the part's source of the variables that reach any of the stretches."""
    if not stretches:
        return frozenset()
    walk = _Walk(part, stretches)
    walk.through(part.template.nodes, _ENDED, {}, inside=False)
    return walk.behind(_SHOWN)


class _Walk:
    """Builds the graph: what each point comes from. A place is its position, an integer."""

    def __init__(self, part: Part, stretches: Sequence[range]) -> None:
        self._context = RenderContext(part.template)  # what `children` asks for; never rendered
        self._stretches = stretches
        self._from: dict[Hashable, set[Hashable]] = {_SHOWN: {_ENDED}}

    def through(self, nodes: Iterable[Node], block: Hashable, scope: Scope, *, inside: bool) -> None:
        """All that stands in a block; `inside`: it is part of a stretch."""
        for node in nodes:
            self._node(node, block, scope, inside=inside or self._is_inside(node))

    def behind(self, point: Hashable) -> frozenset[int]:
        """The places that it comes from, however far."""
        to_see, seen = [point], {point}
        while to_see:
            new = self._from.get(to_see.pop(), set()) - seen
            seen |= new
            to_see += new
        return frozenset(each for each in seen if isinstance(each, int))

    def _node(self, node: Node, block: Hashable, scope: Scope, *, inside: bool) -> None:
        children = self._children(node)
        mine = ("block", id(node))
        self._add(mine, {block, *self._reads(node.expressions(), scope)})
        for child in children:
            if isinstance(child, _ALTERNATIVES):  # which one is taken depends on all before it
                self._add(mine, set(self._reads(child.expressions(), scope)))
        bound: Scope = {str(name): (*mine, str(name)) for name in node.block_scope()}
        names: set[Hashable] = {("name", str(name)) for name in node.template_scope()}
        for each in (*names, *bound.values()):
            self._add(each, {mine})
            self._add(_ANY, {each})
        for each in names:
            self._add(each, set(self._within(children)))  # what a `capture` holds
        self._remember(node, mine, block)
        if inside:
            self._add(_SHOWN, {mine, *names})
        self.through(children, mine, scope | bound, inside=inside)

    def _remember(self, node: Node, mine: Hashable, block: Hashable) -> None:
        """What one node leaves behind for others to show, without a name."""
        if isinstance(node, _REMEMBERING):
            self._add(_STATE, {mine, *self._within(self._children(node))})
            self._add(mine, {_STATE})
        if isinstance(node, BreakNode | ContinueNode):
            self._add(_ENDED, {block})

    def _children(self, node: Node) -> list[Node]:
        return list(node.children(self._context, include_partials=False))

    def _within(self, nodes: Iterable[Node]) -> Iterator[Hashable]:
        """All that stands there, however deep, with the conditions on the way."""
        for node in nodes:
            yield ("block", id(node))
            yield from self._within(self._children(node))

    def _reads(self, expressions: Iterable[Expression], scope: Scope) -> Iterator[Hashable]:
        for expression in expressions:
            if isinstance(expression, Path):
                head = expression.head()
                yield expression.token.start_index
                yield scope.get(head, ("name", head)) if isinstance(head, str) else _ANY
            yield from self._reads(expression.children(), scope)

    def _is_inside(self, node: Node) -> bool:
        begins = node.token.start_index
        ends = begins + len(node.text) if isinstance(node, ContentNode) else begins + 1
        return any(begins < each.stop and each.start < ends for each in self._stretches)

    def _add(self, point: Hashable, sources: set[Hashable]) -> None:
        self._from.setdefault(point, set()).update(sources)
