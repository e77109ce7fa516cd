"""Sixteen threads that ask for one application object, each in a request of its own.

In wall time, beside one thread that asks as often. With the GIL nobody gets faster;
who takes a lock gets slower. How many locks a read takes is counted in a process where
every lock counts.
"""

from __future__ import annotations

import collections.abc as c
import functools
import itertools
import threading
import time

from .. import fresh
from ..serving import GRAPH_VIEWS
from ..serving import Serving
from ..shop import GRAPH
from ..timing import Figure
from ..timing import figure
from ..timing import interleaved
from ..timing import ratios
from . import Plan
from . import Results
from .reads import timed

Loop = c.Callable[[c.Iterable[None]], None]
_FLOOR = "cached"

THREADS = 16
BLOCK = THREADS * 10_000_000
"""Nanoseconds that one thread takes for all reads of a block, about. Python changes
threads every 5 ms; shares that are shorter would run one after the other, and never
meet at a lock.
"""


def measure(plan: Plan) -> Results:
    blocks = {}
    for name, each in plan.contenders.items():
        serving = Serving(each, GRAPH, GRAPH_VIEWS)
        loop = serving.loop("Client")
        calls = int(BLOCK / _one(serving, loop))
        for threads in (1, THREADS):
            blocks[f"{name} {threads}"] = functools.partial(
                _wall, serving, loop, threads, calls
            )
    taken = interleaved(blocks, plan.rounds(12))
    many = {name: taken[f"{name} {THREADS}"] for name in plan.contenders}
    results: Results = {
        f"warm application read, {THREADS} threads, times one": {
            name: figure(ratios(values, taken[f"{name} 1"]))
            for name, values in many.items()
        },
        f"warm application read, {THREADS} threads, ns": {
            name: figure(values) for name, values in many.items()
        },
    }
    if _FLOOR in many:
        results[f"warm application read, {THREADS} threads, times functools.cache"] = {
            name: figure(ratios(values, many[_FLOOR])) for name, values in many.items()
        }
    return results | _locks(plan)


def _locks(plan: Plan) -> Results:
    results: Results = {}
    for what in ("application", "request"):
        results[f"locks taken by a warm {what} read"] = {}
    for name in plan.contenders:
        for what, number in fresh.run("locks", name).items():
            row = results[f"locks taken by a warm {what} read"]
            row[name] = Figure(number, number, number)
    return results


def _one(serving: Serving, loop: Loop) -> float:
    taken = 0.0

    def inside(*objects: object) -> None:
        nonlocal taken
        taken = min(timed(loop, 500) for _ in range(5))

    serving.while_holding(inside)
    return taken


def _wall(serving: Serving, loop: Loop, threads: int, calls: int) -> float:
    """Nanoseconds of one read, if *threads* do all of them."""
    calls //= threads
    ready = threading.Barrier(threads + 1)
    done = threading.Barrier(threads + 1)

    def read(*objects: object) -> None:
        repeats = itertools.repeat(None, calls)
        loop(itertools.repeat(None, 10))
        ready.wait()
        loop(repeats)
        done.wait()

    serving_all = [
        threading.Thread(target=serving.request, args=["held"]) for _ in range(threads)
    ]
    serving.doing(read)
    for thread in serving_all:
        thread.start()
    ready.wait()
    start = time.perf_counter_ns()
    done.wait()
    taken = time.perf_counter_ns() - start
    for thread in serving_all:
        thread.join()
    return taken / (calls * threads)
