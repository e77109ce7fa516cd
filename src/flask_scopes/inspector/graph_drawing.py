"""The graph of resources as numbers: boxes in layers, and lines between them.

What uses stands above what it uses, and what lives longer below: so a line leads down,
but for the one mistake that it must not hide. A line that passes other layers has a
place of its own in each of them, so it crosses no box.
"""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from ..graph.text import LETTERS
from .graph_layout import BETWEEN
from .graph_layout import HEIGHT
from .graph_layout import MARGIN
from .graph_layout import TITLE
from .graph_layout import Item
from .graph_layout import Layers
from .graph_layout import in_layers
from .graph_layout import label
from .graph_layout import order
from .graph_layout import place
from .graph_layout import stack

if t.TYPE_CHECKING:
    from ..graph import Edge
    from ..graph import Graph
    from ..recipe import Recipe

_PORTS: t.Final = 12
"""How far apart lines are where they leave a box, at most."""


@dataclasses.dataclass(slots=True)
class Band:
    """All that lives equally long."""

    name: str
    y: float
    height: float


@dataclasses.dataclass(slots=True, eq=False)
class Line:
    """One use of another resource."""

    edge: Edge
    chain: list[Item]
    """From the box above to the one below, with the places between them."""
    is_wrong: bool
    path: str = ""
    head: str = ""
    """Its arrow."""

    @property
    def lower(self) -> Item:
        """The box of what is used (which is above, if that is wrong)."""
        return next(box for box in self._ends() if box.recipe is self.edge.used)

    @property
    def upper(self) -> Item:
        """The box of what uses it."""
        return next(box for box in self._ends() if box.recipe is self.edge.user)

    def _ends(self) -> tuple[Item, Item]:
        return self.chain[0], self.chain[-1]


@dataclasses.dataclass(slots=True)
class Picture:
    """Made for one look."""

    width: float
    height: float
    bands: list[Band]
    boxes: dict[Recipe, Item]
    lines: list[Line]


@dataclasses.dataclass(slots=True)
class Node:
    """A box, and the lines that end there."""

    id: str
    name: str
    label: str
    letter: str
    scope: str
    place: str
    yields: bool
    box: Item
    leaving: list[Line]
    arriving: list[Line]


def nodes(picture: Picture, ids: dict[Recipe, str]) -> list[Node]:
    """What is drawn of each resource, by its id."""
    return [
        Node(
            id=ids[recipe],
            name=recipe.name,
            label=label(recipe.name),
            letter=LETTERS[recipe.scope],
            scope=str(recipe.scope),
            place=recipe.place,
            yields=recipe.yields,
            box=box,
            leaving=[line for line in picture.lines if line.edge.user is recipe],
            arriving=[line for line in picture.lines if line.edge.used is recipe],
        )
        for recipe, box in picture.boxes.items()
    ]


def draw(graph: Graph) -> Picture:
    """Where everything of *graph* goes."""
    bands, layers = in_layers(graph)
    boxes = {item.recipe: item for layer in layers for item in layer if item.recipe}
    level = {item: index for index, layer in enumerate(layers) for item in layer}
    edges = [edge for edge in graph.edges if edge.user is not edge.used]
    lines = [_line(edge, boxes, level, layers) for edge in edges]
    order(layers)
    place(layers)
    height = stack(bands, layers)
    for line in lines:
        line.path, line.head = _path(line, lines)
    width = max(
        (item.x + item.width / 2 for layer in layers for item in layer), default=0
    )
    heights = [Band(name, members[0][0].y - TITLE - 8, 0.0) for name, members in bands]
    for index, band in enumerate(heights):
        below = heights[index + 1].y if index + 1 < len(heights) else height
        band.height = below - band.y
    return Picture(round(width + MARGIN), round(height), heights, boxes, lines)


def _line(
    edge: Edge,
    boxes: dict[Recipe, Item],
    level: dict[Item, int],
    layers: Layers,
) -> Line:
    """The places that *edge* goes through, which it takes."""
    ends = [boxes[edge.user], boxes[edge.used]]
    ends.sort(key=lambda item: level[item])
    top, bottom = ends
    chain = [top]
    for index in range(level[top] + 1, level[bottom]):
        passing = Item(None, 10, chain=chain)
        layers[index].append(passing)
        chain.append(passing)
    chain.append(bottom)
    if level[top] != level[bottom]:
        for upper, lower in itertools.pairwise(chain):
            upper.below.append(lower)
            lower.above.append(upper)
    return Line(edge, chain, edge.is_wrong)


def _path(line: Line, lines: list[Line]) -> tuple[str, str]:
    """The line itself, and the head of its arrow."""
    top, bottom = line.chain[0], line.chain[-1]
    leaves = _port(line, top, 0, [each for each in lines if each.chain[0] is top])
    arrives = _port(
        line, bottom, -1, [each for each in lines if each.chain[-1] is bottom]
    )
    if top.y == bottom.y:
        y = top.y + HEIGHT
        dip = f"{top.x:g} {y + 24:g} {bottom.x:g} {y + 24:g} {bottom.x:g} {y:g}"
        return f"M{top.x:g} {y:g}C{dip}", f"M{bottom.x - 4:g} {y + 6:g}l4-6l4 6"
    upwards = line.edge.used is top.recipe
    points = [leaves, *(item.x for item in line.chain[1:-1]), arrives]
    x, y = points[0], top.y + HEIGHT
    path = [f"M{x:g} {y:g}"]
    head = f"M{x - 4:g} {y + 7:g}l4-7l4 7"
    for item, x_next in zip(line.chain[1:], points[1:], strict=True):
        middle = y + BETWEEN / 2 if item.y - y <= BETWEEN else (y + item.y) / 2
        path.append(f"C{x:g} {middle:g} {x_next:g} {middle:g} {x_next:g} {item.y:g}")
        x, y = x_next, item.y
        if item is not bottom:
            y += HEIGHT
            path.append(f"V{y:g}")
    if not upwards:
        head = f"M{x - 4:g} {y - 7:g}l4 7l4-7"
    return "".join(path), head


def _port(line: Line, box: Item, end: int, sharing: list[Line]) -> float:
    """Where *line* meets *box*: those that share it stand in the order of where they
    come from.
    """
    nearest = 1 if end == 0 else -2
    sharing = sorted(sharing, key=lambda each: each.chain[nearest].x)
    apart = min(_PORTS, (box.width - 24) / max(len(sharing), 1))
    offset = (sharing.index(line) - (len(sharing) - 1) / 2) * apart
    return round(box.x + offset, 1)
