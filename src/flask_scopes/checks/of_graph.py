"""What is wrong between resources: who uses whom, and who is called what."""

from __future__ import annotations

import collections.abc as c
import typing as t

from ..scope import Scope
from .finding import Finding

if t.TYPE_CHECKING:
    from ..graph import Edge
    from ..graph import Graph
    from ..recipe import Recipe

_ENDS: t.Final = {
    Scope.APPLICATION: "the application is closed",
    Scope.SESSION: "the work of its request is finished",
    Scope.SENT: "its response was sent",
    Scope.REQUEST: "its request ends",
}


def look(graph: Graph) -> c.Iterator[Finding]:
    for edge in graph.edges:
        if edge.keeps_shorter:
            yield _shorter(graph, edge)
    yield from _cycles(graph)
    yield from _one_name(graph)


def _shorter(graph: Graph, edge: Edge) -> Finding:
    user, used = edge.user, edge.used
    verb = "uses" if edge.is_wrong else "may use"
    via = f" by way of {_called(edge.via)}" if edge.via else ""
    longer = _longer(user, used)
    return Finding(
        "S101",
        "error" if edge.is_wrong else "warn",
        user.name,
        edge.place or user.place,
        f"{user.name} ({user.scope}) {verb} {used.name} ({used.scope}){via}",
        f"{used.name} would be kept after {_ENDS[used.scope]}. {longer} or call"
        f" {used.name}() where {user.name} is used.",
        (*_led_to(graph, user), used.name),
    )


def _called(via: c.Iterable[str]) -> str:
    return ", ".join(f"{name}()" for name in via)


def _longer(user: Recipe, used: Recipe) -> str:
    if user.scope is Scope.SENT:
        return f'Let {used.name} live as long, with @scopes.request(until="sent"),'
    if used.scope is Scope.SENT:
        return f'Let {user.name} end with it, with @scopes.request(until="sent"),'
    return f"Make {user.name} request scoped,"


def _led_to(graph: Graph, recipe: Recipe) -> list[str]:
    """The names of those of one scope that lead to *recipe*, which is the last."""
    path = [recipe]
    while True:
        above = next(
            (
                edge.user
                for edge in graph.used_by(path[0])
                if edge.is_sure
                and edge.user.scope is recipe.scope
                and edge.user not in path
            ),
            None,
        )
        if above is None:
            return [each.name for each in path]
        path.insert(0, above)


def _cycles(graph: Graph) -> c.Iterator[Finding]:
    found: set[frozenset[Recipe]] = set()
    for level in ("error", "warn"):
        edges = [edge for edge in graph.edges if edge.is_sure or level == "warn"]
        below: dict[Recipe, list[Recipe]] = {}
        for edge in edges:
            # To hold the function, and call it later, is the way out of a cycle. And
            # by other arguments another object is meant.
            if (edge.is_sure or not edge.held) and edge.used.signature is None:
                below.setdefault(edge.user, []).append(edge.used)
        for recipe in graph.recipes:
            path = _way_back(recipe, below)
            if path and not any(each <= frozenset(path) for each in found):
                found.add(frozenset(path))
                yield _cycle(path, level == "error")


def _way_back(recipe: Recipe, below: dict[Recipe, list[Recipe]]) -> list[Recipe]:
    """The shortest way from *recipe* to itself; empty if there is none."""
    came_from: dict[Recipe, Recipe] = {}
    todo = [recipe]
    for user in todo:
        for used in below.get(user, ()):
            if used is recipe:
                path = [user]
                while path[0] is not recipe:
                    path.insert(0, came_from[path[0]])
                return path
            if used not in came_from:
                came_from[used] = user
                todo.append(used)
    return []


def _cycle(path: list[Recipe], certain: bool) -> Finding:
    names = [*(each.name for each in path), path[0].name]
    verb = "needs" if certain else "may need"
    others = "" if len(path) == 1 else f": {' → '.join(names)}"
    return Finding(
        "S102",
        "error" if certain else "warn",
        path[0].name,
        path[0].place,
        f"{path[0].name} {verb} itself to be built{others}",
        "Move what both sides need into a resource of its own, or keep the function"
        f" and call {path[0].name}() later.",
        tuple(names),
    )


def _one_name(graph: Graph) -> c.Iterator[Finding]:
    first: dict[str, Recipe] = {}
    for recipe in graph.recipes:
        # What an integration makes is named after what it was asked for.
        if is_made_for_user(recipe):
            continue
        earlier = first.setdefault(recipe.name, recipe)
        if earlier is not recipe and earlier.place != recipe.place:
            yield Finding(
                "S103",
                "warn",
                recipe.name,
                recipe.place,
                f"{recipe.name} is the name of two resources; the other is at"
                f" {earlier.place}",
                "Messages, logs and this command call both the same. Rename one.",
            )


def is_made_for_user(recipe: Recipe) -> bool:
    """Whether an integration of this package has written its factory."""
    from ..places import innermost

    return hasattr(innermost(recipe.factory), "declared_at")
