"""Which resources a factory uses, read from its source: nothing is called for it.

A factory takes no parameters for what it needs, so no signature lists that. What is
*certain* is a call that stands in the factory's own code, on whichever path, or in a
plain function that it calls. All else may happen or not: a call in a lambda, which
somebody may call later; a resource that is handed on without a call.
"""

from __future__ import annotations

import ast
import collections.abc as c
import inspect
import types
import typing as t

from ..places import is_ours
from ..recipe import Recipe
from ..scope import Scope
from . import names
from . import source
from . import units
from .names import UNKNOWN
from .names import Names
from .names import Nested
from .units import last_name
from .uses import Reading
from .uses import Use
from .uses import called_by
from .uses import function_of
from .uses import mentioned
from .uses import parts_of

_HOPS: t.Final = 3
"""How many functions one after the other are followed."""


def read(recipe: Recipe) -> Reading:
    """What the factory of *recipe* uses."""
    reading = Reading()
    found = function_of(recipe.factory)
    if found is None:
        return reading
    function, known = parts_of(found)
    node = source.function_node(function.__code__)
    if node is None:
        for each in mentioned(function, function.__code__):
            reading.add(Use(each, False, recipe.place))
        return reading
    reading.has_source = True
    _Reader(reading, recipe, function, node, known).read()
    return reading


