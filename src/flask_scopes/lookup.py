"""The cold path: find the store, ask the guards, build, and attach the shortcut.

While a factory runs the shortcut is off its context, so that whatever it asks
for comes through here as well and is noted: an override has to know what was
built from the resource that it replaces.
"""

from __future__ import annotations

import typing as t

from . import contexts
from . import errors
from . import overrides
from .building import Build
from .building import current_build
from .recipe import UNSET
from .recipe import Recipe
from .scope import Scope

if t.TYPE_CHECKING:
    from .application import Application
    from .store import Store

_APPLICATION = Scope.APPLICATION


def find(recipe: Recipe, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]) -> t.Any:
    """The object of *recipe* for these arguments, in the current context.

    :raises OutsideScopeError: no context, or one of an app that does not know it.
    :raises ScopeMismatchError: asked for by a factory whose objects live longer.
    :raises CycleError: asked for by its own factory.
    :raises ClosedError: its store is already torn down.
    """
    context = contexts.app_context.get(None)
    if context is None:
        raise errors.outside(recipe)
    home: Application | None = context.app.extensions.get("scopes")
    if home is None or recipe.owner not in home.members:
        raise errors.unknown_app(recipe, context.app.name)
    asking = current_build.get()
    if asking is not None:
        asking = _asking(asking, recipe, context)
    if recipe.replacements:
        recipe = recipe.replacements[-1]
        if recipe.value is not UNSET:
            if asking is not None:
                asking.uses[recipe] = None
            return recipe.value
    if recipe.scope is _APPLICATION:
        store = home.store()
        found = _get(store, context, recipe, args, kwargs, asking)
        if asking is None:
            context.scopes_application = store.objects
        return found
    unit = getattr(context, "scopes_here", None)
    if unit is None or unit.forks != contexts.forks:
        unit = home.unit(context, recipe)
    found = _get(unit, context, recipe, args, kwargs, asking)
    if asking is None and hasattr(context, "scopes_here"):
        contexts.attach(context, unit)
    return found


def _asking(build: Build, recipe: Recipe, context: contexts.Context) -> Build | None:
    """*build*, if it is still running and may use what *recipe* makes.

    A factory can start a thread with a copy of its context, which goes on when
    the object has long been ready: then nothing is being built there. And it
    may open a context for work with request objects, which ends before it does.
    """
    if not build.running:
        return None
    if build.recipe.scope.outlives(recipe.scope) and hasattr(
        contexts.locate(context)[0], "scopes_alone"
    ):
        path = [step.recipe for step in build.chain()]
        raise errors.mismatch(path[::-1], recipe)
    return build


def _get(
    store: Store,
    context: contexts.Context,
    recipe: Recipe,
    args: tuple[t.Any, ...],
    kwargs: dict[str, t.Any],
    asking: Build | None,
) -> object:
    key = recipe if recipe.signature is None else recipe.key(args, kwargs)
    found = store.objects.get(key, UNSET)
    if found is UNSET:
        contexts.detach(context)
        before = overrides.switches
        found = store.get_or_build(recipe, key, args, kwargs, asking)
        if overrides.switches != before:
            overrides.reconsider(store.records.get(key))
    if asking is not None:
        record = store.records.get(key)
        if record is not None:
            asking.uses[record] = None
    return found
