"""
    python -m benchmarks.compare [--quick] [--only NAME,...] [--out DIR] [--page FILE]

Writes ``measured.md`` (the tables), ``measured.svg`` (the chart) and ``results.json``
(all figures) to DIR; and the tables into FILE, a page, between its two marks, with the
chart among its images.
"""

from __future__ import annotations

import argparse
import collections.abc as c
import dataclasses
import json
import pathlib
import sys
import time

from . import chart
from . import correct
from . import machine
from . import report
from .contenders import Contender
from .contenders import all_contenders
from .scenarios import Plan
from .scenarios import Results
from .scenarios import growth
from .scenarios import reads
from .scenarios import startup
from .scenarios import threads
from .scenarios import whole

BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"
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
    chosen = parser.parse_args(arguments)
    contenders = all_contenders()
    only = set(chosen.only.split(",")) - {""}
    if not only <= set(contenders):
        parser.error(f"the contenders are {', '.join(contenders)}")
    if only:
        contenders = {name: contenders[name] for name in contenders if name in only}
    started, load = time.monotonic(), machine.load()
    for contender in contenders.values():
        correct.check(contender)
    _say(f"{len(contenders)} contenders do the same work")
    scenarios = [each for each in chosen.scenarios.split(",") if each]
    results = _measure(Plan(contenders, chosen.quick), scenarios or list(_SCENARIOS))
    took = time.monotonic() - started
    how = (
        f"{'A quick' if chosen.quick else 'The full'} run of {took:.0f} s, by "
        f"`python -m benchmarks.compare`. Load of the machine before it: {load:.1f}."
    )
    _write(chosen.out, chosen.page, contenders, results, how)
    _say(f"{took:.0f} s; see {chosen.out}")


def _measure(plan: Plan, scenarios: c.Sequence[str]) -> Results:
    results: Results = {}
    for name in scenarios:
        started = time.monotonic()
        results |= _SCENARIOS[name](plan)
        _say(f"{name}: {time.monotonic() - started:.0f} s")
    return results


def _write(
    out: pathlib.Path,
    page: pathlib.Path | None,
    contenders: c.Mapping[str, Contender],
    results: Results,
    how: str,
) -> None:
    described = machine.described()
    tables = report.fragment(contenders, results, described, how)
    out.mkdir(parents=True, exist_ok=True)
    (out / "measured.md").write_text(tables)
    picture = chart.svg(contenders, results, machine.in_short())
    (out / "measured.svg").write_text(picture)
    raw = {
        "machine": described,
        "how": how,
        "results": {
            what: {name: dataclasses.asdict(figure) for name, figure in row.items()}
            for what, row in results.items()
        },
    }
    (out / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    if page is not None:
        text = page.read_text()
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        page.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}")
        (page.parent / "images" / "measured.svg").write_text(picture)


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")


if __name__ == "__main__":
    main()