class _Reader(ast.NodeVisitor):
    """Reads one function of a factory, and those that it calls."""

    def __init__(
        self,
        reading: Reading,
        recipe: Recipe,
        function: types.FunctionType,
        node: source.Function,
        known: dict[str, object],
    ) -> None:
        self.reading = reading
        self.recipe = recipe
        self.function = function
        self.node = node
        self.names = Names(function, node, known)
        self.later = units.may_enter(node)
        """Whether what is read now may run later, or never; or in a unit of its own."""
        self.apart = False
        self.entered = False
        """Whether it is what a ``with`` enters, or ``yield from`` goes through."""
        self.via: tuple[str, ...] = ()
        self.following: list[object] = [function, node]

    def read(self) -> None:
        self._visit_all(_body(self.node))

    def _visit_all(self, nodes: c.Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def _place(self, node: ast.expr) -> str:
        return source.place(self.function.__code__.co_filename, node.lineno)

    # ---- what uses a resource

    def visit_Call(self, node: ast.Call) -> None:
        entered, self.entered = self.entered, False
        callee = self.names.resolve(node.func)
        recipe = names.recipe_in(callee)
        self._note_call(node)
        if recipe is not None:
            self._use(recipe, node, held=False)
        elif type(callee) is Nested:
            self._follow_nested(callee, entered)
        elif callee is not UNKNOWN:
            self._follow(callee, entered)
        else:
            self._note_lost(node)
            self.visit(node.func)
        self._visit_all([*node.args, *node.keywords])

    def visit_Name(self, node: ast.Name | ast.Attribute) -> None:
        recipe = names.recipe_in(self.names.resolve(node))
        if recipe is not None and isinstance(node.ctx, ast.Load):
            self._use(recipe, node, held=True)
        else:
            self.generic_visit(node)

    visit_Attribute = visit_Name

    def _use(self, recipe: Recipe, node: ast.expr, *, held: bool) -> None:
        if recipe is self.recipe and (held or recipe.signature is not None):
            # With other arguments it is another object; with the same it is refused.
            return
        # What lives as long as the application is the same in every unit.
        apart = self.apart and recipe.scope is not Scope.APPLICATION
        certain = not (held or apart or self.later)
        self.reading.add(Use(recipe, certain, self._place(node), self.via, held, apart))

    def _note_call(self, node: ast.Call) -> None:
        name = last_name(node.func)
        if name:
            self.reading.called.setdefault(name, self._place(node))

    def _note_lost(self, node: ast.Call) -> None:
        """What is called here may be a resource, and there is no telling which."""
        what = ""
        match node.func:
            case ast.Call(func=ast.Name(id="getattr" | "import_module" as name)):
                what = name
            case ast.Attribute(value=ast.Call(func=func)):
                what = {"import_module": "import_module"}.get(last_name(func), "")
            case ast.Name(id=name) if self.names.is_local(name):
                bound = self.names.binding(name)
                made = isinstance(bound, ast.Call) and last_name(bound.func)
                what = "" if made and made != "getattr" else name
            case _:
                pass
        if what and not is_ours(self.function.__code__.co_filename):
            self.reading.lost.setdefault(self._place(node), what)

    # ---- functions that are called

    def _follow(self, callee: object, entered: bool) -> None:
        found = called_by(callee)
        if found is None:
            return
        function, known = parts_of(found)
        node = source.function_node(function.__code__)
        if node is None or self._is_too_far(function):
            return
        generates = inspect.isgeneratorfunction(function)
        runs = not inspect.iscoroutinefunction(function) and (entered or not generates)
        other = _Reader(self.reading, self.recipe, function, node, known)
        other.later |= self.later or not runs
        other.apart = self.apart
        other.via = (*self.via, function.__code__.co_name)
        other.following = [*self.following, function]
        returns, self.reading.returns = self.reading.returns, []
        other.read()
        self.reading.returns = returns

    def _is_too_far(self, function: types.FunctionType) -> bool:
        return (
            len(self.via) >= _HOPS
            or function in self.following
            or source.is_library(function.__code__.co_filename)
        )

    def _follow_nested(self, callee: Nested, entered: bool) -> None:
        node = callee.node
        if node in self.following:
            return
        plain = isinstance(node, ast.FunctionDef) and not node.decorator_list
        self.following.append(node)
        self._inside(node, not (plain and (entered or not _yields(node))))
        self.following.pop()

    def _inside(self, node: source.Function, later: bool) -> None:
        """Read the body of *node*, which stands in this function."""
        before, self.later = self.later, self.later or later
        returns, self.reading.returns = self.reading.returns, []
        self.names.enter(node)
        self._visit_all(_body(node))
        self.names.leave()
        self.later, self.reading.returns = before, returns

    # ---- what has names, or a time, of its own

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all([*node.decorator_list, *_defaults(node)])
        self._inside(node, later=True)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_all(_defaults(node))
        self._inside(node, later=True)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehend(node, later=True)

    def visit_ListComp(self, node: source.Comprehension) -> None:
        self._comprehend(node, later=False)

    visit_SetComp = visit_DictComp = visit_ListComp

    def _comprehend(
        self, node: source.Comprehension | ast.GeneratorExp, *, later: bool
    ) -> None:
        # What it goes through first is asked for at once, and outside of it.
        first, *others = node.generators
        self.visit(first.iter)
        before, self.later = self.later, self.later or later
        self.names.enter(node)
        self._visit_all(first.ifs)
        self._visit_all(others)
        results = (
            [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        )
        self._visit_all(results)
        self.names.leave()
        self.later = before

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        before = self.apart
        for item in node.items:
            self._enter(item.context_expr)
            self.apart |= units.is_opened_by(item.context_expr, self.names)
        self._visit_all(node.body)
        self.apart = before

    visit_AsyncWith = visit_With

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self._enter(node.value)

    def visit_For(self, node: ast.For) -> None:
        self._enter(node.iter)
        self._visit_all([*node.body, *node.orelse])

    def _enter(self, node: ast.expr) -> None:
        self.entered = isinstance(node, ast.Call)
        self.visit(node)
        self.entered = False

    def visit_If(self, node: ast.If | ast.IfExp) -> None:
        if units.is_for_types(node.test):
            return
        before = self.later
        self.visit(node.test)
        self.later |= units.asks_where_it_runs(node.test)
        for branch in (node.body, node.orelse):
            self._visit_all(branch if isinstance(branch, list) else [branch])
        self.later = before

    visit_IfExp = visit_If

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        # Types are not used.
        self._visit_all([node.value])

    def visit_Return(self, node: ast.Return) -> None:
        self._visit_all([node.value])
        self.reading.returns.append(node.value is None or self._is_anothers(node.value))

    def _is_anothers(self, node: ast.expr) -> bool:
        """Whether *node* is nothing that this function has made: the object of another
        resource, a part of one, or something that is there without it.
        """
        match node:
            case ast.Call(func=func):
                return names.is_resource(self.names.resolve(func))
            case ast.Attribute(value=value) | ast.Subscript(value=value):
                return self._is_anothers(value)
            case ast.Name(id=name):
                if not self.names.is_local(name):
                    return True
                bound = self.names.binding(name)
                return isinstance(bound, ast.expr) and self._is_anothers(bound)
            case ast.IfExp(body=body, orelse=orelse):
                return self._is_anothers(body) and self._is_anothers(orelse)
            case ast.BoolOp(values=values):
                return all(map(self._is_anothers, values))
            case _:
                return isinstance(node, ast.Constant)


def _body(node: source.Function) -> list[ast.AST]:
    return [node.body] if isinstance(node, ast.Lambda) else [*node.body]


def _defaults(node: source.Function) -> list[ast.expr | None]:
    return [*node.args.defaults, *node.args.kw_defaults]


def _yields(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    todo: list[ast.AST] = [*node.body]
    while todo:
        each = todo.pop()
        if isinstance(each, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(each, source.FUNCTIONS):
            todo += ast.iter_child_nodes(each)
    return False
