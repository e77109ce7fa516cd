"""What one more resource costs each request: one that is registered, and one that is
used. All are request-scoped and have no dependencies.
"""

from __future__ import annotations

import collections.abc as c
import functools

from ..serving import Serving
from ..serving import Views
from ..shop import many
from ..timing import Rounds
from ..timing import best_of
from ..timing import figure
from ..timing import interleaved
from ..timing import ratios
from . import Plan
from . import Results
from .whole import block

REGISTERED = (10, 100, 1000)
USED = (1, 5, 20, 50)
_FLOOR = "plain"
_KINDS = {True: "with teardown", False: "without"}


def measure(plan: Plan) -> Results:
    results: Results = {}
    for closing, kind in _KINDS.items():
        results |= _registered(plan, closing, kind)
        results |= _used(plan, closing, kind)
    return results


def views(used: int) -> Views:
    names = [f"Thing{index}" for index in range(used)]
    reads = [f"o{index}.number" for index in range(used)]
    return {f"use{used}": (names, "\n".join([*reads, "return 'ok'"]))}


def _registered(plan: Plan, closing: bool, kind: str) -> Results:
    """Two are used, however many there are."""
    blocks = {}
    for number in REGISTERED:
        things = many(number, closing)
        for name in plan.serving():
            serving = Serving(plan.contenders[name], things, views(2))
            blocks[f"{name} {number}"] = _best(serving, "use2")
    taken = interleaved(blocks, plan.rounds(24))
    slopes = _slopes(taken, plan.serving(), REGISTERED)
    return {
        f"one more registered {kind}, ns": {
            name: figure(values) for name, values in slopes.items()
        }
    } | _totals(taken, plan.serving(), REGISTERED, f"registered {kind}")


def _used(plan: Plan, closing: bool, kind: str) -> Results:
    things = many(max(USED), closing)
    every: Views = {}
    for used in USED:
        every = {**every, **views(used)}
    blocks = {}
    for name in plan.serving():
        serving = Serving(plan.contenders[name], things, every)
        for used in USED:
            blocks[f"{name} {used}"] = _best(serving, f"use{used}")
    taken = interleaved(blocks, plan.rounds(40))
    slopes = _slopes(taken, plan.serving(), USED)
    results: Results = {
        f"one more used {kind}, us": {
            name: figure([value / 1000 for value in values])
            for name, values in slopes.items()
        }
    }
    if _FLOOR in slopes:
        results[f"one more used {kind}, times plain functions"] = {
            name: figure(ratios(values, slopes[_FLOOR]))
            for name, values in slopes.items()
        }
    return results | _totals(taken, plan.serving(), USED, f"used {kind}")


def _best(serving: Serving, path: str) -> c.Callable[[], float]:
    return functools.partial(best_of, block(serving, path, 8), 3)


def _slopes(taken: Rounds, names: list[str], numbers: tuple[int, ...]) -> Rounds:
    """Nanoseconds for one more, from the fewest to the most, round by round."""
    fewest, most = numbers[0], numbers[-1]
    return {
        name: [
            (much - little) / (most - fewest)
            for much, little in zip(
                taken[f"{name} {most}"], taken[f"{name} {fewest}"], strict=True
            )
        ]
        for name in names
    }


def _totals(
    taken: Rounds, names: list[str], numbers: tuple[int, ...], what: str
) -> Results:
    return {
        f"a request, {number} {what}, us": {
            name: figure([value / 1000 for value in taken[f"{name} {number}"]])
            for name in names
        }
        for number in numbers
    }
