"""What names in the source of a function mean, as far as that is known without running
any of it.
"""

from __future__ import annotations

import ast
import builtins
import collections.abc as c
import contextlib
import dataclasses
import inspect
import sys
import types
import typing as t

from ..recipe import Recipe
from .source import FUNCTIONS
from .source import Comprehension
from .source import Function

UNKNOWN: t.Final = object()
"""What cannot be known without running code."""

_DEEPEST: t.Final = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Nested:
    """A function that stands in the one that is read: there is no object of it."""

    node: ast.FunctionDef | ast.AsyncFunctionDef


@dataclasses.dataclass(frozen=True, slots=True)
class Imported:
    """What an ``import`` in a function binds. It is looked for among what is imported
    already: nothing is imported for a reader.
    """

    module: str
    name: str = ""

    def value(self) -> object:
        module = sys.modules.get(self.module)
        if module is None or not self.name:
            return UNKNOWN if module is None else module
        found = vars(module).get(self.name, UNKNOWN)
        submodule = sys.modules.get(f"{self.module}.{self.name}", UNKNOWN)
        return submodule if found is UNKNOWN else found


Binding: t.TypeAlias = "ast.expr | Imported | Nested | None"
"""What a name is bound to; None if that is decided while the code runs."""

Bindings: t.TypeAlias = dict[str, list[Binding]]


class Names:
    """The names that code in *function* sees; the innermost block of names last.

    :param known: what parameters are, where that is known: ``self`` of a method.
    """

    def __init__(
        self, function: types.FunctionType, node: Function, known: dict[str, object]
    ) -> None:
        self.function = function
        self.known = known
        self.blocks: list[Bindings] = [_bindings(node, function.__globals__)]

    def enter(self, node: Function | Comprehension | ast.GeneratorExp) -> None:
        self.blocks.append(_bindings(node, self.function.__globals__))

    def leave(self) -> None:
        self.blocks.pop()

    def is_local(self, name: str) -> bool:
        return any(name in block for block in self.blocks)

    def binding(self, name: str) -> Binding:
        """The one thing that local *name* is ever bound to, if there is one."""
        for block in reversed(self.blocks):
            if name in block:
                return block[name][0] if len(block[name]) == 1 else None
        return None

    def resolve(self, node: ast.expr, depth: int = 0) -> object:
        """What *node* is, or :data:`UNKNOWN`. No code of anybody runs for it."""
        if depth > _DEEPEST:
            return UNKNOWN
        match node:
            case ast.Name(id=name):
                return self._named(name, depth)
            case ast.Attribute(value=value, attr=name):
                return attribute(self.resolve(value, depth + 1), name)
            case ast.Call(
                func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(name))]
            ):
                return attribute(self.resolve(value, depth + 1), name)
            case ast.Subscript(value=value, slice=ast.Constant(value=key)):
                return _item(self.resolve(value, depth + 1), key)
            case _:
                return UNKNOWN

    def _named(self, name: str, depth: int) -> object:
        if self.is_local(name):
            if name in self.known and name in self.blocks[0]:
                return self.known[name]
            found = self.binding(name)
            if isinstance(found, Imported):
                return found.value()
            if isinstance(found, ast.expr):
                return self.resolve(found, depth + 1)
            return UNKNOWN if found is None else found
        function = self.function
        if name in function.__code__.co_freevars:
            return cells_of(function).get(name, UNKNOWN)
        everywhere = function.__globals__.get(name, UNKNOWN)
        return getattr(builtins, name, UNKNOWN) if everywhere is UNKNOWN else everywhere


def cells_of(function: types.FunctionType) -> dict[str, object]:
    """What *function* sees of the functions that it stands in."""
    found: dict[str, object] = {}
    cells = function.__closure__ or ()
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        # (Empty: not assigned yet.)
        with contextlib.suppress(ValueError):
            found[name] = cell.cell_contents
    return found


