"""Blocks that take turns: A B C, B C A, C A B, in CPU time of the thread.

Wall time on a shared machine spreads by a factor of two. What exists is frozen before
anything is timed. The collector of cycles is off within a round, and runs after it,
except where it is part of what is measured.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import gc
import math
import statistics
import time

Rounds = dict[str, list[float]]
"""What each block took, round by round."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """A median, and between what 80 % of the rounds lie."""

    median: float
    low: float
    high: float


def figure(values: c.Sequence[float]) -> Figure:
    if len(values) < 2:
        return Figure(values[0], values[0], values[0])
    tenths = statistics.quantiles(values, n=10, method="inclusive")
    return Figure(statistics.median(values), tenths[0], tenths[-1])


def ratios(values: c.Sequence[float], base: c.Sequence[float]) -> list[float]:
    """Of each round by itself: what slows a machine slows both. A base that is lost in
    the noise of its round (it is a difference) leaves that round out.
    """
    pairs = zip(values, base, strict=True)
    return [value / other for value, other in pairs if other > 0] or [math.nan]


def interleaved(
    blocks: c.Mapping[str, c.Callable[[], float]], rounds: int, collecting: bool = False
) -> Rounds:
    """Call each block once a round, each time beginning with the next one.

    :param collecting: leave the collector of cycles on, as it is in a server.
    """
    names = list(blocks)
    taken: Rounds = {name: [] for name in names}
    with _frozen(collecting):
        for block in blocks.values():
            block()
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                taken[name].append(blocks[name]())
            if not collecting:
                gc.collect()
    return taken


@contextlib.contextmanager
def _frozen(collecting: bool) -> c.Iterator[None]:
    gc.collect()
    gc.freeze()
    if not collecting:
        gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def per_call(call: c.Callable[[], object], calls: int) -> float:
    """CPU nanoseconds of one call, of *calls* in a row."""
    repeats = range(calls)
    start = time.thread_time_ns()
    for _ in repeats:
        call()
    return (time.thread_time_ns() - start) / calls


def best_of(blocks: c.Callable[[], float], times: int) -> float:
    return min(blocks() for _ in range(times))


def differences(values: c.Sequence[float], base: c.Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(values, base, strict=True)]
