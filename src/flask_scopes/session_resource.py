"""What a factory decorated with ``@scopes.session`` is: a resource that can also be
cleared and set.
"""

from __future__ import annotations

import collections.abc as c
import functools
import inspect
import typing as t

from . import session_messages
from .building import Build
from .lookup import visitor
from .places import innermost
from .places import name_of
from .resource import Resource
from .resource import bind
from .resource import check_factory
from .scope import Scope

if t.TYPE_CHECKING:
    from .session_objects import SessionRecipe

P = t.ParamSpec("P")
T = t.TypeVar("T")


class SessionResource(Resource[P, T], t.Protocol[P, T]):
    """A decorated factory whose objects live with a visitor."""

    def clear(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Forget this visitor's object, also where it is kept, once the request has
        succeeded. A call that follows makes a new one.

        :raises OutsideScopeError: there is no request.
        :raises ClosedError: its work is already finished.
        """
        ...

    def set(self, value: T, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Let *value* be this visitor's object from now on: for what cannot be changed,
        such as numbers and text.

        :raises SessionValueError: it cannot be kept.
        :raises OutsideScopeError: there is no request.
        :raises ClosedError: its work is already finished.
        """
        ...


class SessionDecorator(t.Protocol):
    """What ``@scopes.session(...)`` decorates a factory with."""

    def __call__(self, factory: c.Callable[P, T], /) -> SessionResource[P, T]: ...


def session_resource(
    factory: c.Callable[P, t.Any],
    owner: object,
    name: str,
    known: c.MutableMapping[str, SessionRecipe],
) -> SessionResource[P, t.Any]:
    """Make the resource that calls *factory* once for each visitor.

    :param name: what sessions have its objects under; the factory's, if empty.
    :param known: those of the same owner, by that name. It is added to them.
    :raises SetupError: the factory makes nothing that a session can keep, or does not
        say what; or the name is taken.
    """
    # Not above: it needs msgspec.
    from .session_objects import SessionRecipe

    check_factory(Scope.SESSION, factory)
    kind = functools.partial(_kind_of, factory)
    recipe = SessionRecipe(factory, owner, name or name_of(factory), kind)
    if recipe.yields:
        raise session_messages.yields(recipe)
    try:
        if kind() is inspect.Signature.empty:
            raise session_messages.not_annotated(recipe)
    except NameError:
        # It is defined further down, or imported for type checkers only.
        pass
    else:
        recipe.prepare()
    earlier = known.setdefault(recipe.label, recipe)
    if earlier is not recipe:
        raise session_messages.name_taken(recipe, earlier)
    made = bind(recipe)
    attributes = vars(made.__func__)
    attributes["clear"] = functools.partial(_clear, recipe)
    attributes["set"] = functools.partial(_set, recipe)
    return t.cast("SessionResource[P, t.Any]", made)


def _kind_of(factory: c.Callable[..., object]) -> object:
    """What *factory* is annotated to return.

    :raises NameError: the annotation names something that is not there (yet).
    """
    target = innermost(factory)
    if isinstance(target, type):
        return target
    hints = t.get_type_hints(target, include_extras=True)
    return hints.get("return", inspect.Signature.empty)


def _clear(recipe: SessionRecipe, /, *args: t.Any, **kwargs: t.Any) -> None:
    from . import session_objects

    key = recipe.key(args, kwargs)
    unit, session = visitor(recipe)
    session_objects.drop(unit, session, recipe, key)


def _set(
    recipe: SessionRecipe, value: object, /, *args: t.Any, **kwargs: t.Any
) -> None:
    from . import session_objects

    key = recipe.key(args, kwargs)
    recipe.text(value)
    unit, session = visitor(recipe)
    session_objects.drop(unit, session, recipe, key)
    build = Build(recipe, key, None)
    build.end()
    session_objects.put(unit, session, build, value)
