"""The source of functions, as trees: for what reads code without running it."""

from __future__ import annotations

import ast
import functools
import linecache
import sys
import sysconfig
import types
import typing as t

from ..places import is_ours
from ..places import short_path

Function: t.TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension: t.TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp
# What has names of its own, and runs later than where it stands.
FUNCTIONS: t.Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def function_node(code: types.CodeType) -> Function | None:
    """Where *code* stands in its source; None if there is no source, or it does not
    tell: two lambdas on a line are not told apart.
    """
    tree = module_tree(code.co_filename)
    if tree is None:
        return None
    found = _functions(tree).get((code.co_name, code.co_firstlineno), [])
    return found[0] if len(found) == 1 else None


def module_tree(filename: str) -> ast.Module | None:
    """The source in *filename*, if it is there and is Python."""
    linecache.checkcache(filename)
    return _parsed("".join(linecache.getlines(filename)))


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text) if text else None
    except (SyntaxError, ValueError, RecursionError):
        return None


@functools.lru_cache(maxsize=1024)
def _functions(tree: ast.Module) -> dict[tuple[str, int], list[Function]]:
    found: dict[tuple[str, int], list[Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            found.setdefault(_where(node), []).append(node)
    return found


def _where(node: Function) -> tuple[str, int]:
    """What the code object of *node* has as its name and first line."""
    if isinstance(node, ast.Lambda):
        return "<lambda>", node.lineno
    first = node.decorator_list[0] if node.decorator_list else node
    return node.name, first.lineno


def place(filename: str, line: int) -> str:
    """What editors can open."""
    return f"{short_path(filename)}:{line}"


def by_line(place: str) -> tuple[str, int]:
    """What to sort places by: line 9 comes before line 10."""
    file, _, line = place.rpartition(":")
    return file, int(line) if line.isdigit() else 0


def is_library(filename: str) -> bool:
    """Whether *filename* is Python's, or installed beside it, and not this package."""
    return filename.startswith(("<frozen", *_libraries())) and not is_ours(filename)


@functools.cache
def _libraries() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = {sysconfig.get_path(name) for name in names}
    return tuple(sorted(f"{path}/" for path in paths if path and path != sys.prefix))
