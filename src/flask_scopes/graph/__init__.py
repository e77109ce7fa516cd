"""What uses what: seen while it happened, or read from the source."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import functools
import typing as t

from .. import unit_messages
from .. import weak
from ..recipe import Recipe
from ..recipe import Replacement
from ..scope import Scope
from . import calls

if t.TYPE_CHECKING:
    from flask import Flask

    from ..application import Application
    from ..decorators import Decorators
    from .uses import Reading

Seen: t.TypeAlias = "c.Iterable[tuple[Recipe, Recipe]]"
"""Pairs: while the first was being built, the second was asked for."""

_SCOPES: t.Final = list(Scope)
"""From the longest life to the shortest, but for what is kept until it was sent."""


@dataclasses.dataclass(frozen=True, slots=True)
class Edge:
    """That one resource uses another, or may."""

    user: Recipe
    used: Recipe
    certain: bool
    """Whether the source of the first calls the second, on whichever path."""
    seen: bool
    """Whether it has happened."""
    place: str = ""
    """Where the source says so, as ``file:line``."""
    via: tuple[str, ...] = ()
    """The names of the functions between them."""
    held: bool = False
    """Whether the first only mentions the second, and does not call it."""
    apart: bool = False
    """Whether it is used in a unit of work that the first opens for it."""

    @property
    def is_sure(self) -> bool:
        return self.certain or self.seen

    @property
    def keeps_shorter(self) -> bool:
        """Whether what lives longer would keep what lives shorter. It may hold the
        function, and call it in a unit of its own; what was seen was not refused.
        """
        is_legal = self.seen or self.held or self.apart
        return self.user.scope.outlives(self.used.scope) and not is_legal

    @property
    def is_wrong(self) -> bool:
        """Whether that is certain: it is going to be refused."""
        return self.certain and self.keeps_shorter


class Graph:
    """Resources, and what each uses. It is made for one look, and does not change.

    :param recipes: of the resources, in the order of their making.
    :param seen: what was seen of their uses, in this process or another.
    """

    def __init__(self, recipes: c.Iterable[Recipe], seen: Seen = frozenset()) -> None:
        self.recipes: tuple[Recipe, ...] = tuple(dict.fromkeys(recipes))
        self._seen = {(_original(user), _original(used)) for user, used in seen}

    @functools.cached_property
    def readings(self) -> dict[Recipe, Reading]:
        """What the source of each tells."""
        return {recipe: calls.read(recipe) for recipe in self.recipes}

    @functools.cached_property
    def edges(self) -> tuple[Edge, ...]:
        """In the order of the resources, and of the source of each."""
        known = set(self.recipes)
        found: dict[tuple[Recipe, Recipe], Edge] = {}
        for user, reading in self.readings.items():
            for use in reading.uses.values():
                pair = (user, use.recipe)
                found[pair] = Edge(
                    *pair,
                    use.certain,
                    pair in self._seen,
                    use.place,
                    use.via,
                    use.held,
                    use.apart,
                )
        for pair in sorted(self._seen - found.keys(), key=_names):
            found[pair] = Edge(*pair, certain=False, seen=True)
        order = {recipe: index for index, recipe in enumerate(self.recipes)}
        here = [edge for edge in found.values() if {edge.user, edge.used} <= known]
        return tuple(sorted(here, key=lambda edge: order[edge.user]))

    @functools.cached_property
    def lost(self) -> dict[str, str]:
        """What could not be followed, by its ``file:line``."""
        return {
            place: what
            for reading in self.readings.values()
            for place, what in reading.lost.items()
        }

    def uses(self, recipe: Recipe) -> list[Edge]:
        """What *recipe* uses, in the order of its source."""
        return self._by_user.get(recipe, [])

    def used_by(self, recipe: Recipe) -> list[Edge]:
        """What uses *recipe*."""
        return self._by_used.get(recipe, [])

    @functools.cached_property
    def _by_user(self) -> dict[Recipe, list[Edge]]:
        return _grouped(self.edges, lambda edge: edge.user)

    @functools.cached_property
    def _by_used(self) -> dict[Recipe, list[Edge]]:
        return _grouped(self.edges, lambda edge: edge.used)

    def named(self, name: str) -> list[Recipe]:
        """The resources of that name: mostly one."""
        return [recipe for recipe in self.recipes if recipe.name == name]

    def by_scope(self) -> list[Recipe]:
        """Those with the longest life first."""
        return sorted(self.recipes, key=lambda recipe: _SCOPES.index(recipe.scope))

    def around(self, recipes: c.Iterable[Recipe], *, reverse: bool = False) -> Graph:
        """The part with *recipes* and all that they use; or, in *reverse*, that uses
        them.
        """
        todo, found = list(recipes), dict[Recipe, None]()
        while todo:
            recipe = todo.pop()
            if recipe not in found:
                found[recipe] = None
                todo += [edge.used for edge in self.uses(recipe) if not reverse]
                todo += [edge.user for edge in self.used_by(recipe) if reverse]
        part = Graph([each for each in self.recipes if each in found], self._seen)
        part.readings = {each: self.readings[each] for each in part.recipes}
        return part


def initialized(app: Flask) -> Application:
    """What *app* keeps.

    :raises OutsideScopeError: it is not initialized.
    """
    home: Application | None = app.extensions.get("scopes")
    if home is None:
        raise unit_messages.app_not_set_up(app.name)
    return home


def recipes_of(app: Flask) -> list[Recipe]:
    """Of all resources that *app* may use, in the order of their making."""
    home = initialized(app)
    members = [
        weak.keys(member.recipes) for member in t.cast("set[Decorators]", home.members)
    ]
    # Of several, the order is nobody's; but it is to be the same each time.
    members.sort(key=lambda recipes: recipes[0].place if recipes else "")
    return [recipe for recipes in members for recipe in recipes]


def graph_of(app: Flask, seen: Seen = frozenset()) -> Graph:
    """The resources of *app*, and what each uses.

    :param seen: what was seen, besides what is kept in this process right now.
    """
    return Graph(recipes_of(app), [*seen, *built_from(app)])


def built_from(app: Flask) -> list[tuple[Recipe, Recipe]]:
    """What the application objects that there are were built from."""
    home: Application = app.extensions["scopes"]
    return [
        (build.recipe, use if isinstance(use, Recipe) else use.recipe)
        for store in list(home.stores.values())
        for build in list(store.built)
        for use in list(build.uses)
    ]


def _original(recipe: Recipe) -> Recipe:
    """What *recipe* stands in for, while it is overridden."""
    while isinstance(recipe, Replacement):
        recipe = recipe.original
    return recipe


def _names(pair: tuple[Recipe, Recipe]) -> tuple[str, str]:
    return pair[0].name, pair[1].name


def _grouped(
    edges: c.Iterable[Edge], key: c.Callable[[Edge], Recipe]
) -> dict[Recipe, list[Edge]]:
    found: dict[Recipe, list[Edge]] = {}
    for edge in edges:
        found.setdefault(key(edge), []).append(edge)
    return found
