"""Whether code that is read runs in a unit of its own, or not at all: then nothing is
certain about what it uses.
"""

from __future__ import annotations

import ast
import typing as t

from . import source
from .names import Names
from .names import Nested
from .names import attribute
from .uses import called_by
from .uses import parts_of

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
    if type(callee) is Nested:
        return _calls(callee.node, OPEN)
    # By its type: a proxy would ask what it stands for.
    if issubclass(type(callee), type):
        callee = attribute(callee, "__enter__")
    found = called_by(callee)
    if found is None:
        return False
    read = source.function_node(parts_of(found)[0].__code__)
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
