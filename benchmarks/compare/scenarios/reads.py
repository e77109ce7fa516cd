"""Warm reads: asking in a request for what is already there, and reading an attribute.

A loop inside of a real request; what the empty loop takes is subtracted.
"""

from __future__ import annotations

import collections.abc as c
import itertools
import time

from ..serving import GRAPH_VIEWS
from ..serving import Serving
from ..shop import GRAPH
from ..timing import figure
from ..timing import interleaved
from ..timing import ratios
from . import Plan
from . import Results

CALLS = 4000
_FLOOR = "cached"


def measure(plan: Plan) -> Results:
    serving = {
        name: Serving(each, GRAPH, GRAPH_VIEWS)
        for name, each in plan.contenders.items()
    }
    results: Results = {}
    for what, name in [("application", "Client"), ("request", "Db")]:
        blocks = {key: _block(each, each.loop(name)) for key, each in serving.items()}
        taken = interleaved(blocks, plan.rounds(61))
        results[f"warm {what} read, ns"] = {
            key: figure(values) for key, values in taken.items()
        }
        if _FLOOR in taken:
            results[f"warm {what} read, times functools.cache"] = {
                key: figure(ratios(values, taken[_FLOOR]))
                for key, values in taken.items()
            }
    return results


def _empty(repeats: c.Iterable[None]) -> None:
    for _ in repeats:
        pass


def _block(
    serving: Serving, loop: c.Callable[[c.Iterable[None]], None]
) -> c.Callable[[], float]:
    taken = 0.0

    def inside(*objects: object) -> None:
        nonlocal taken
        taken = timed(loop, CALLS) - timed(_empty, CALLS)

    def block() -> float:
        serving.while_holding(inside)
        return taken

    return block


def timed(loop: c.Callable[[c.Iterable[None]], None], calls: int) -> float:
    """CPU nanoseconds of one turn of *loop*."""
    loop(itertools.repeat(None, 50))
    repeats = itertools.repeat(None, calls)
    start = time.thread_time_ns()
    loop(repeats)
    return (time.thread_time_ns() - start) / calls
