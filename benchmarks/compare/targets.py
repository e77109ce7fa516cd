"""What Flask-Scopes means to reach, and whether it does.

The baseline is what was measured of the others before, on another machine: CPython
3.11.7 without PGO and LTO, `import flask` in 91 ms, and 0.48 us for one more object
with teardown in plain functions. So where a target is a time, it stands here as a ratio
too, and the ratio decides.
"""

from __future__ import annotations

import dataclasses

from .scenarios import Results

OURS = "with_scopes"


@dataclasses.dataclass(frozen=True)
class Target:
    """A figure of ours that is to be at most, or at least, *bound*."""

    figure: str
    bound: float
    baseline: str
    says: str
    at_least: bool = False
    decides: bool = True
    """Whether it decides, or stands there for comparison."""

    def met(self, results: Results) -> bool | None:
        measured = results.get(self.figure, {}).get(OURS)
        if measured is None:
            return None
        value = measured.median
        return value >= self.bound if self.at_least else value <= self.bound


TARGETS = [
    Target(
        "warm application read, times functools.cache",
        1.6,
        "`g` by hand 20, the best peer 1.7",
        "A warm application read, times `functools.cache`",
    ),
    Target(
        "warm request read, times functools.cache",
        1.6,
        "`g` by hand 32, the best peer 6.6",
        "A warm request read, times `functools.cache`",
    ),
    Target(
        "warm application read, 16 threads, times functools.cache",
        1.6,
        "`g` by hand 25",
        "The same with 16 threads, times `functools.cache` with 16 threads",
    ),
    Target(
        "locks taken by a warm application read",
        0,
        "dishka 1, Flask-Injector 2",
        "Locks that a warm read takes",
    ),
    Target(
        "empty request, times plain Flask",
        1.03,
        "`g` by hand 1.04, wireup 1.13",
        "A request that uses nothing, times plain Flask",
    ),
    Target(
        "request with the graph, throughput times g by hand",
        1.10,
        "plain functions 1.22, wireup 0.99",
        "Requests with the graph per second, times `g` by hand",
        at_least=True,
    ),
    Target(
        "one more used with teardown, us",
        1.0,
        "plain functions 0.48, wireup 1.55",
        "One more that is used, with teardown, us",
        decides=False,
    ),
    Target(
        "one more used with teardown, times plain functions",
        2.1,
        "wireup 3.2",
        "One more that is used, with teardown, times plain functions",
    ),
    Target(
        "one more registered with teardown, ns",
        20,
        "`g` by hand 2090, the others 0 to 20",
        "One more that is registered, ns a request (nothing, within the noise)",
    ),
    Target(
        "import beyond Flask, ms",
        10,
        "Flask-Injector 3.7, wireup 25",
        "Import beyond Flask's, ms",
        decides=False,
    ),
    Target(
        "import beyond Flask, times import flask",
        0.11,
        "Flask-Injector 0.04, wireup 0.28",
        "Import beyond Flask's, times `import flask`",
    ),
    Target(
        "memory of one more registered, bytes",
        600,
        "svcs 613, wireup 10796",
        "Memory of one more that is registered, bytes",
    ),
    Target(
        "left to the cyclic collector, objects a request",
        0,
        "wireup 6, the others 0",
        "Objects that a request leaves to the cyclic collector, beyond Flask's own",
    ),
]
