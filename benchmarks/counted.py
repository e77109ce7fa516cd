"""What `counts.py` counts the instructions of. Each scenario is run a few times, then
more often; between the two, and after them, this program asks for its session id:
there valgrind writes down what it has counted since. Imports are not counted, which
would take most of the time; unless it is started with "--all", where valgrind cannot be
told when to begin.
"""

from __future__ import annotations

import collections.abc as c
import functools
import gc
import os
import subprocess
import sys

from benchmarks.compare.contenders import contender
from benchmarks.compare.serving import GRAPH_VIEWS
from benchmarks.compare.serving import Bare
from benchmarks.compare.serving import Serving
from benchmarks.compare.shop import GRAPH

FEW, MORE = 5, 25

mark = functools.partial(os.getsid, 0)


def calls(call: c.Callable[[], object], times: int) -> None:
    """Ten calls in each turn, so that the loop weighs little."""
    for _ in range(times):
        call(), call(), call(), call(), call()
        call(), call(), call(), call(), call()


def counted(run: c.Callable[[int], None]) -> None:
    # Until Python has specialised it, and all is there that is kept.
    run(FEW * 4)
    mark()
    run(FEW)
    mark()
    run(MORE)
    mark()


def reads(serving: Serving) -> None:
    """Within a request, as they are."""

    def inside(*objects: object) -> None:
        for name in ("Client", "Db"):
            counted(functools.partial(calls, serving.made.names[f"get_{name}"]))

    serving.while_holding(inside)


def requests(serving: Serving, path: str) -> None:
    def run(times: int) -> None:
        for _ in range(times):
            serving.request(path)

    counted(run)


def begin() -> None:
    control = ["callgrind_control", "--instr=on", str(os.getpid())]
    with subprocess.Popen(control, stdout=subprocess.DEVNULL) as telling:
        # Valgrind hears of it while it runs code; to wait would let it sleep.
        while telling.poll() is None:
            pass
    if telling.returncode:
        raise SystemExit(telling.returncode)


def main() -> None:
    gc.disable()
    serving = Serving(contender("with_scopes"), GRAPH, GRAPH_VIEWS)
    if "--all" not in sys.argv:
        begin()
    cached = functools.partial(calls, functools.cache(object))
    # What comes first after the beginning takes some more than it does later.
    counted(cached)
    counted(cached)
    reads(serving)
    requests(Bare(), "empty")
    requests(serving, "empty")
    requests(serving, "graph")


if __name__ == "__main__":
    main()
