"""Import time beyond Flask's, and memory, each in fresh processes."""

from __future__ import annotations

from .. import fresh
from ..timing import Figure
from ..timing import figure
from . import Plan
from . import Results
from . import Row


def measure(plan: Plan) -> Results:
    return _imports(plan) | {"memory of one more registered, bytes": _memory(plan)}


def _imports(plan: Plan) -> Results:
    """The best of the rounds: nothing makes an import faster than it is."""
    statements = {
        name: plan.contenders[name].imports
        for name in plan.serving()
        if plan.contenders[name].imports
    }
    names = list(statements)
    said: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
    for number in range(-1, plan.rounds(24)):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            once = fresh.imports(statements[name])
            # The first round fills the caches of files and of bytecode.
            if number >= 0:
                said[name].append(once)
    flask = min(once[0] for every in said.values() for once in every)
    beyond = {name: [once[1] for once in every] for name, every in said.items()}
    return {
        "import flask, ms": {"plain Flask": _exactly(flask)},
        "import beyond Flask, ms": {
            name: Figure(min(values), min(values), figure(values).high)
            for name, values in beyond.items()
        },
        "import beyond Flask, times import flask": {
            name: _exactly(min(values) / flask) for name, values in beyond.items()
        },
        "modules beyond Flask": {
            name: _exactly(every[0][2]) for name, every in said.items()
        },
    }


def _memory(plan: Plan) -> Row:
    return {
        name: _exactly(fresh.run("memory", name)["bytes"]) for name in plan.serving()
    }


def _exactly(value: float) -> Figure:
    return Figure(value, value, value)
