"""The list of resources, and all of one, as text and as data."""

from __future__ import annotations

import collections.abc as c
import inspect
import typing as t

from ..graph import formats as graph_formats
from ..graph.returns import type_name
from ..graph.source import by_line
from ..graph.text import TEARDOWN
from ..places import place_of
from .text import counted
from .text import paint
from .text import table

if t.TYPE_CHECKING:
    from ..graph import Edge
    from ..graph import Graph
    from ..recipe import Recipe
    from .live import Alive

_USES: t.Final = 48
"""How many characters of what a resource uses are shown."""

Live: t.TypeAlias = "dict[tuple[str, str], Alive]"
"""What a running server says, by the name and the place of each resource."""


def ordered(graph: Graph, by: str) -> list[Recipe]:
    """The resources by their ``"scope"``, their ``"name"``, or where they stand."""
    if by == "name":
        return sorted(graph.recipes, key=lambda recipe: (recipe.name, recipe.place))
    if by == "defined":
        return sorted(graph.recipes, key=lambda recipe: by_line(recipe.place))
    return graph.by_scope()


def text(graph: Graph, recipes: c.Sequence[Recipe], live: Live | None) -> str:
    if not recipes:
        return "No resources."
    types = [type_name(recipe) for recipe in recipes]
    width = max(map(len, types))
    rows = [
        [
            str(recipe.scope),
            recipe.name,
            f"{kind:<{width}} {TEARDOWN if recipe.yields else ' '}",
            _few(dict.fromkeys(map(_used, graph.uses(recipe)))),
            *_living(recipe, live),
            recipe.place,
        ]
        for recipe, kind in zip(recipes, types, strict=True)
    ]
    columns = [] if live is None else ["Alive", "Built", "Median ms"]
    head = ["Scope", "Resource", "Type", "Uses", *columns, "Defined"]
    return f"{table(head, rows)}\n\n{_legend(graph, recipes, live)}"


def _legend(graph: Graph, recipes: c.Sequence[Recipe], live: Live | None) -> str:
    said = f"{counted(len(recipes), 'resource')}. {TEARDOWN} has a teardown."
    if any(not edge.is_sure for each in recipes for edge in graph.uses(each)):
        said += " ? may be used."
    if live is not None:
        return f"{said} Alive and built: in the process that answered."
    return (
        f"{said} 'Uses' is read from the source; run with --live URL for what was seen."
    )


def _used(edge: Edge) -> str:
    return edge.used.name if edge.is_sure else f"{edge.used.name}?"


def _few(names: c.Iterable[str]) -> str:
    """As many of *names* as fit; ``flask scopes list NAME`` has them all."""
    every = list(names)
    shown = every[:]
    while len(shown) > 1 and len(", ".join(shown)) > _USES:
        shown.pop()
    more = len(every) - len(shown)
    return ", ".join([*shown, *([f"+{more}"] if more else [])])


def _living(recipe: Recipe, live: Live | None) -> list[str]:
    if live is None:
        return []
    found = _told(recipe, live)
    if found is None:
        return ["", "", ""]
    median = "" if found.median_ms is None else f"{found.median_ms:.1f}"
    return [f"{found.alive:>5}", f"{found.built:>5}", f"{median:>9}"]


def _told(recipe: Recipe, live: Live) -> Alive | None:
    found = live.get((recipe.name, recipe.place))
    if found is not None:
        return found
    # A server that was started elsewhere has other paths.
    namesakes = [each for (name, _), each in live.items() if name == recipe.name]
    return namesakes[0] if len(namesakes) == 1 else None


def data(
    graph: Graph, recipes: c.Iterable[Recipe], live: Live | None
) -> dict[str, t.Any]:
    ids = graph_formats.ids_of(graph)
    rows = [graph_formats.about(graph, each, ids) for each in recipes]
    for recipe, row in zip(recipes, rows, strict=True):
        found = None if live is None else _told(recipe, live)
        if found:
            row["alive"], row["built"] = found.alive, found.built
            row["build_median_ms"] = found.median_ms
    return {"resources": rows}


def in_full(graph: Graph, recipe: Recipe) -> str:
    """All that there is to say of one resource."""
    lines = [f"{paint(recipe.name, bold=True)} ({recipe.scope})  {recipe.place}"]
    about = inspect.getdoc(recipe.factory) if _has_doc(recipe) else None
    if about:
        lines += ["", *(f"    {line}".rstrip() for line in about.splitlines()), ""]
    facts = {
        "Call": f"{recipe.name}{_parameters(recipe)}",
        "Type": type_name(recipe),
        "Uses": _listed((_used(edge), edge.place) for edge in graph.uses(recipe)),
        "Used by": _listed(
            (edge.user.name + "?" * (not edge.is_sure), edge.place)
            for edge in graph.used_by(recipe)
        ),
        "Teardown": "what follows its yield" if recipe.yields else "",
        "Eager": "built when the process begins to serve"
        if recipe.options.eager
        else "",
        "Overridden by": ", ".join(
            place_of(each.factory) for each in reversed(recipe.replacements)
        ),
    }
    lines += [
        f"  {name + ':':<15}{value or 'nothing'}"
        for name, value in facts.items()
        if value or name in ("Uses", "Used by", "Teardown")
    ]
    return "\n".join(lines)


def _has_doc(recipe: Recipe) -> bool:
    # An object that can be called has the one of its class.
    return inspect.isroutine(recipe.factory) or isinstance(recipe.factory, type)


def _parameters(recipe: Recipe) -> str:
    signature = recipe.signature
    if signature is None:
        return "()"
    return str(signature.replace(return_annotation=inspect.Signature.empty))


def _listed(found: c.Iterable[tuple[str, str]]) -> str:
    between = "\n" + " " * 17
    return between.join(
        f"{name}  ({place})" if place else name for name, place in found
    )
