"""One picture of the main figures: small multiples of horizontal bars, as SVG.

It brings its own background, light or dark as the reader's system is, and no fonts.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import math
from xml.sax.saxutils import escape

from .contenders import Contender
from .scenarios import Results
from .scenarios import Row
from .targets import OURS

FLOORS = ("plain", "cached")

WIDTH = 880
_MARGIN = 24
_GAP = 36
_PANEL = (WIDTH - 2 * _MARGIN - _GAP) / 2
_LABEL = 138
_VALUE = 48
_BARS = _PANEL - _LABEL - _VALUE
_ROW = 19
_HEAD = 46
_FOOT = 40

_STYLE = """
svg { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
.back { fill: #ffffff; stroke: #d5d9e0 }
text { fill: #2b3039; stroke: #ffffff; stroke-width: 3px; paint-order: stroke }
.title { font-size: 14px; font-weight: 600 }
.note, .tick { fill: #646c79; font-size: 11px }
.bar { fill: #a9b4c4 }
.floor.bar { fill: #dde2ea }
.ours.bar { fill: #0b7a75 }
text.ours { fill: #07625e; font-weight: 600 }
.grid { stroke: #e4e8ee }
.one { stroke: #646c79; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  .back { fill: #14171c; stroke: #343a44 }
  text { fill: #d9dee6; stroke: #14171c }
  .note, .tick { fill: #97a1b0 }
  .bar { fill: #556173 }
  .floor.bar { fill: #303741 }
  .ours.bar { fill: #2bb5ad }
  text.ours { fill: #5fd6cf }
  .grid { stroke: #272c34 }
  .one { stroke: #97a1b0 }
}
"""


@dataclasses.dataclass(frozen=True)
class Panel:
    figure: str
    title: str
    note: str
    logarithmic: bool = False
    digits: int = 0
    one: bool = False
    """Whether to draw a line where the ratio is 1."""


PANELS = [
    Panel(
        "warm application read, ns",
        "Warm application read, ns",
        "less is better; logarithmic",
        logarithmic=True,
    ),
    Panel(
        "warm request read, ns",
        "Warm request read, ns",
        "less is better; logarithmic",
        logarithmic=True,
    ),
    Panel(
        "request with the graph, throughput times g by hand",
        "Requests with a graph of objects, per second",
        "times g by hand; more is better",
        digits=2,
        one=True,
    ),
    Panel(
        "empty request beyond plain Flask, us",
        "A request that uses nothing, µs",
        "beyond plain Flask; less is better",
        digits=1,
    ),
    Panel(
        "one more used with teardown, us",
        "One more object with teardown, µs",
        "less is better; logarithmic",
        logarithmic=True,
        digits=2,
    ),
    Panel(
        "import beyond Flask, ms",
        "Import, ms",
        "beyond Flask's; less is better",
    ),
]


@dataclasses.dataclass(frozen=True)
class Axis:
    """From values to distances."""

    low: float
    high: float
    logarithmic: bool

    def at(self, value: float) -> float:
        if self.logarithmic:
            value = math.log10(max(value, self.low) / self.low)
            return _BARS * value / math.log10(self.high / self.low)
        return _BARS * max(value, 0.0) / self.high

    def ticks(self) -> list[float]:
        if self.logarithmic:
            first, last = math.log10(self.low), math.log10(self.high)
            return [
                10.0**each for each in range(math.ceil(first), math.floor(last) + 1)
            ]
        step = _step(self.high)
        return [step * each for each in range(int(self.high / step) + 1)]


def _step(high: float) -> float:
    """So that there are three to six ticks."""
    power = 10.0 ** math.floor(math.log10(high))
    return next(power * part for part in (0.2, 0.5, 1, 2) if high / (power * part) < 6)


def _axis(values: c.Sequence[float], panel: Panel) -> Axis:
    high = max(values)
    if not panel.logarithmic:
        return Axis(0, max(high, 1e-9) * 1.02, False)
    positive = [value for value in values if value > 0] or [1.0]
    low = 10.0 ** math.floor(math.log10(min(positive) * 0.5))
    return Axis(low, high * 1.1, True)


def svg(contenders: c.Mapping[str, Contender], results: Results, machine: str) -> str:
    """The picture."""
    panels = [panel for panel in PANELS if results.get(panel.figure)]
    height = _HEAD + _ROW * len(contenders) + _FOOT
    rows = math.ceil(len(panels) / 2)
    total = 2 * _MARGIN + rows * height + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" '
        f'width="{WIDTH}" height="{total}" role="img" aria-labelledby="title">',
        '<title id="title">Flask-Scopes measured beside other ways</title>',
        f"<style>{_STYLE}</style>",
        f'<rect class="back" x="0.5" y="0.5" width="{WIDTH - 1}" '
        f'height="{total - 1}" rx="8"/>',
    ]
    for index, panel in enumerate(panels):
        x = _MARGIN + (index % 2) * (_PANEL + _GAP)
        y = _MARGIN + (index // 2) * height
        parts.append(f'<g transform="translate({x:g} {y})">')
        parts += _panel(panel, contenders, results[panel.figure])
        parts.append("</g>")
    floors = "Faint bars: the floor, which ends nothing, or is not safe with threads."
    parts.append(_text(_MARGIN, total - 34, floors, "note"))
    parts.append(_text(_MARGIN, total - 17, machine, "note"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, contenders: c.Mapping[str, Contender], row: Row) -> list[str]:
    values = {name: figure.median for name, figure in row.items()}
    axis = _axis(list(values.values()), panel)
    shown = [name for name in contenders if name in values]
    bottom = _HEAD + _ROW * len(shown)
    parts = [_text(0, 12, panel.title, "title"), _text(0, 29, panel.note, "note")]
    for tick in axis.ticks():
        x = _LABEL + axis.at(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} {_HEAD - 6}V{bottom}"/>')
        parts.append(_text(x, bottom + 13, _short(tick), "tick", "middle"))
    if panel.one:
        x = _LABEL + axis.at(1)
        parts.append(f'<path class="one" d="M{x:.1f} {_HEAD - 6}V{bottom}"/>')
    for index, name in enumerate(shown):
        kind = "ours" if name == OURS else "floor" if name in FLOORS else ""
        label = contenders[name].name
        parts += _bar(index, label, values[name], axis, panel.digits, kind)
    return parts


def _bar(
    index: int, label: str, value: float, axis: Axis, digits: int, kind: str
) -> list[str]:
    y = _HEAD + _ROW * index
    width = max(axis.at(value), 1.0)
    number = f"{value:.{digits}f}"
    # No "-0.0": within the noise, it is nothing.
    number = number.lstrip("-") if float(number) == 0 else number
    return [
        _text(_LABEL - 8, y + 11, label.replace("`", ""), kind, "end"),
        f'<rect class="{kind} bar" x="{_LABEL}" y="{y + 1}" width="{width:.1f}" '
        f'height="{_ROW - 6}" rx="2"/>',
        _text(_LABEL + width + 5, y + 11, number, kind),
    ]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )
