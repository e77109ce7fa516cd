"""
    python -m benchmarks.compare [--quick] [--only NAME,...] [--out DIR] [--page FILE]

Writes ``measured.md`` (the tables), ``measured.svg`` (the chart) and ``results.json``
(all figures) to DIR; and the tables into FILE, a page, between its two marks, with the
chart among its images. With ``--redraw`` it measures nothing, and writes these files
from the results that are in DIR.
"""

from __future__ import annotations

import argparse
import collections.abc as c
import pathlib
import sys
import time

from . import correct
from . import machine
from . import outputs
from .contenders import all_contenders
from .scenarios import Plan
from .scenarios import Results
from .scenarios import growth
from .scenarios import reads
from .scenarios import startup
from .scenarios import threads
from .scenarios import whole

_SCENARIOS = {
    "reads": reads.measure,
    "whole": whole.measure,
    "growth": growth.measure,
    "threads": threads.measure,
    "startup": startup.measure,
}


def main(arguments: c.Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare")
    parser.add_argument("--quick", action="store_true", help="in less than a minute")
    parser.add_argument("--only", default="", help="contenders, with commas")
    parser.add_argument("--scenarios", default="", help=", ".join(_SCENARIOS))
    parser.add_argument("--out", type=pathlib.Path, default="build/measured")
    parser.add_argument("--page", type=pathlib.Path, help="to put the tables into")
    parser.add_argument("--redraw", action="store_true", help="what is in DIR already")
    chosen = parser.parse_args(arguments)
    contenders = all_contenders()
    only = set(chosen.only.split(",")) - {""}
    if not only <= set(contenders):
        parser.error(f"the contenders are {', '.join(contenders)}")
    if only:
        contenders = {name: contenders[name] for name in contenders if name in only}
    scenarios = [each for each in chosen.scenarios.split(",") if each]
    if not set(scenarios) <= set(_SCENARIOS):
        parser.error(f"the scenarios are {', '.join(_SCENARIOS)}")
    if not chosen.redraw:
        run = _run(Plan(contenders, chosen.quick), scenarios or list(_SCENARIOS))
        outputs.keep(run, chosen.out)
    outputs.write(outputs.kept(chosen.out), contenders, chosen.out, chosen.page)
    _say(f"See {chosen.out}")


def _run(plan: Plan, scenarios: c.Sequence[str]) -> outputs.Run:
    started, load = time.monotonic(), machine.load()
    for contender in plan.contenders.values():
        correct.check(contender)
    _say(f"{len(plan.contenders)} contenders do the same work")
    results = _measure(plan, scenarios)
    took = time.monotonic() - started
    how = (
        f"{'A quick' if plan.quick else 'The full'} run of {took:.0f} s, by "
        f"`python -m benchmarks.compare`. Load of the machine before it: {load:.1f}."
    )
    return outputs.Run(machine.described(), how, results)


def _measure(plan: Plan, scenarios: c.Sequence[str]) -> Results:
    results: Results = {}
    for name in scenarios:
        started = time.monotonic()
        results |= _SCENARIOS[name](plan)
        _say(f"{name}: {time.monotonic() - started:.0f} s")
    return results


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")


if __name__ == "__main__":
    main()
