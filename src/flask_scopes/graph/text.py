"""The graph of resources as a tree of text."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ..scope import Scope

if t.TYPE_CHECKING:
    from ..recipe import Recipe
    from . import Edge
    from . import Graph

LETTERS: t.Final = {
    Scope.APPLICATION: "A",
    Scope.SESSION: "S",
    Scope.SENT: "R",
    Scope.REQUEST: "R",
}
TEARDOWN: t.Final = "↓"

Line: t.TypeAlias = tuple[str, str]
"""What is on the left, and the place on the right."""


def tree(graph: Graph, roots: c.Sequence[Recipe] = (), *, reverse: bool = False) -> str:
    """What each of *roots* uses, further in; in *reverse*, what uses it.

    :param roots: by default what nothing else uses (or what uses nothing).
    """
    drawing = _Drawing(graph, reverse)
    for root in roots or drawing.roots():
        if root not in drawing.drawn or roots:
            drawing.draw(root)
    # What is left uses itself, around some corners.
    for recipe in graph.recipes if not roots else ():
        if recipe not in drawing.drawn:
            drawing.draw(recipe)
    width = max((len(left) for left, place in drawing.lines if place), default=0)
    lines = [f"{left:<{width}}  {place}".rstrip() for left, place in drawing.lines]
    if not lines:
        return "No resources."
    return "\n".join([*lines, "", *_legend(graph, reverse)])


def _legend(graph: Graph, reverse: bool) -> c.Iterator[str]:
    if reverse:
        yield "Each line is used by those below it that are further in."
    else:
        yield "Built from the bottom up; torn down from the top down."
    if any(not edge.is_sure for edge in graph.edges):
        yield "? may be used: it is mentioned, or called by code that may never run."


class _Drawing:
    """A tree under way."""

    def __init__(self, graph: Graph, reverse: bool) -> None:
        self.graph = graph
        self.reverse = reverse
        self.lines: list[Line] = []
        self.drawn: set[Recipe] = set()

    def roots(self) -> list[Recipe]:
        other = self.graph.uses if self.reverse else self.graph.used_by
        return [recipe for recipe in self.graph.recipes if not other(recipe)]

    def _below(self, recipe: Recipe) -> list[tuple[Recipe, Edge]]:
        if self.reverse:
            return [(edge.user, edge) for edge in self.graph.used_by(recipe)]
        return [(edge.used, edge) for edge in self.graph.uses(recipe)]

    def draw(self, root: Recipe) -> None:
        # No recursion: a chain may be longer than Python's stack.
        path: list[Recipe] = []
        todo: list[tuple[Recipe, str, str, bool, int]] = [(root, "", "", True, 0)]
        while todo:
            recipe, first, rest, sure, depth = todo.pop()
            del path[depth:]
            text = f"{first}{label(recipe)}{'' if sure else '  ?'}"
            if recipe in path:
                self.lines.append((f"{text}  (a cycle)", ""))
                continue
            if recipe in self.drawn:
                self.lines.append((f"{text}  (above)", ""))
                continue
            self.lines.append((text, recipe.place))
            self.drawn.add(recipe)
            path.append(recipe)
            below = self._below(recipe)
            for index, (other, edge) in reversed([*enumerate(below)]):
                last = index == len(below) - 1
                branch, beside = ("└─ ", "   ") if last else ("├─ ", "│  ")
                todo.append(
                    (other, rest + branch, rest + beside, edge.is_sure, depth + 1)
                )


def label(recipe: Recipe) -> str:
    """A letter for the scope, the name, and whether there is a teardown."""
    sent = "  (until sent)" if recipe.scope is Scope.SENT else ""
    down = f"  {TEARDOWN}" if recipe.yields else ""
    return f"{LETTERS[recipe.scope]} {recipe.name}{down}{sent}"
