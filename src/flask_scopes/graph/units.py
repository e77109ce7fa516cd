"""Whether code that is read runs in a unit of its own, or not at all: then nothing is
certain about what it uses.
"""

from __future__ import annotations

import ast
import types
import typing as t

from . import source
from .names import Names
from .names import Nested

OPEN: t.Final = {"unit", "app_context", "test_request_context", "request_context"}
"""Calls that open a unit of work, in a ``with``."""

_ENTER: t.Final = {"enter_async_context", "enter_context", "push", "__enter__"}
"""Calls that may, without one."""

_ASK: t.Final = {"has_app_context", "has_request_context"}


def last_name(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def is_opened_by(node: ast.expr, names: Names) -> bool:
    """Whether a ``with`` that enters *node* may open a unit of work."""
    if isinstance(node, ast.Name) and names.is_local(node.id):
        bound = names.binding(node.id)
        node = bound if isinstance(bound, ast.expr) else node
    if not isinstance(node, ast.Call):
        return False
    if last_name(node.func) in OPEN:
        return True
    callee = names.resolve(node.func)
    if isinstance(callee, Nested):
        return _calls(callee.node, OPEN)
    if isinstance(callee, type):
        callee = getattr(callee, "__enter__", None)
    # What `contextmanager` has made says what it was made of.
    found = getattr(callee, "__wrapped__", callee)
    if type(found) is not types.FunctionType:
        return False
    read = source.function_node(found.__code__)
    return read is not None and _calls(read, OPEN)


def may_enter(node: ast.AST) -> bool:
    """Whether *node* may open a unit of work without a ``with``."""
    return _calls(node, _ENTER)


def asks_where_it_runs(test: ast.expr) -> bool:
    """Whether *test* decides by the context: what follows may be for another."""
    return _calls(test, _ASK)


def is_for_types(test: ast.expr) -> bool:
    """Whether what follows *test* is never run."""
    return last_name(test) == "TYPE_CHECKING"


def _calls(node: ast.AST, wanted: set[str]) -> bool:
    return any(
        isinstance(each, ast.Call) and last_name(each.func) in wanted
        for each in ast.walk(node)
    )
