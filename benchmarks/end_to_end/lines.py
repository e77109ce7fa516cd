"""How many lines of code the same views take, with Flask-Scopes and by hand.

    python -m benchmarks.end_to_end.lines

Imports, docstrings, comments and blank lines are not counted, and neither is what only
the journal has: registering, letters with links, devices, tokens, pictures, and people
to begin with.
"""

from __future__ import annotations

import ast
import collections.abc as c
import io
import sys
import tokenize
import typing as t
from pathlib import Path

from .served import ROOT

Parts: t.TypeAlias = dict[str, str]
"""By module, the names of what is counted, or ``*`` for all; ``-name`` is left out."""

_JOURNAL: t.Final = ROOT / "examples" / "journal"
_BY_HAND: t.Final = Path(__file__).parent / "by_hand"

ROWS: t.Final[dict[str, tuple[Parts, Parts]]] = {
    "the app, its error pages, what its pages call": (
        {
            "__init__": "csrf create_app check_csrf be_careful error_page not_kept",
            "resources": "house page",
            "models": "House",
        },
        {"__init__": "*"},
    ),
    "client, databases, indexes": (
        {
            "resources": "scopes mongo QUARTER accounts events owner journal",
            "seed": "ready",
        },
        {"database": "*", "entries": "journal"},
    ),
    "transactions, attempts, after the commit": ({}, {"transactions": "*"}),
    "sessions on the server": (
        {"resources": "store sessions looked_for"},
        {"sessions": "*"},
    ),
    "signing in and out, who it is, the trail": (
        {
            "resources": "people records login current_user audit",
            "auth": "bp NO_MATCH sign_in sign_out sign_in_page after_sign_in "
            "sign_in_first",
            "models": "Audit",
        },
        {"auth": "*"},
    ),
    "writing and reading": (
        {
            "resources": "entries",
            "entries": "bp index read write edit delete form",
            "models": "Entries -Entries.illustrate -Entries.discard",
        },
        {"entries": "* -journal"},
    ),
    "people, drafts, entries, mail: alike": (
        {"models": "Document MOODS PER_PAGE User Draft Entry", "mail": "*"},
        {"models": "*", "mail": "*"},
    ),
}


def table() -> list[tuple[str, int, int]]:
    rows = [
        (title, _lines(_JOURNAL, ours), _lines(_BY_HAND, by_hand))
        for title, (ours, by_hand) in ROWS.items()
    ]
    return [*rows, ("all", sum(row[1] for row in rows), sum(row[2] for row in rows))]


def _lines(folder: Path, parts: Parts) -> int:
    return sum(
        _lines_of((folder / f"{module}.py").read_text("utf-8"), set(names.split()))
        for module, names in parts.items()
    )


def _lines_of(source: str, wanted: set[str]) -> int:
    code = _code_lines(source)
    counted: set[int] = set()
    found: set[str] = set()
    for name, first, last in _statements(ast.parse(source)):
        found.add(name)
        if f"-{name}" in wanted:
            counted -= set(range(first, last + 1))
        elif name in wanted or ("*" in wanted and "." not in name):
            counted |= code & set(range(first, last + 1))
    missing = {each.lstrip("-") for each in wanted - {"*"}} - found
    assert not missing, f"There is no {missing} any more."
    return len(counted)


def _statements(tree: ast.Module) -> c.Iterator[tuple[str, int, int]]:
    """Name, first and last line of each; those in a class after that."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        yield _name(node), _first(node), node.end_lineno or 0
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                yield f"{node.name}.{_name(each)}", _first(each), each.end_lineno or 0


def _name(node: ast.AST) -> str:
    """Of what is defined, or of whom something is set, or called."""
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            return node.name
        case ast.Assign():
            return _name(node.targets[0])
        case ast.AnnAssign():
            return _name(node.target)
        case ast.Tuple():
            return _name(node.elts[0])
        case ast.Expr() | ast.Attribute():
            return _name(node.value)
        case ast.Call():
            return _name(node.func)
        case ast.Name():
            return node.id
    return ""


def _first(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def _code_lines(source: str) -> set[int]:
    """The numbers of the lines that have code on them."""
    lines: set[int] = set()
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            begins = True
        elif token.type not in (tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER):
            # A text where a statement begins is a docstring.
            if not (begins and token.type == tokenize.STRING):
                lines.update(range(token.start[0], token.end[0] + 1))
            begins = False
    return lines


def main() -> None:
    for title, ours, by_hand in table():
        sys.stdout.write(f"{title:<48}{ours:>5}{by_hand:>5}\n")


if __name__ == "__main__":
    main()
