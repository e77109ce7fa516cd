"""What can be said of a piece of work: what went wrong, and what took long."""

from __future__ import annotations

import collections
import typing as t

from .axis import duration

if t.TYPE_CHECKING:
    from ..recording.record import Row
    from ..recording.record import Work

Data: t.TypeAlias = dict[str, t.Any]

SLOW: t.Final = 0.020
"""How many seconds an object takes at least for anybody to mind."""


def problems(work: Work) -> list[Data]:
    """What went wrong: ``mark`` is ``failure`` for what was raised in a factory or a
    teardown, ``outcome`` for what became of the unit. ``text`` has types alone,
    ``message`` what an exception said, if that may be told, and ``outcome`` what became
    of the unit by that.
    """
    found = [
        _problem("failure", f"{row.name}: {_where(row)} raised", row.failure)
        for row in work.failures
    ]
    told = {row.failure for row in work.failures}
    # What a failed commit raises says again what the teardowns have raised.
    again = bool(told) and work.raised.startswith("CommitFailed")
    if work.raised and work.raised not in told and not again:
        found.append(_problem("failure", "raised", work.raised))
    if work.outcome not in ("", "committed"):
        told |= {work.raised, ""}
        if found and work.reason in told:
            found[0]["outcome"] = work.outcome
        else:
            found.append(_problem("outcome", f"{work.outcome}:", work.reason))
    return found


def slow(work: Work, took: float) -> list[str]:
    """Each object that alone took more than half of the time, and long enough."""
    if took <= SLOW:
        return []
    own = own_times(work)
    found: list[str] = []
    for row in work.rows:
        closing = 0.0
        if row.closing is not None and row.closed is not None:
            closing = row.closed - row.closing
        for seconds, what in (
            (own.get(row.number, 0), "building it"),
            (closing, "tearing it down"),
        ):
            if seconds > max(SLOW, took / 2):
                found.append(
                    f"{row.name}: {duration(seconds)} of {duration(took)} {what}"
                )
    return found


def own_times(work: Work) -> dict[int, float]:
    """How many seconds each factory took without those that it asked for, by the
    number of the row.
    """
    asked = collections.defaultdict[str, list[tuple[float, float]]](list)
    for row in work.rows:
        done = row.ready if row.ready is not None else row.closed
        if not row.before and done is not None:
            asked[row.asked_by].append((row.started, done))
    found: dict[int, float] = {}
    for row in work.rows:
        if row.before or row.ready is None:
            continue
        nested = sum(
            until - since
            for since, until in asked[row.name]
            if row.started <= since and until <= row.ready
        )
        found[row.number] = max(row.ready - row.started - nested, 0.0)
    return found


def said(shown: Data, work: Work) -> str:
    """How it went, in a few words."""
    if shown["in_progress"]:
        return "in progress"
    words: list[str] = []
    if work.view_status not in (None, work.status) and work.status is not None:
        words.append(f"the view said {work.view_status}")
    if any(row.failed_in == "teardown" for row in work.failures):
        words.append("a teardown raised")
    elif work.failures:
        words.append("a factory raised")
    elif work.raised:
        words.append(f"raised {work.raised.partition(':')[0]}")
    if not words and work.outcome:
        words.append(work.outcome)
    if work.units > 1:
        words.append(f"{work.units} units, one after the other")
    return "; ".join(words)


def _problem(mark: str, text: str, failure: str) -> Data:
    kind, _, message = failure.partition(": ")
    told = f"{text} {kind}".rstrip(": ")
    return {"mark": mark, "text": told, "message": message, "outcome": ""}


def _where(row: Row) -> str:
    return "teardown" if row.failed_in == "teardown" else "factory"
