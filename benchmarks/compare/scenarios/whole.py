"""Whole requests: an empty one, one with a cold object, and one with a graph.

A request is a call of the WSGI app; its body is read and closed.
"""

from __future__ import annotations

import collections.abc as c
import functools
import gc

from ..serving import GRAPH_VIEWS
from ..serving import Bare
from ..serving import Serving
from ..shop import GRAPH
from ..timing import Figure
from ..timing import Rounds
from ..timing import best_of
from ..timing import differences
from ..timing import figure
from ..timing import interleaved
from ..timing import per_call
from ..timing import ratios
from . import Plan
from . import Results
from . import Row

REQUESTS = 40
_BARE = "plain Flask"


def measure(plan: Plan) -> Results:
    serving = {
        name: Serving(plan.contenders[name], GRAPH, GRAPH_VIEWS)
        for name in plan.serving()
    }
    results = _small(serving, plan.rounds(100))
    results |= _graph(serving, plan.rounds(60))
    results["left to the cyclic collector, objects a request"] = _garbage(serving)
    return results


def block(
    serving: Serving, path: str, requests: int = REQUESTS
) -> c.Callable[[], float]:
    request = functools.partial(serving.request, path)
    return functools.partial(per_call, request, requests)


def _small(serving: dict[str, Serving], rounds: int) -> Results:
    blocks = {
        (name, path): block(each, path)
        for name, each in serving.items()
        for path in ("empty", "db")
    }
    blocks[_BARE, "empty"] = block(Bare(), "empty")
    named = {" ".join(key): each for key, each in blocks.items()}
    best = {name: functools.partial(best_of, each, 3) for name, each in named.items()}
    taken = interleaved(best, rounds)
    bare = taken[f"{_BARE} empty"]
    empty: Rounds = {name: taken[f"{name} empty"] for name in serving}
    cold = {name: differences(taken[f"{name} db"], empty[name]) for name in serving}
    results: Results = {
        "empty request, times plain Flask": _ratio_to(empty, bare),
        "empty request beyond plain Flask, us": _beyond(empty, bare),
        "first object with teardown, us": {
            name: _thousandth(values) for name, values in cold.items()
        },
        "plain Flask, us a request": {_BARE: _thousandth(bare)},
    }
    if "by_hand" in cold:
        results["first object with teardown, times g by hand"] = _ratio_to(
            cold, cold["by_hand"]
        )
    return results


def _ratio_to(taken: Rounds, base: list[float]) -> Row:
    return {name: figure(ratios(values, base)) for name, values in taken.items()}


def _beyond(taken: Rounds, base: list[float]) -> Row:
    return {
        name: _thousandth(differences(values, base)) for name, values in taken.items()
    }


def _thousandth(values: list[float]) -> Figure:
    return figure([value / 1000 for value in values])


def _graph(serving: dict[str, Serving], rounds: int) -> Results:
    """With the collector on: what a contender leaves to it is part of its cost."""
    blocks = {
        name: functools.partial(best_of, block(each, "graph"), 3)
        for name, each in serving.items()
    }
    taken = interleaved(blocks, rounds, collecting=True)
    results: Results = {
        "request with the graph, us": {
            name: _thousandth(values) for name, values in taken.items()
        }
    }
    if "by_hand" in taken:
        # Throughput: who takes less has more.
        results["request with the graph, throughput times g by hand"] = {
            name: figure(ratios(taken["by_hand"], values))
            for name, values in taken.items()
        }
    return results


def _garbage(serving: dict[str, Serving]) -> Row:
    """Beyond what Flask and Werkzeug leave themselves."""
    bare = _left(Bare(), "empty")
    return {
        name: figure([_left(each, "graph") - bare]) for name, each in serving.items()
    }


def _left(serving: Serving, path: str) -> float:
    requests = 50
    serving.request(path)
    gc.collect()
    gc.disable()
    try:
        for _ in range(requests):
            serving.request(path)
        return gc.collect() / requests
    finally:
        gc.enable()
