"""What is recorded of one piece of work, and of each object in it: names and times.

Times are seconds since the work began.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ..places import short_path


class Spot(t.NamedTuple):
    """A line of code; written out only when somebody looks."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{short_path(self.file)}:{self.line}" if self.file else ""


NOWHERE: t.Final = Spot("", 0)


@dataclasses.dataclass(slots=True)
class Use:
    """One call that was given an object that was there."""

    at: float
    by: str
    """The resource whose factory asked; empty for other code."""
    spot: Spot


@dataclasses.dataclass(slots=True)
class Row:
    """One object in one piece of work."""

    number: int
    """From 1, in the order in which they were asked for."""
    name: str
    scope: str
    place: str
    has_teardown: bool
    is_replaced: bool
    """Whether an override made it."""
    before: bool
    """Whether it was there before the work began."""
    started: float
    """When its factory began; of what was there before, when it was first used."""
    ready: float | None = None
    """When its factory was done; None while it runs, and if it failed."""
    type: str = ""
    asked_by: str = ""
    """The resource whose factory asked first; empty for other code."""
    asked_at: Spot = NOWHERE
    asks: list[str] = dataclasses.field(default_factory=list[str])
    """What its factory asked for."""
    uses: list[Use] = dataclasses.field(default_factory=list[Use])
    """The first of them; not the one that it was built for."""
    use_count: int = 0
    closing: float | None = None
    """When its teardown began."""
    closed: float | None = None
    failure: str = ""
    """What was raised: the type of the exception, and perhaps its text."""
    failed_in: str = ""
    """``build`` or ``teardown``, where that was."""


@dataclasses.dataclass(slots=True)
class Work:
    """One request, command, or other block with an app context."""

    id: str
    kind: str
    """``request``, ``command`` or ``unit``."""
    title: str
    """A method and a path; what stands for it elsewhere."""
    keys: tuple[str, ...] = ()
    """Of its query string: names, not values."""
    since: float = dataclasses.field(default_factory=time.time)
    """When it began, in seconds since 1970."""
    began: float = dataclasses.field(default_factory=time.perf_counter)
    """When its times count from."""
    rows: list[Row] = dataclasses.field(default_factory=list[Row])
    """By :attr:`Row.number`."""
    by_build: dict[int, Row] = dataclasses.field(default_factory=dict[int, Row])
    """The same, by the number that a recorder gives to each build."""
    dropped: int = 0
    """How many objects are not among them, as there were too many."""
    view_status: int | None = None
    """What was going to be answered when the unit was about to finish."""
    status: int | None = None
    """What was answered."""
    finishing: float | None = None
    """When the unit began to finish: nothing has left yet."""
    finished: float | None = None
    answered: float | None = None
    """When the response began to leave."""
    ended: float | None = None
    """When all of it was sent, or dropped."""
    units: int = 0
    """How many units there were: after a retry, or a failed commit, more than one."""
    outcome: str = ""
    """``committed``, ``rolled back``, ``partly committed`` or ``left open``; empty if
    there was nothing to finish, or not yet.
    """
    reason: str = ""
    """Why it was not committed."""
    raised: str = ""
    """What came out of the app instead of a response."""

    def passed(self, moment: float) -> float:
        """What *moment*, by :func:`time.perf_counter`, is among its times."""
        return moment - self.began

    @property
    def seconds(self) -> float:
        """How long it took, as far as it is known."""
        if self.ended is not None:
            return self.ended
        moments = [self.finished, self.answered]
        for row in self.rows:
            moments += [row.started, row.ready, row.closed]
            moments += [use.at for use in row.uses[-1:]]
        return max((moment for moment in moments if moment is not None), default=0.0)

    @property
    def built(self) -> int:
        """How many objects were built for it."""
        return sum(not row.before and row.ready is not None for row in self.rows)

    @property
    def reused(self) -> int:
        """How many objects of it were there already."""
        return sum(row.before for row in self.rows)

    @property
    def failures(self) -> list[Row]:
        """The objects whose factory or teardown raised."""
        return [row for row in self.rows if row.failure]

    @property
    def slowest(self) -> Row | None:
        """What took longest to build."""
        built = [row for row in self.rows if not row.before and row.ready is not None]
        return max(built, key=lambda row: (row.ready or 0) - row.started, default=None)