def attribute(owner: object, name: str) -> object:
    """The attribute *name* of *owner*, if that is plain data or a plain method:
    neither properties nor ``__getattr__`` are asked.
    """
    # By its type: the class that a proxy claims to have depends on the context.
    kind = type(owner)
    if owner is UNKNOWN or type(owner) is Nested or is_resource(owner):
        return UNKNOWN
    if issubclass(kind, types.ModuleType):
        return t.cast("types.ModuleType", owner).__dict__.get(name, UNKNOWN)
    try:
        found: object = inspect.getattr_static(owner, name, UNKNOWN)
        own: object = (
            {} if issubclass(kind, type) else object.__getattribute__(owner, "__dict__")
        )
    except Exception:
        own, found = {}, inspect.getattr_static(kind, name, UNKNOWN)
    if type(found) is types.MemberDescriptorType:
        return found.__get__(owner, kind) if _has_slot(found, owner) else UNKNOWN
    if type(found) is staticmethod:
        return t.cast("staticmethod[..., object]", found).__func__
    is_method = type(found) is types.FunctionType and not issubclass(kind, type)
    if is_method and not (type(own) is dict and name in own):
        return types.MethodType(t.cast("types.FunctionType", found), owner)
    return found


def _has_slot(slot: types.MemberDescriptorType, owner: object) -> bool:
    try:
        slot.__get__(owner, type(owner))
    except (AttributeError, TypeError):
        return False
    return True


def _item(owner: object, key: object) -> object:
    if type(owner) not in (dict, list, tuple):
        return UNKNOWN
    try:
        return t.cast("t.Any", owner)[key]
    except (LookupError, TypeError):
        return UNKNOWN


def is_resource(value: object) -> bool:
    return recipe_in(value) is not None


def recipe_in(value: object) -> Recipe | None:
    """What *value* is the call of, if it is a resource."""
    if type(value) is not types.MethodType:
        return None
    owner: t.Any = value.__self__
    # (By the type, again.)
    return t.cast("Recipe", owner) if issubclass(type(owner), Recipe) else None


def _bindings(
    node: Function | Comprehension | ast.GeneratorExp, module: dict[str, t.Any]
) -> Bindings:
    """What each name that *node* binds is bound to, in its own code."""
    binder = _Binder(module)
    if isinstance(node, FUNCTIONS):
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for each in [*every, arguments.vararg, arguments.kwarg]:
            if each is not None:
                binder.bind(each.arg, None)
        body = node.body if isinstance(node.body, list) else [node.body]
        for statement in body:
            binder.visit(statement)
    else:
        for generator in node.generators:
            binder.visit(generator.target)
    for name in binder.elsewhere:
        binder.found.pop(name, None)
    return binder.found


class _Binder(ast.NodeVisitor):
    """Finds what one function binds; not what those in it do."""

    def __init__(self, module: dict[str, t.Any]) -> None:
        self.module = module
        self.found: Bindings = {}
        self.elsewhere: set[str] = set()

    def bind(self, name: str, to: Binding) -> None:
        self.found.setdefault(name, []).append(to)

    def _bind_all(self, targets: c.Iterable[ast.expr], value: ast.expr | None) -> None:
        for target in targets:
            if isinstance(target, ast.Name):
                self.bind(target.id, value)
            else:
                self.visit(target)
        if value is not None:
            self.visit(value)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._bind_all(node.targets, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._bind_all([node.target] if node.value else [], node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._bind_all([node.target], node.value)

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.bind(node.id, None)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self.bind(node.name, None)
        self.generic_visit(node)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        if node.name:
            self.bind(node.name, None)
        self.generic_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self.bind(node.name, None)

    def visit_Global(self, node: ast.Global | ast.Nonlocal) -> None:
        self.elsewhere.update(node.names)

    visit_Nonlocal = visit_Global

    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            top = each.name.partition(".")[0]
            self.bind(each.asname or top, Imported(each.name if each.asname else top))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        package = str(self.module.get("__package__") or "").split(".")
        parents = package[: len(package) + 1 - node.level] if node.level else []
        module = ".".join([*parents, *([node.module] if node.module else [])])
        for each in node.names:
            self.bind(each.asname or each.name, Imported(module, each.name))

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.bind(node.name, Nested(node))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.bind(node.name, None)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Binds nothing here."""

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        """Nor does this; but for ``:=``, which is rare there."""

    def visit_ListComp(self, node: Comprehension) -> None:
        """The same."""

    visit_SetComp = visit_DictComp = visit_ListComp
