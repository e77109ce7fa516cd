"""What is known of a factory's uses of other resources, and of its code."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import dis
import functools
import types
import typing as t

from ..places import innermost
from ..recipe import Recipe
from . import names
from . import source
from .names import UNKNOWN

Plain: t.TypeAlias = "types.FunctionType | types.MethodType"

# What `functools.cache` makes of a function.
_Cached: t.Final = type(functools.cache(len))


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """That a factory uses, or may use, another resource."""

    recipe: Recipe
    certain: bool
    """Whether the call stands in the factory's own code."""
    place: str
    """The ``file:line`` of the call, or of what else is made of it."""
    via: tuple[str, ...] = ()
    """The functions between the factory and the call."""
    held: bool = False
    """Whether the function is only mentioned, not called: handed on, say."""
    apart: bool = False
    """Whether it is called in a unit of work that the factory opens for it."""

    def strength(self) -> tuple[bool, bool, bool]:
        return self.certain, not self.held, not self.apart


@dataclasses.dataclass(slots=True)
class Reading:
    """What the source of one factory tells."""

    uses: dict[Recipe, Use] = dataclasses.field(default_factory=dict[Recipe, Use])
    """The strongest of each; in the order of the source."""
    lost: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    """What could not be followed, by its ``file:line``."""
    called: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    """The names that are called, or entered, with the ``file:line`` of the first."""
    returns: list[bool] = dataclasses.field(default_factory=list[bool])
    """For each ``return``: whether it hands on what somebody else has made."""
    has_source: bool = False

    @property
    def only_hands_on(self) -> bool:
        return bool(self.returns) and all(self.returns)

    def add(self, use: Use) -> None:
        earlier = self.uses.get(use.recipe)
        if earlier is None or use.strength() > earlier.strength():
            self.uses[use.recipe] = use


def function_of(factory: c.Callable[..., t.Any]) -> Plain | None:
    """The Python function that runs when *factory* is called; None for a class."""
    target = innermost(factory)
    kind = type(target)
    if kind is types.FunctionType or kind is types.MethodType:
        return t.cast("Plain", target)
    call = getattr(kind, "__call__", None)  # noqa: B004  # not whether, but which
    if isinstance(target, type) or type(call) is not types.FunctionType:
        return None
    return types.MethodType(call, target)


def called_by(callee: object) -> Plain | None:
    """The Python function that a call of *callee* runs, if it is one. Nothing of
    anybody's is asked for it.
    """
    kind = type(callee)
    found: t.Any = callee
    if kind is types.MethodType:
        function = called_by(found.__func__)
        return types.MethodType(function, found.__self__) if function else None
    # As `contextmanager` puts it around another. What users put around theirs is read
    # as it is: it calls what it has in its closure.
    if kind is _Cached or (
        kind is types.FunctionType and source.is_library(found.__code__.co_filename)
    ):
        found = innermost(found)
    return t.cast("Plain", found) if type(found) is types.FunctionType else None


def parts_of(plain: Plain) -> tuple[types.FunctionType, dict[str, object]]:
    """The function itself, and what its first parameter is, if it is a method."""
    if isinstance(plain, types.FunctionType):
        return plain, {}
    target: t.Any = plain.__func__
    while not isinstance(target, types.FunctionType):
        # A method of a method.
        target = target.__func__
    named = target.__code__.co_varnames[: target.__code__.co_argcount]
    return target, {named[0]: plain.__self__} if named else {}


def mentioned(function: types.FunctionType, code: types.CodeType) -> c.Iterator[Recipe]:
    """The resources that *code*, of *function* or in it, loads from somewhere. (Without
    a source there is no telling what it does with them.)
    """
    cells = names.cells_of(function)
    value: object = UNKNOWN
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            value = function.__globals__.get(step.argval, UNKNOWN)
        elif step.opname in ("LOAD_DEREF", "LOAD_CLASSDEREF"):
            value = cells.get(step.argval, UNKNOWN)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            value = names.attribute(value, step.argval)
        else:
            continue
        recipe = names.recipe_in(value)
        if recipe is not None:
            yield recipe
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from mentioned(function, each)
