"""Where the boxes of a graph go: in layers, each near to those that it is tied to."""

from __future__ import annotations

import collections
import collections.abc as c
import dataclasses
import typing as t

from ..scope import Scope

if t.TYPE_CHECKING:
    from ..graph import Graph
    from ..recipe import Recipe

HEIGHT: t.Final = 30
"""Of a box."""
BETWEEN: t.Final = 42
"""From the bottom of a layer to the top of the next one."""
TITLE: t.Final = 26
"""What the name of a band takes of it."""
MARGIN: t.Final = 16
_GAP: t.Final = 18
_LETTER: t.Final = 7.4
_MOST_LETTERS: t.Final = 26
_MOST_IN_LAYER: t.Final = 6
_BANDS: t.Final = (Scope.REQUEST, Scope.SENT, Scope.SESSION, Scope.APPLICATION)

Layers: t.TypeAlias = "list[list[Item]]"
"""The first is on top."""
Bands: t.TypeAlias = "list[tuple[str, Layers]]"
"""The layers of each scope."""


@dataclasses.dataclass(slots=True, eq=False)
class Item:
    """What takes a place in a layer: a box, or a line that passes by."""

    recipe: Recipe | None
    width: float
    x: float = 0.0
    """Of its middle."""
    y: float = 0.0
    """Of its top."""
    above: list[Item] = dataclasses.field(default_factory=list["Item"])
    below: list[Item] = dataclasses.field(default_factory=list["Item"])
    chain: list[Item] = dataclasses.field(default_factory=list["Item"])
    """Of what passes by: the whole line."""


def in_layers(graph: Graph) -> tuple[Bands, Layers]:
    """The layers of each band, and of all; the first is on top."""
    bands: Bands = []
    for scope in _BANDS:
        members = [each for each in graph.recipes if each.scope is scope]
        rows: dict[int, list[Item]] = collections.defaultdict(list)
        for recipe, depth in _depths(graph, members).items():
            # What is tied to nothing comes first, out of the way.
            alone = not (graph.uses(recipe) or graph.used_by(recipe))
            rows[-1 if alone else depth].append(Item(recipe, _width(recipe)))
        layers = [part for depth in sorted(rows) for part in _parted(rows[depth])]
        if layers:
            bands.append((str(scope), layers))
    return bands, [layer for _, layers in bands for layer in layers]


def _parted(row: list[Item]) -> list[list[Item]]:
    """*row* as several of about the same length, if it is too long."""
    parts = -(-len(row) // _MOST_IN_LAYER)
    size = -(-len(row) // parts)
    return [row[index : index + size] for index in range(0, len(row), size)]


def _depths(graph: Graph, members: list[Recipe]) -> dict[Recipe, int]:
    """How many others are above each of *members*, by the longest way."""
    inside = set(members)
    users = {
        each: [edge.user for edge in graph.used_by(each) if edge.user in inside]
        for each in members
    }
    depths = dict.fromkeys(members, 0)
    # As often as the longest way can be; in a cycle there is no end to it.
    for _ in members:
        moved = False
        for each in members:
            deepest = max(
                (depths[user] + 1 for user in users[each] if user is not each),
                default=0,
            )
            if depths[each] < deepest < len(members):
                depths[each], moved = deepest, True
        if not moved:
            break
    return depths


def label(name: str) -> str:
    """As much of *name* as there is room for."""
    fits = len(name) <= _MOST_LETTERS
    return name if fits else f"{name[: _MOST_LETTERS - 1]}…"


def _width(recipe: Recipe) -> float:
    letters = len(label(recipe.name)) + (2 if recipe.yields else 0)
    return round(letters * _LETTER + 40, 1)


def order(layers: Layers) -> None:
    """Put neighbours near each other: each to the middle of those it is tied to."""
    for turn in range(8):
        downwards = turn % 2 == 0
        place = {
            item: index - len(layer) / 2
            for layer in layers
            for index, item in enumerate(layer)
        }
        for layer in layers if downwards else reversed(layers):
            wanted = {
                item: _mean(
                    [place[each] for each in (item.above if downwards else item.below)],
                    place[item],
                )
                for item in layer
            }
            layer.sort(key=wanted.__getitem__)
            place.update((item, i - len(layer) / 2) for i, item in enumerate(layer))


def place(layers: Layers) -> None:
    """Give each its x: as near as there is room to those it is tied to."""
    for layer in layers:
        _settle(layer, [0.0] * len(layer))
    for _ in range(12):
        for layer in (*layers, *reversed(layers)):
            _settle(layer, [_wish(item) for item in layer])
    left = min(
        (item.x - item.width / 2 for layer in layers for item in layer), default=0
    )
    for layer in layers:
        for item in layer:
            item.x = round(item.x - left + MARGIN, 1)


def _wish(item: Item) -> float:
    """Where *item* would stand if it was alone."""
    if item.chain:
        # Straight down, with bends at its ends alone.
        ends = (item.chain[0].x + item.chain[-1].x) / 2
        between = [each.x for each in item.chain[1:-1]]
        return (ends + 3 * _mean(between, ends)) / 4
    return _mean([each.x for each in (*item.above, *item.below)], item.x)


def _settle(layer: list[Item], wanted: list[float]) -> None:
    """Near to *wanted*, in this order, and apart: between what one gets who begins on
    the left, and who begins on the right.
    """
    from_left: list[float] = []
    for item, x in zip(layer, wanted, strict=True):
        if from_left:
            before = layer[len(from_left) - 1]
            x = max(x, from_left[-1] + (before.width + item.width) / 2 + _GAP)
        from_left.append(x)
    from_right: list[float] = []
    for item, x in zip(reversed(layer), reversed(wanted), strict=True):
        if from_right:
            after = layer[len(layer) - len(from_right)]
            x = min(x, from_right[-1] - (after.width + item.width) / 2 - _GAP)
        from_right.append(x)
    for item, left, right in zip(layer, from_left, reversed(from_right), strict=True):
        item.x = (left + right) / 2


def stack(bands: Bands, layers: Layers) -> float:
    """Give each its y; how high all of it is."""
    y = 0.0
    for _, members in bands:
        y += TITLE + 8
        for layer in members:
            for item in layer:
                item.y = y
            y += HEIGHT + BETWEEN
        y -= BETWEEN - 18
    return y


def _mean(values: c.Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
