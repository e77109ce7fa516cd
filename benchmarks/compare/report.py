"""The tables, in Markdown."""

from __future__ import annotations

import collections.abc as c
import dataclasses

from .contenders import Contender
from .scenarios import Results
from .targets import OURS
from .targets import TARGETS
from .timing import Figure

_Cell = c.Callable[[Figure], str]


def _plain(digits: int) -> _Cell:
    def cell(figure: Figure) -> str:
        return f"{figure.median:.{digits}f}"

    return cell


def _spread(digits: int) -> _Cell:
    def cell(figure: Figure) -> str:
        low, high = f"{figure.low:.{digits}f}", f"{figure.high:.{digits}f}"
        return f"{figure.median:.{digits}f} [{low} to {high}]"

    return cell


@dataclasses.dataclass(frozen=True)
class Table:
    """Contenders are rows; *columns* are figures, each with its heading."""

    title: str
    note: str
    columns: c.Sequence[tuple[str, str, _Cell]]


TABLES = [
    Table(
        "Warm reads",
        "Code in a view asks for what is already there, and reads an attribute of it.",
        [
            ("application, ns", "warm application read, ns", _plain(0)),
            (
                "times `functools.cache`",
                "warm application read, times functools.cache",
                _spread(1),
            ),
            ("request, ns", "warm request read, ns", _plain(0)),
            (
                "times `functools.cache`",
                "warm request read, times functools.cache",
                _spread(1),
            ),
        ],
    ),
    Table(
        "Sixteen threads read one application object",
        "Wall time of one read, and what it is beside one thread that reads as often.",
        [
            (
                "16 threads, ns",
                "warm application read, 16 threads, ns",
                _plain(0),
            ),
            (
                "times one thread",
                "warm application read, 16 threads, times one",
                _spread(2),
            ),
            (
                "locks, application",
                "locks taken by a warm application read",
                _plain(0),
            ),
            ("locks, request", "locks taken by a warm request read", _plain(0)),
        ],
    ),
    Table(
        "Whole requests",
        "An empty view with the extension installed; the first object with a teardown, "
        "beyond the own empty view; and a view with a graph of four objects whose "
        "helpers ask three times more.",
        [
            (
                "empty, times plain Flask",
                "empty request, times plain Flask",
                _spread(2),
            ),
            ("us beyond", "empty request beyond plain Flask, us", _plain(1)),
            ("first object, us", "first object with teardown, us", _plain(1)),
            (
                "times `g`",
                "first object with teardown, times g by hand",
                _plain(2),
            ),
            ("graph, us", "request with the graph, us", _plain(0)),
            (
                "graph, throughput times `g`",
                "request with the graph, throughput times g by hand",
                _spread(2),
            ),
            (
                "left to the collector",
                "left to the cyclic collector, objects a request",
                _plain(0),
            ),
        ],
    ),
    Table(
        "Growth",
        "What one more costs each request: one that is registered and not used (from "
        "10 to 1000), and one that is used (from 1 to 50).",
        [
            (
                "registered, with teardown, ns",
                "one more registered with teardown, ns",
                _plain(0),
            ),
            (
                "registered, without, ns",
                "one more registered without, ns",
                _plain(0),
            ),
            (
                "used, with teardown, us",
                "one more used with teardown, us",
                _plain(2),
            ),
            (
                "times plain functions",
                "one more used with teardown, times plain functions",
                _spread(1),
            ),
            ("used, without, us", "one more used without, us", _plain(2)),
        ],
    ),
    Table(
        "Import and memory",
        "Fresh processes: CPU time beyond `import flask`, the best of all rounds; and "
        "bytes for one more that is registered, without its class, factory and name.",
        [
            ("import, ms", "import beyond Flask, ms", _plain(1)),
            (
                "times `import flask`",
                "import beyond Flask, times import flask",
                _plain(2),
            ),
            ("modules", "modules beyond Flask", _plain(0)),
            ("bytes", "memory of one more registered, bytes", _plain(0)),
        ],
    ),
]


def fragment(
    contenders: c.Mapping[str, Contender],
    results: Results,
    machine: c.Mapping[str, str],
    how: str,
) -> str:
    """All tables, between what is written by hand."""
    parts = [how, _machine(machine), "### Who takes part"]
    who = [[each.name, each.setup] for each in contenders.values()]
    parts.append(lines(["", "how"], who, ":--"))
    parts += ["### Targets", _targets(results)]
    for table in TABLES:
        if any(figure in results for _, figure, _ in table.columns):
            parts += [
                f"### {table.title}",
                table.note,
                _table(table, contenders, results),
            ]
    base = " ".join(
        f"{what}: {row['plain Flask'].median:.0f}."
        for what, row in results.items()
        if "plain Flask" in row
    )
    return "\n\n".join([*parts, base]) + "\n"


def lines(
    headings: c.Sequence[str], rows: c.Iterable[c.Sequence[str]], align: str = "--:"
) -> str:
    """A table. Its first column is on the left."""
    marks = [":--", *(align for _ in headings[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, marks, *rows])


def _machine(machine: c.Mapping[str, str]) -> str:
    return lines(["Measured on", ""], [list(each) for each in machine.items()], ":--")


def _targets(results: Results) -> str:
    rows = []
    missed = []
    for target in TARGETS:
        met = target.met(results)
        if met is None:
            continue
        measured = results[target.figure][OURS]
        cell = _spread(2) if measured.low < measured.high else _plain(2)
        verdict = "" if not target.decides else "met" if met else "**missed**"
        if target.decides and not met:
            missed.append(target.says)
        sign = "at least" if target.at_least else "at most"
        rows.append(
            [
                target.says,
                cell(measured),
                f"{sign} {target.bound:g}",
                target.baseline,
                verdict,
            ]
        )
    if not rows:
        return "Nothing was measured that has a target."
    said = "All targets are met."
    if missed:
        said = "Missed: " + "; ".join(missed) + "."
    headings = ["Flask-Scopes", "measured", "target", "baseline", ""]
    return lines(headings, rows) + "\n\n" + said


def _table(
    table: Table, contenders: c.Mapping[str, Contender], results: Results
) -> str:
    rows = []
    columns = [column for column in table.columns if column[1] in results]
    for name, contender in contenders.items():
        cells = []
        for _, figure, cell in columns:
            measured = results.get(figure, {}).get(name)
            cells.append("" if measured is None else cell(measured))
        if any(cells):
            shown = f"**{contender.name}**" if name == OURS else contender.name
            rows.append([shown, *cells])
    return lines(["", *(heading for heading, _, _ in columns)], rows)
