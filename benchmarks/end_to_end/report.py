"""What was measured, as tables."""

from __future__ import annotations

import collections.abc as c
import itertools
import os
import platform
import statistics
import typing as t
from importlib.metadata import version

from .views import VIEWS

if t.TYPE_CHECKING:
    from .load import Block

Blocks: t.TypeAlias = "dict[str, dict[str, list[Block]]]"
"""By view and application, one for each round."""
Counts: t.TypeAlias = dict[str, dict[str, dict[str, float]]]
OURS: t.Final = "ours"
BY_HAND: t.Final = "by_hand"
NAMES: t.Final = {OURS: "Flask-Scopes", BY_HAND: "by hand"}


class Figures(t.NamedTuple):
    """Of one view of one application, over all rounds."""

    rate: float
    rate_low: float
    rate_high: float
    cpu_ms: float
    cpu_low: float
    cpu_high: float
    database_cpu_ms: float
    p50_ms: float
    p99_ms: float
    requests: int


def figures(blocks: c.Sequence[Block]) -> Figures:
    rate = spread([each.rate for each in blocks])
    cpu = spread([each.cpu_each * 1000 for each in blocks])
    database = spread([each.database_cpu_each * 1000 for each in blocks])[0]
    latencies = sorted(itertools.chain(*(each.latencies for each in blocks)))
    parts = statistics.quantiles(latencies, n=100)
    count = len(latencies)
    percentiles = parts[49] * 1000, parts[98] * 1000
    return Figures(*rate, *cpu, database, *percentiles, count)


def spread(values: c.Sequence[float]) -> tuple[float, float, float]:
    """The median, and between which half of them are."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def ratios(
    blocks: dict[str, list[Block]], of: c.Callable[[Block], float]
) -> tuple[float, float, float]:
    """Ours to by hand, within each round."""
    pairs = zip(blocks[OURS], blocks[BY_HAND], strict=True)
    return spread([of(ours) / of(other) for ours, other in pairs])


def as_json(blocks: Blocks, counts: Counts, lines: t.Any, about: t.Any) -> t.Any:
    views = {
        view: {
            **{name: figures(each)._asdict() for name, each in by_app.items()},
            "cpu_ratio": ratios(by_app, lambda block: block.cpu_each),
            "rate_ratio": ratios(by_app, lambda block: block.rate),
            "commands": counts[view],
            "rounds": {
                name: [(each.rate, each.cpu_each) for each in blocks_of]
                for name, blocks_of in by_app.items()
            },
        }
        for view, by_app in blocks.items()
    }
    return {"about": about, "views": views, "lines": lines}


def about(server_version: str, rounds: int) -> dict[str, t.Any]:
    packages = ("flask", "werkzeug", "gunicorn", "pymongo", "flask-login")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "mongod": server_version,
        "cores": os.cpu_count(),
        "rounds": rounds,
    }


def as_markdown(
    blocks: Blocks, counts: Counts, lines: t.Any, about: dict[str, t.Any]
) -> str:
    said = [f"{name} {value}" for name, value in about.items() if name[0] not in "cr"]
    said += [f"{about['cores']} cores", f"{about['rounds']} rounds"]
    parts = [", ".join(said) + ".", times_table(blocks), wall_table(blocks)]
    return "\n\n".join([*parts, commands_table(counts), lines_table(lines)]) + "\n"


def times_table(blocks: Blocks) -> str:
    head = "| | Flask-Scopes, ms | by hand, ms | ratio | half of the rounds | MongoDB |"
    rows = [head, "|---|--:|--:|--:|--:|--:|"]
    for view in VIEWS:
        by_app = blocks[view.key]
        ours, other = (figures(by_app[name]) for name in NAMES)
        ratio, low, high = ratios(by_app, lambda block: block.cpu_each)
        rows.append(
            f"| {view.title} | {ours.cpu_ms:.2f} | {other.cpu_ms:.2f} | {ratio:.2f} "
            f"| {low:.2f} to {high:.2f} "
            f"| {ours.database_cpu_ms:.2f}, {other.database_cpu_ms:.2f} |"
        )
    return "\n".join(rows)


def wall_table(blocks: Blocks) -> str:
    head = "| | | requests/s | half of the rounds | ratio | p50, ms | p99, ms |"
    rows = [head, "|---|---|--:|--:|--:|--:|--:|"]
    for view in VIEWS:
        by_app = blocks[view.key]
        for name, title in NAMES.items():
            of = figures(by_app[name])
            ratio = ratios(by_app, lambda block: block.rate)[0]
            shown = f"{ratio:.2f}" if name == OURS else ""
            rows.append(
                f"| {view.title if name == OURS else ''} | {title} | {of.rate:.0f} "
                f"| {of.rate_low:.0f} to {of.rate_high:.0f} | {shown} "
                f"| {of.p50_ms:.1f} | {of.p99_ms:.1f} |"
            )
    return "\n".join(rows)


def commands_table(counts: Counts) -> str:
    rows = ["| | Flask-Scopes | by hand |", "|---|---|---|"]
    for view in VIEWS:
        cells = [_listed(counts[view.key][name]) for name in NAMES]
        rows.append(f"| {view.title} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _listed(counted: dict[str, float]) -> str:
    return ", ".join(f"{n:g} {name}" for name, n in counted.items()) or "nothing"


def lines_table(lines: list[tuple[str, int, int]]) -> str:
    rows = ["| | Flask-Scopes | by hand |", "|---|--:|--:|"]
    rows += [f"| {name} | {ours} | {by_hand} |" for name, ours, by_hand in lines]
    return "\n".join(rows)
