"""The timeline of one piece of work, as numbers: where each bar begins, how wide it is.

All of them are percentages of the whole length, so a page may be as wide as it likes.
Nothing here knows of SVG, nor of colours; see the template ``_timeline.html``.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import math
import typing as t

from .axis import duration
from .axis import step_of
from .axis import unit_of

if t.TYPE_CHECKING:
    from ..recording.record import Row
    from ..recording.record import Work

BUILD: t.Final = "build"
ALIVE: t.Final = "alive"
CLOSE: t.Final = "close"

NARROWEST: t.Final = 0.25
"""How wide a bar is at least: two pixels of a wide screen."""
_CLOSEST: t.Final = 0.4
"""How far apart marks of uses are at least: more would make one blot of them."""
_WORDS: t.Final = {BUILD: "building", ALIVE: "alive", CLOSE: "tearing down"}


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """Something that lasted."""

    kind: str
    x: float
    width: float
    title: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A moment, with its name."""

    x: float
    label: str
    """Empty for a line that explains itself."""

    @property
    def anchor(self) -> str:
        """On which side of it there is room for its name."""
        return "end" if self.x > 35 else "start"


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """What is drawn of one object."""

    row: Row
    bars: list[Bar]
    uses: list[float]
    failed_at: float | None
    lives_on: bool
    """Whether it was still there at the end."""


@dataclasses.dataclass(frozen=True, slots=True)
class Drawing:
    """The timeline of one piece of work; made for one look at it."""

    length: float
    """In seconds: what 100 percent are."""
    ticks: list[Mark]
    lines: list[Line]
    moments: list[Mark]
    wait: Bar | None
    """While nothing has left, as the unit was being finished."""


def draw(work: Work, now: float | None = None) -> Drawing:
    """The timeline of *work*.

    :param now: how long it has taken so far, if it is still under way.
    """
    length = _length(work, now)
    lines = [_line(row, length) for row in in_order(work.rows)]
    return Drawing(
        length, ticks(length), lines, _moments(work, length), _wait(work, length)
    )


def small(work: Work, took: float, longest: float) -> list[Bar]:
    """*work* in one line: what of the time it *took* went into building and finishing.
    How long the line is tells only roughly how long that was: one that takes ten times
    as long must not make dots of the others.

    :param longest: in seconds: what has a line of full length.
    """
    took = max(took, 1e-6)
    share = math.log1p(took * 1000) / math.log1p(max(longest, took) * 1000)
    length = took / max(share, 0.02)
    built = [
        (row.started, row.ready)
        for row in work.rows
        if row.ready is not None and not row.before
    ]
    bars = [bar("whole", 0.0, took, length)]
    bars += [bar(BUILD, *each, length) for each in _merged(built, length / 50)]
    wait = _wait(work, length)
    return [*bars, wait] if wait else bars


def in_order(rows: c.Iterable[Row]) -> list[Row]:
    """*rows* as their objects became ready: what was there before comes first."""

    def key(row: Row) -> tuple[bool, float, int]:
        if row.before:
            return False, row.started, row.number
        done = row.ready if row.ready is not None else row.closed
        return True, float("inf") if done is None else done, row.number

    return sorted(rows, key=key)


def parts(row: Row, length: float) -> list[tuple[str, float, float]]:
    """What became of the object of *row*, when it began and when it was over."""
    found: list[tuple[str, float, float]] = []
    gone = length if row.closed is None else row.closed
    # Without a teardown there is only a moment in which it is let go.
    closing = row.closing if row.has_teardown and row.closing is not None else gone
    if row.before:
        found.append((ALIVE, 0.0, closing))
    elif row.ready is None:
        return [(BUILD, row.started, gone)]
    else:
        found.append((BUILD, row.started, row.ready))
        if closing > row.ready:
            found.append((ALIVE, row.ready, closing))
    if row.has_teardown and row.closing is not None:
        found.append((CLOSE, closing, gone))
    return found


def ticks(length: float, most: int = 6) -> list[Mark]:
    """Round moments from 0 to *length*: *most* of them, or fewer."""
    step = step_of(length / most)
    scale, name = unit_of(length)
    count = int(length / step + 1e-9)
    return [
        Mark(_percent(step * index, length), f"{step * index / scale:g} {name}")
        for index in range(count + 1)
    ]


def bar(kind: str, start: float, end: float, length: float) -> Bar:
    """From *start* to *end*, wherever that is: on the canvas, and not too narrow."""
    x, until = _percent(start, length), _percent(end, length)
    width = max(until - x, NARROWEST)
    title = f"{_WORDS.get(kind, kind)} {duration(max(end - start, 0))}"
    title += f", from {duration(max(start, 0))} on"
    return Bar(kind, _short(min(x, 100 - width)), _short(width), title)


def _line(row: Row, length: float) -> Line:
    failed_at = None
    if row.failure:
        failed_at = _percent(length if row.closed is None else row.closed, length)
    return Line(
        row=row,
        bars=[bar(*part, length) for part in parts(row, length)],
        uses=_spread(_percent(use.at, length) for use in row.uses),
        failed_at=failed_at,
        lives_on=row.closed is None and (row.before or row.ready is not None),
    )


def _merged(
    intervals: c.Iterable[tuple[float, float]], gap: float
) -> list[tuple[float, float]]:
    """*intervals* as few: those that are less than *gap* apart are one."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(intervals):
        if found and start - found[-1][1] < gap:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _spread(positions: c.Iterable[float]) -> list[float]:
    """*positions* without those that would stand on another's."""
    found: list[float] = []
    for x in sorted(positions):
        if not found or x - found[-1] >= _CLOSEST:
            found.append(x)
    return found


def _length(work: Work, now: float | None) -> float:
    moments = [work.seconds, now, work.finished, work.answered, work.ended]
    moments += [row.closed for row in work.rows]
    return max([moment for moment in moments if moment is not None] + [1e-6])


def _moments(work: Work, length: float) -> list[Mark]:
    """The moments that the library is about: before what leaves there is a commit."""
    is_request = work.kind == "request"
    named = [
        (
            work.finishing,
            "view over, nothing sent" if is_request else "the work is done",
        ),
        (work.answered, "the response begins to leave"),
    ]
    marks = [Mark(_percent(at, length), label) for at, label in named if at is not None]
    last = max((mark.x for mark in marks), default=0.0)
    if work.answered is not None and work.ended is not None:
        x = _percent(work.ended, length)
        # (Mostly it is the same moment, and the edge of the picture.)
        if x - last > 2:
            marks.append(Mark(x, "all of it was sent"))
    return marks


def _wait(work: Work, length: float) -> Bar | None:
    if work.finishing is None:
        return None
    until = work.answered if work.answered is not None else work.finished
    if until is None or until < work.finishing:
        return None
    return bar("wait", work.finishing, until, length)


def _percent(seconds: float, length: float) -> float:
    return _short(min(max(seconds / length, 0.0), 1.0) * 100)


def _short(number: float) -> float:
    """*number* with as few digits as do."""
    rounded = round(number, 2)
    return int(rounded) if rounded == int(rounded) else rounded
