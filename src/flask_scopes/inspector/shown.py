"""Pieces of work as plain data, for the pages and for their JSON: names, never values.

Times are milliseconds since the work began; None if it has not come so far.
"""

from __future__ import annotations

import collections
import collections.abc as c
import time
import typing as t

from .. import weak
from ..graph.text import LETTERS
from ..recording.figures import median
from ..recording.record import Row
from ..recording.record import Work
from ..scope import Scope
from .drawing import in_order
from .verdict import Data
from .verdict import own_times
from .verdict import problems
from .verdict import said
from .verdict import slow

if t.TYPE_CHECKING:
    from ..recipe import Recipe
    from ..recording.figures import Figures
    from ..recording.recorder import Recorder

SHOWN_USES: t.Final = 12


def ms(seconds: float | None) -> float | None:
    """Milliseconds, to the microsecond."""
    return None if seconds is None else round(seconds * 1000, 3)


def length(work: Work, running: c.Collection[str] = ()) -> float:
    """How many seconds *work* took, or has taken so far."""
    if work.id in running and work.ended is None:
        return max(work.passed(time.perf_counter()), work.seconds)
    return work.seconds


def listed(work: Work, running: c.Collection[str] = ()) -> Data:
    """One line of the list. Its keys: ``id``, ``kind`` (``request``, ``command`` or
    ``unit``), ``method``, ``path`` (for other kinds what they are called), ``keys`` (of
    the query string), ``since`` (seconds since 1970), ``status``, ``view_status``,
    ``ms``, ``built``, ``reused``, ``dropped`` (how many objects are not told of),
    ``in_progress``, ``units``, ``outcome``, ``reason``, ``raised``, ``problems`` (see
    :func:`~.verdict.problems`) and ``slow`` (texts).
    """
    is_request = work.kind == "request"
    method, _, path = work.title.partition(" ") if is_request else ("", "", work.title)
    took = length(work, running)
    return {
        "id": work.id,
        "kind": work.kind,
        "method": method,
        "path": path,
        "keys": list(work.keys),
        "since": work.since,
        "status": work.status,
        "view_status": work.view_status,
        "ms": ms(took),
        "built": work.built,
        "reused": work.reused,
        "dropped": work.dropped,
        "in_progress": work.id in running and work.ended is None,
        "units": work.units,
        "outcome": work.outcome,
        "reason": work.reason,
        "raised": work.raised,
        "problems": problems(work),
        "slow": slow(work, took),
    }


def in_full(work: Work, recorder: Recorder) -> Data:
    """One piece of work: the keys of :func:`listed`, and ``finishing``, ``finished``,
    ``answered``, ``ended``, ``said`` (how it went, in words) and ``objects``, in the
    order in which they became ready: see :func:`_row`.
    """
    shown = listed(work, recorder.works.running)
    own = own_times(work)
    figures = {
        (recipe.name, recipe.place): each for recipe, each in counted(recorder).items()
    }
    askers = collections.defaultdict[str, list[str]](list)
    for row in work.rows:
        for name in row.asks:
            askers[name].append(row.name)
    return {
        **shown,
        "finishing": ms(work.finishing),
        "finished": ms(work.finished),
        "answered": ms(work.answered),
        "ended": ms(work.ended),
        "said": said(shown, work),
        "objects": [
            {
                **_row(row),
                "own": ms(own.get(row.number)),
                "used_by": list(dict.fromkeys(askers[row.name])),
                **_usual(figures.get((row.name, row.place))),
            }
            for row in in_order(work.rows)
        ],
    }


def is_like(each: Data, work: Work, text: str, show: str) -> bool:
    """Whether *work*, which is *each* as data, is what somebody looks for.

    :param text: part of the path, or of the name of a resource that it has used.
    :param show: ``problems`` or ``slow`` for these alone.
    """
    if show in ("problems", "slow") and not each[show]:
        return False
    names = [each["path"], *(row.name for row in work.rows)]
    return any(text.lower() in name.lower() for name in names)


def counted(recorder: Recorder) -> dict[Recipe, Figures]:
    """What was counted of each resource that there still is."""
    figures = recorder.figures
    return {recipe: figures[recipe] for recipe in weak.keys(figures)}


def _usual(figures: Figures | None) -> Data:
    return {
        "usual_build": figures and ms(median(figures.build_times)),
        "usual_close": figures and ms(median(figures.close_times)),
        "usual_of": 0 if figures is None else figures.built,
    }


def _row(row: Row) -> Data:
    """One object: ``number``, ``name``, ``scope``, ``letter``, ``type``, ``place``,
    ``before`` (whether it was there), ``replaced`` (whether by an override),
    ``has_teardown``, ``started``, ``ready``, ``took``, ``own`` (without what it asked
    for), ``asked_by``, ``asked_at``, ``asks``, ``used_by``, ``use_count``, ``uses``
    (the first of them, each ``at``, ``by`` and ``place``), ``closing``, ``closed``,
    ``closing_took``, ``failure``, ``failed_in``; and from other times too
    ``usual_build``, ``usual_close`` (medians) and ``usual_of`` (how many).
    """
    built = not row.before and row.ready is not None
    closing_took = None
    if row.closing is not None and row.closed is not None and row.has_teardown:
        closing_took = row.closed - row.closing
    return {
        "number": row.number,
        "name": row.name,
        "scope": row.scope,
        "letter": LETTERS[Scope(row.scope)],
        "type": row.type,
        "place": row.place,
        "before": row.before,
        "replaced": row.is_replaced,
        "has_teardown": row.has_teardown,
        "started": ms(row.started),
        "ready": None if row.before else ms(row.ready),
        "took": ms((row.ready or 0) - row.started) if built else None,
        "asked_by": row.asked_by,
        "asked_at": str(row.asked_at),
        "asks": list(row.asks),
        "use_count": row.use_count,
        "uses": [
            {"at": ms(use.at), "by": use.by, "place": str(use.spot)}
            for use in row.uses[:SHOWN_USES]
        ],
        "closing": ms(row.closing),
        "closed": ms(row.closed),
        "closing_took": ms(closing_took),
        "failure": row.failure,
        "failed_in": row.failed_in,
    }
