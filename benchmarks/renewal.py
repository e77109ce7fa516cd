"""What ``check=`` costs a warm call while it is not due: one process, one run.

    python benchmarks/renewal.py

All take turns in every round; what is printed is the median over the rounds, and what
a check adds to a call as a multiple of one look at the clock.
"""

from __future__ import annotations

import collections.abc as c
import platform
import statistics
import sys
import time
import timeit

import flask

from flask_scopes import Scopes

ROUNDS = 41
CALLS = 20_000


def main() -> None:
    scopes = Scopes()
    app = flask.Flask(__name__)
    scopes.init_app(app)

    @scopes.application
    def plain() -> object:
        return object()

    @scopes.application(check=bool, every=3600)
    def checked() -> object:
        return object()

    contenders: dict[str, c.Callable[[], object]] = {
        "a warm call": plain,
        "a warm call with a check": checked,
        "time.monotonic()": time.monotonic,
    }
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    with app.app_context():
        plain(), checked()
        for _ in range(ROUNDS):
            for name, call in contenders.items():
                seconds = timeit.timeit(call, number=CALLS)
                rounds[name].append(seconds / CALLS * 1e9)
    report({name: statistics.median(times) for name, times in rounds.items()})


def report(times: dict[str, float]) -> None:
    lines = [f"Python {platform.python_version()}, Flask-Scopes' renewal, in ns"]
    lines += [f"    {name:<26}{took:6.1f}" for name, took in times.items()]
    plain, checked, clock = times.values()
    lines.append(f"A check adds {(checked - plain) / clock:.1f} looks at the clock.")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
