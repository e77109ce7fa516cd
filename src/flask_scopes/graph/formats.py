"""The graph of resources in the languages of other programs."""

from __future__ import annotations

import collections.abc as c
import json
import typing as t

from ..scope import Scope
from .returns import type_name

if t.TYPE_CHECKING:
    from ..recipe import Recipe
    from . import Edge
    from . import Graph


def mermaid(graph: Graph) -> str:
    """A flowchart, which GitHub draws where it stands in a block of Markdown."""
    ids = ids_of(graph)
    lines = ["flowchart TD"]
    for index, (scope, recipes) in enumerate(_by_scope(graph)):
        lines.append(f'  subgraph scope{index}["{scope}"]')
        lines += [f'    {ids[each]}["{_entities(each.name)}"]' for each in recipes]
        lines.append("  end")
    for edge in graph.edges:
        arrow = "-->" if edge.is_sure else "-.->"
        lines.append(f"  {ids[edge.user]} {arrow} {ids[edge.used]}")
    return "\n".join(lines)


def dot(graph: Graph) -> str:
    """For Graphviz: ``flask scopes graph --format dot | dot -Tsvg``."""
    ids = ids_of(graph)
    lines = ["digraph scopes {", "  node [shape=box];"]
    for index, (scope, recipes) in enumerate(_by_scope(graph)):
        lines += [f"  subgraph cluster_{index} {{", f"    label={_quoted(str(scope))};"]
        for each in recipes:
            about = f"label={_quoted(each.name)}, tooltip={_quoted(each.place)}"
            lines.append(f"    {ids[each]} [{about}];")
        lines.append("  }")
    for edge in graph.edges:
        style = "" if edge.is_sure else " [style=dashed]"
        lines.append(f"  {ids[edge.user]} -> {ids[edge.used]}{style};")
    return "\n".join([*lines, "}"])


def data(graph: Graph) -> dict[str, t.Any]:
    """What ``--json`` prints; docs/findings.md has what each part means."""
    ids = ids_of(graph)
    return {
        "resources": [about(graph, each, ids) for each in graph.recipes],
        "uses": [_edge(edge, ids) for edge in graph.edges],
        "lost": [{"place": place, "what": what} for place, what in graph.lost.items()],
    }


def about(graph: Graph, recipe: Recipe, ids: dict[Recipe, str]) -> dict[str, t.Any]:
    """One resource. Several may have one name, so others refer to its id."""
    return {
        "id": ids[recipe],
        "name": recipe.name,
        "scope": str(recipe.scope),
        "type": type_name(recipe),
        "place": recipe.place,
        "teardown": recipe.yields,
        "arguments": recipe.signature is not None,
        "eager": recipe.options.eager,
        "overridden": bool(recipe.replacements),
        "uses": [ids[edge.used] for edge in graph.uses(recipe)],
        "used_by": [ids[edge.user] for edge in graph.used_by(recipe)],
    }


def _edge(edge: Edge, ids: dict[Recipe, str]) -> dict[str, t.Any]:
    return {
        "from": ids[edge.user],
        "to": ids[edge.used],
        "certain": edge.certain,
        "seen": edge.seen,
        "place": edge.place,
        "via": list(edge.via),
    }


def ids_of(graph: Graph) -> dict[Recipe, str]:
    return {recipe: f"r{number}" for number, recipe in enumerate(graph.recipes, 1)}


def printed(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _by_scope(graph: Graph) -> c.Iterator[tuple[Scope, list[Recipe]]]:
    for scope in Scope:
        recipes = [each for each in graph.recipes if each.scope is scope]
        if recipes:
            yield scope, recipes


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _entities(text: str) -> str:
    """*text* within quotes, where Mermaid takes ``#name;`` for a character."""
    for character in '#&"<>`':
        text = text.replace(character, f"\0{ord(character)};")
    return text.replace("\0", "#").replace("\n", " ")
