"""How ``flask scopes`` prints: text first, in columns that do not move. Colour only
underlines what words say already, and only where somebody looks at a terminal.
"""

from __future__ import annotations

import collections.abc as c
import dataclasses
import os
import shutil
import sys
import textwrap
import typing as t

import click

if t.TYPE_CHECKING:
    from ..checks.finding import Finding
    from ..checks.finding import Level
    from ..graph import Graph

_INDENT: t.Final = 12
_LEAST: t.Final = 40
_MOST: t.Final = 100
_COLOURS: t.Final = {"error": "red", "warn": "yellow", "note": "cyan"}
_NOUNS: t.Final[dict[Level, str]] = {
    "error": "error",
    "warn": "warning",
    "note": "note",
}


def paint(text: str, **style: t.Any) -> str:
    """*text* with colour, if there is anybody to see it, who wants it.
    (https://no-color.org)
    """
    wanted = not os.environ.get("NO_COLOR") and sys.stdout.isatty()
    return click.style(text, **style) if wanted else text


def table(head: c.Sequence[str], rows: c.Sequence[c.Sequence[str]]) -> str:
    """Nothing is cut: what goes first, in a narrow window, is what one would click."""
    columns = list(zip(head, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def counted(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else f'{noun}s'}"


def report(finding: Finding) -> str:
    """The lines of one finding, with its place on the right of the first."""
    width = min(max(shutil.get_terminal_size().columns, _LEAST), _MOST) - 1
    room = width - _INDENT - len(finding.place) - 2
    narrow = bool(finding.place) and room < _LEAST
    wide = width - _INDENT if narrow or not finding.place else room
    lines = _wrapped(finding, wide)
    if narrow:
        lines.insert(0, finding.place)
    elif finding.place:
        lines[0] = f"{lines[0]:<{room}}  {finding.place}"
    level = paint(f"{finding.level:<5}", fg=_COLOURS[finding.level], bold=True)
    head = f"{paint(finding.code, bold=True)} {level}  "
    return "\n".join([head + lines[0], *(" " * _INDENT + line for line in lines[1:])])


def _wrapped(finding: Finding, width: int) -> list[str]:
    options: dict[str, t.Any] = {"break_long_words": False, "break_on_hyphens": False}
    lines = textwrap.wrap(finding.message, width, **options)
    has_chain = len(finding.chain) > 2 and finding.code != "S102"
    if len(lines) > 1 and finding.advice and not has_chain:
        # It goes on; after a line of its own there is a new one.
        return textwrap.wrap(f"{finding.message}. {finding.advice}", width, **options)
    if has_chain:
        lines += textwrap.wrap(" → ".join(finding.chain), width, **options)
    return lines + textwrap.wrap(finding.advice, width, **options)


def totals(found: c.Sequence[Finding]) -> str:
    """``1 error, 2 warnings.``"""
    levels = [each.level for each in found]
    counts = [
        counted(levels.count(level), noun)
        for level, noun in _NOUNS.items()
        if level in levels
    ]
    return f"{', '.join(counts)}." if counts else "No findings."


def read(graph: Graph) -> str:
    """How much was read, and what of it could not be."""
    used = sum(not edge.held for edge in graph.edges)
    lost = [f"{place} {what}" for place, what in graph.lost.items()]
    but = f" ({len(lost)} could not be followed: {', '.join(lost)})" if lost else ""
    return (
        f"Read {counted(len(graph.recipes), 'resource')}, {counted(used, 'use')}{but}."
    )


def conclusion(found: c.Sequence[Finding], *, build: bool, ping: bool) -> str:
    more = [
        "" if build else "--build also builds application objects;",
        "" if ping else "--ping also asks their health.",
    ]
    return "   ".join([totals(found), *filter(None, more)]).rstrip(";")


def data(found: c.Iterable[Finding]) -> dict[str, t.Any]:
    """What ``--json`` prints; docs/findings.md has what each part means."""
    return {
        "findings": [
            {**dataclasses.asdict(each), "anchor": each.anchor} for each in found
        ]
    }
