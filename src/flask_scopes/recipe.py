"""What a resource is made by, and the key that its objects are kept under."""

from __future__ import annotations

import collections.abc as c
import importlib
import inspect
import pickle
import sys
import types
import typing as t

from . import messages
from .options import NONE
from .options import Options
from .places import innermost
from .places import name_of
from .places import place_of

if t.TYPE_CHECKING:
    from .scope import Scope

Key: t.TypeAlias = c.Hashable
"""What an object is kept under: the recipe itself if its factory takes nothing,
else ``(recipe, args)``, and behind these any arguments that go by name only."""


class Recipe:
    """How the objects of one resource are made; lives as long as the resource.

    Compared by identity: two resources that share a factory are two.
    """

    __slots__ = (
        "__weakref__",
        "factory",
        "omitted",
        "options",
        "owner",
        "replacements",
        "scope",
        "signature",
        "yields",
    )

    def __init__(
        self,
        scope: Scope,
        factory: c.Callable[..., object],
        owner: object,
        options: Options = NONE,
    ) -> None:
        self.scope = scope
        self.factory = factory
        self.owner = owner
        """The :class:`~flask_scopes.Scopes` whose apps may use it."""
        self.options = options
        self.replacements: tuple[Replacement, ...] = ()
        """The overrides in force, the newest last."""
        self.signature = _signature(factory)
        """None for a factory that takes nothing."""
        self.omitted = _omitted(self.signature)
        """For a call by position, by how many arguments it has: the defaults of those
        that are missing. Other calls take longer.
        """
        self.yields = _yields(innermost(factory))
        """Whether it yields the object, perhaps behind decorators. A plain
        function may return a generator: then that is the object.
        """

    @property
    def name(self) -> str:
        return name_of(self.factory)

    @property
    def place(self) -> str:
        """Where the factory stands: ``file:line``."""
        return place_of(self.factory)

    def key(self, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]) -> Key:
        """The key of a call: the same for every spelling of the same arguments.

        :raises ArgumentsError: they do not fit the factory, or are not hashable.
        """
        signature = self.signature
        if signature is None:
            return self
        try:
            key: Key
            if not kwargs and len(args) in self.omitted:
                key = (self, args + self.omitted[len(args)])
            else:
                bound = _bind(signature, self.factory, args, kwargs)
                bound.apply_defaults()
                key = (self, bound.args, *sorted(bound.kwargs.items()))
            hash(key)
        except TypeError as error:
            raise messages.bad_arguments(self, signature, error) from None
        return key

    def __repr__(self) -> str:
        return f"<{self.scope} resource {self.name} at {self.place}>"

    def __deepcopy__(self, memo: object) -> Recipe:
        # A copy would be another resource, with other objects, under one name.
        return self

    def __reduce__(self) -> tuple[c.Callable[..., object], tuple[str]]:
        # A bound method is pickled as "the attribute of that name of its self",
        # and the factory's module has the resource under that name: so a
        # resource goes to another process by reference, as functions do.
        module = self.factory.__module__
        found = getattr(sys.modules.get(module), self.name, None)
        if getattr(found, "__self__", None) is not self:
            reason = f"{self!r} is not {module}.{self.name}"
            raise pickle.PicklingError(reason)
        return importlib.import_module, (module,)


class Replacement(Recipe):
    """What stands in for a resource while one override is in force."""

    __slots__ = ("aside", "original", "over", "value")

    def __init__(
        self, original: Recipe, factory: c.Callable[..., object], value: object
    ) -> None:
        super().__init__(original.scope, factory, original.owner)
        self.original = original
        self.value = value
        """The object to hand out, or :data:`UNSET`: then *factory* builds one."""
        self.aside: list[t.Any] = []
        """What was built from the original, and comes back; see overrides.py."""
        self.over = False
        """Whether the override has been left."""

    @property
    def name(self) -> str:
        """The resource's; a replacement is mostly a lambda."""
        return self.original.name


UNSET: t.Final = object()
"""Tells "no value" from a value that is None."""


def _signature(factory: c.Callable[..., object]) -> inspect.Signature | None:
    """The signature of *factory*; None if it takes nothing."""
    # Reading it takes some 20 us, and an app may have a thousand factories.
    if isinstance(factory, types.FunctionType) and not hasattr(factory, "__wrapped__"):
        code = factory.__code__
        variable = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
        if not (code.co_argcount or code.co_kwonlyargcount or variable):
            return None
    try:
        signature = inspect.signature(factory, follow_wrapped=_is_open(factory))
    except ValueError:
        # Some built-in types do not tell.
        return None
    return signature if signature.parameters else None


_NOTHING_OMITTED: t.Final[dict[int, tuple[t.Any, ...]]] = {0: ()}
"""Of what takes nothing: one for all."""


def _omitted(signature: inspect.Signature | None) -> dict[int, tuple[t.Any, ...]]:
    if signature is None:
        return _NOTHING_OMITTED
    parameters = list(signature.parameters.values())
    by_position = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    if any(parameter.kind not in by_position for parameter in parameters):
        return {}
    defaults = tuple(parameter.default for parameter in parameters)
    # (By identity: a default may have its own opinion of what it equals.)
    needed = sum(default is inspect.Parameter.empty for default in defaults)
    return {number: defaults[number:] for number in range(needed, len(defaults) + 1)}


def _is_open(factory: c.Callable[..., object]) -> bool:
    """Whether it is a decorator's ``(*args, **kwargs)`` around another function,
    whose signature then tells which arguments mean the same.
    """
    kinds = {
        parameter.kind
        for parameter in inspect.signature(
            factory, follow_wrapped=False
        ).parameters.values()
    }
    return hasattr(factory, "__wrapped__") and kinds == {
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
    }


def _bind(
    signature: inspect.Signature,
    factory: c.Callable[..., object],
    args: tuple[t.Any, ...],
    kwargs: dict[str, t.Any],
) -> inspect.BoundArguments:
    try:
        return signature.bind(*args, **kwargs)
    except TypeError:
        if not hasattr(factory, "__wrapped__"):
            raise
        # A decorator may supply arguments of its own.
        outer = inspect.signature(factory, follow_wrapped=False)
        return outer.bind(*args, **kwargs)


def _yields(target: c.Callable[..., object]) -> bool:
    return inspect.isgeneratorfunction(target) or (
        # An object that can be called; the call of a class is another matter.
        not isinstance(target, type)
        and inspect.isgeneratorfunction(type(target).__call__)
    )
