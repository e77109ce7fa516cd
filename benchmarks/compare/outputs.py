"""A run, and the files that it leaves."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import json
import pathlib

from . import chart
from . import report
from .contenders import Contender
from .scenarios import Results
from .timing import Figure

BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"


@dataclasses.dataclass(frozen=True)
class Run:
    """What was measured, on which machine and how."""

    machine: dict[str, str]
    how: str
    results: Results


def keep(run: Run, out: pathlib.Path) -> None:
    """All figures, as JSON."""
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dataclasses.asdict(run), indent=1)
    (out / "results.json").write_text(f"{text}\n")


def kept(out: pathlib.Path) -> Run:
    """A run that was kept."""
    raw = json.loads((out / "results.json").read_text())
    results = {
        what: {name: Figure(**figure) for name, figure in row.items()}
        for what, row in raw["results"].items()
    }
    return Run(raw["machine"], raw["how"], results)


def write(
    run: Run,
    contenders: c.Mapping[str, Contender],
    out: pathlib.Path,
    page: pathlib.Path | None,
) -> None:
    """The tables and the chart; also in *page*, between its marks, if there is one."""
    tables = report.fragment(contenders, run.results, run.machine, run.how)
    flask, _, _ = run.machine["Libraries"].partition(",")
    in_short = f"{run.machine['Python']}; {flask}; {run.machine['Processor']}"
    picture = chart.svg(contenders, run.results, in_short)
    (out / "measured.md").write_text(tables)
    (out / "measured.svg").write_text(picture)
    if page is not None:
        before, _, rest = page.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        page.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}")
        (page.parent / "images" / "measured.svg").write_text(picture)
