"""The cold path: find the store, ask the guards, build, and attach the shortcut.

While a factory runs the shortcut is off its context, so that whatever it asks
for comes through here as well and is noted: an override has to know what was
built from the resource that it replaces.
"""

from __future__ import annotations

import os
import typing as t

from . import contexts
from . import hooks
from . import messages
from . import overrides
from . import renewal
from . import session_messages
from . import unit_messages
from .building import Build
from .building import current_build
from .recipe import UNSET
from .recipe import Recipe
from .renewal import Checked
from .scope import Scope
from .store import State

if t.TYPE_CHECKING:
    from flask.sessions import SessionMixin

    from .application import Application
    from .application_store import ApplicationStore
    from .errors import OutsideScopeError
    from .recipe import Key
    from .store import Store
    from .unit import Unit

_current = contexts.app_context.get
# See store.py.
_APPLICATION, _SESSION = Scope.APPLICATION, Scope.SESSION
_SENT, _REQUEST = Scope.SENT, Scope.REQUEST


def find(recipe: Recipe, args: tuple[t.Any, ...], kwargs: dict[str, t.Any]) -> t.Any:
    """The object of *recipe* for these arguments, in the current context.

    :raises OutsideScopeError: no context, or one of an app that does not know it.
    :raises ScopeMismatchError: asked for by a factory whose objects live longer.
    :raises CycleError: asked for by its own factory.
    :raises ClosedError: its store is already torn down.
    """
    context = _current(None)
    if context is None:
        raise _outside(recipe)
    # Before it is seen whether there is an override.
    before = overrides.switches
    unit: Unit | None = getattr(context, "scopes_here", None)
    if (
        unit is None
        or recipe.scope is not _REQUEST
        or recipe.replacements
        or recipe.owner not in unit.members
        or unit.forks != contexts.forks
    ):
        return _find(recipe, args, kwargs, context, before)
    # The usual case: what is asked of a context and an app has been asked already.
    key = recipe if recipe.signature is None else recipe.key(args, kwargs)
    asking = current_build.get()
    if asking is not None:
        if not asking.running or asking.recipe.scope is not _REQUEST:
            return _find(recipe, args, kwargs, context, before)
        return _get(unit, context, recipe, key, args, kwargs, asking, before)
    # (Who began to listen since it was put there has to hear.)
    warm = contexts.NOTHING if unit.events.listeners else context.scopes_application
    found = _get(unit, context, recipe, key, args, kwargs, None, before)
    contexts.show(context, unit, warm)
    return found


def _find(
    recipe: Recipe,
    args: tuple[t.Any, ...],
    kwargs: dict[str, t.Any],
    context: contexts.Context,
    before: int,
) -> t.Any:
    home: Application | None = context.app.extensions.get("scopes")
    if home is None or recipe.owner not in home.members:
        raise messages.unknown_app(recipe, context.app.name)
    asking = current_build.get()
    if asking is not None:
        asking = _asking(asking, recipe, context)
    if recipe.replacements:
        recipe = recipe.replacements[-1]
        if recipe.value is not UNSET:
            if asking is not None:
                asking.uses[recipe] = None
            return recipe.value
    key = recipe if recipe.signature is None else recipe.key(args, kwargs)
    if recipe.scope is _APPLICATION:
        shared = _leased(home, context)
        found = _get(shared, context, recipe, key, args, kwargs, asking, before)
        if asking is None:
            context.scopes_application = shared.shortcut()
        return found.value if type(found) is Checked else found
    unit = _unit_for(recipe, context, home)
    if asking is not None and asking.recipe.scope is not _REQUEST:
        _refuse_shorter(asking, recipe, unit)
    store = unit.until_sent() if recipe.scope is _SENT else unit
    if asking is None and not hasattr(context, "scopes_lease"):
        context.scopes_application = _warm(home, context)
    warm = getattr(context, "scopes_application", contexts.NOTHING)
    if unit.events.listeners:
        warm = contexts.NOTHING
    found = _get(store, context, recipe, key, args, kwargs, asking, before)
    if asking is None:
        contexts.show(context, unit, warm)
    return found


def _outside(recipe: Recipe) -> OutsideScopeError:
    if recipe.scope is _SESSION:
        return session_messages.no_visitor(recipe)
    return messages.outside(recipe)


def _warm(home: Application, context: contexts.Context) -> dict[Key, t.Any]:
    """What calls of application resources may read in *context*, before any."""
    store = home.stores.get(os.getpid())
    if store is None or store.retired:
        # (Or else what is retired would be swept up later than it can be.)
        return contexts.NOTHING
    context.scopes_lease = store.lease
    return store.shortcut()


def _leased(home: Application, context: contexts.Context) -> ApplicationStore:
    shared = home.store()
    if not hasattr(context, "scopes_lease"):
        # Before it is looked for; see renewal.py.
        context.scopes_lease = shared.lease
    if shared.retired:
        renewal.sweep(shared)
    return shared


def _unit_for(recipe: Recipe, context: contexts.Context, home: Application) -> Unit:
    if recipe.scope is _SESSION:
        unit, session = visitor(recipe)
        unit.forget_session(session)
        return unit
    here: t.Any = getattr(context, "scopes_here", None)
    if here is None or here.forks != contexts.forks:
        return _begun(home.unit(context), recipe, context)
    return t.cast("Unit", here)


def visitor(recipe: Recipe) -> tuple[Unit, SessionMixin]:
    """The unit of the request that code runs in, begun now if nothing was used in it
    yet, and its session. (A unit inside of a request has that request's.)

    :raises OutsideScopeError: there is no request.
    :raises SetupError: its app has no sessions, for want of a secret key.
    :raises ClosedError: its work is finished.
    """
    context = contexts.app_context.get(None)
    request = contexts.innermost_request.get(None)
    if context is None or request is None or not contexts.has_request(request):
        raise session_messages.no_visitor(recipe)
    home: Application | None = context.app.extensions.get("scopes")
    if request.app is not context.app:
        raise session_messages.no_visitor(recipe)
    if home is None or recipe.owner not in home.members:
        raise messages.unknown_app(recipe, context.app.name)
    unit = _begun(_unit_of_request(request, context, home), recipe, context)
    if unit.state is State.CLOSED:
        raise messages.closed(recipe, ending=False)
    # As it was asked for: since Flask 3.1.3 that is noted.
    session: SessionMixin = getattr(request, "session")  # noqa: B009  # not in `Context`
    if context.app.session_interface.is_null_session(session):
        raise session_messages.no_secret_key(recipe)
    return unit, session


def _unit_of_request(
    request: contexts.Context, context: contexts.Context, home: Application
) -> Unit | None:
    inner, alone = contexts.locate(context)
    return home.unit_of(request, alone and inner is request, context)


def begin_unit(session: SessionMixin) -> None:
    """Begin the unit of the request whose session this is, if code runs in one and it
    has not begun yet: then what becomes of the session is part of it.
    """
    context = contexts.app_context.get(None)
    request = contexts.innermost_request.get(None)
    if context is None or request is None or request.app is not context.app:
        return
    home: Application | None = context.app.extensions.get("scopes")
    if home is not None and contexts.session_of(request) is session:
        _unit_of_request(request, context, home)


def _begun(unit: Unit | None, recipe: Recipe, context: contexts.Context) -> Unit:
    if unit is None:
        raise messages.closed(recipe, ending=False)
    hooks.watch(context.app)
    return unit


def _asking(build: Build, recipe: Recipe, context: contexts.Context) -> Build | None:
    """*build*, if it is still running and may use what *recipe* makes.

    A factory can start a thread with a copy of its context, which goes on when
    the object has long been ready: then nothing is being built there. And it
    may open a context for work with request objects, which ends before it does.
    """
    if not build.running:
        return None
    if (
        build.recipe.scope is _APPLICATION
        and recipe.scope is not _APPLICATION
        and hasattr(contexts.locate(context)[0], "scopes_alone")
    ):
        raise _mismatch(build, recipe)
    return build


def _refuse_shorter(build: Build, recipe: Recipe, unit: Unit) -> None:
    """Refuse what ends with *unit*, or with its request, to what lives on. (In a unit
    that its factory opens, it may use everything.)
    """
    if build.recipe.scope.outlives(recipe.scope) and any(
        store.claims.get(build.key) is build for store in [*unit.sent, unit]
    ):
        raise _mismatch(build, recipe)


def _mismatch(build: Build, recipe: Recipe) -> Exception:
    path = [step.recipe for step in build.chain()]
    return messages.mismatch(path[::-1], recipe)


def current_unit(what: str, scopes: object) -> Unit:
    """The unit in progress, begun now if nothing was used in it yet.

    :param what: the call that is about it, for the message.
    :raises OutsideScopeError: there is none.
    :raises ClosedError: it is finished. (While it is being finished, it is there.)
    """
    context = contexts.app_context.get(None)
    if context is None or hasattr(contexts.locate(context)[0], "scopes_alone"):
        raise unit_messages.no_unit(what)
    home: Application | None = context.app.extensions.get("scopes")
    if home is None or scopes not in home.members:
        raise unit_messages.app_not_set_up(context.app.name)
    unit = home.unit(context)
    if unit is None or unit.state is State.CLOSED:
        raise unit_messages.unit_over(what)
    hooks.watch(context.app)
    return unit


def unit_in_progress() -> Unit | None:
    """The unit that code runs in here, begun now if nothing was used in it yet; None
    if there is none, or it is finished. (While it is being finished, it is there.)
    """
    context = contexts.app_context.get(None)
    if context is None or hasattr(contexts.locate(context)[0], "scopes_alone"):
        return None
    home: Application | None = context.app.extensions.get("scopes")
    unit = None if home is None else home.unit(context)
    if unit is None or not unit.is_own() or unit.state is State.CLOSED:
        return None
    hooks.watch(context.app)
    return unit


def objects_in_progress() -> list[object]:
    """What the unit that code runs in here has built so far, if it is still open."""
    unit = open_unit()
    return [] if unit is None else list(unit.objects.values())


def may_fail_to_commit() -> bool:
    """Whether the unit that code runs in here has built anything that will be torn
    down when it is finished: else nothing can go wrong with that.
    """
    unit = open_unit()
    return unit is not None and any(build.generator for build in list(unit.built))


def is_spoiled() -> bool:
    """Whether an error has left the unit that code runs in here nothing to commit."""
    unit = open_unit()
    return unit is not None and unit.spoiled is not None


def open_unit() -> Unit | None:
    """The unit that code runs in here, if it has begun and objects can be built."""
    context = contexts.app_context.get(None)
    if context is None:
        return None
    unit: Unit | None = getattr(contexts.locate(context)[0], "scopes_unit", None)
    return unit if unit is not None and unit.is_open() else None


def _get(
    store: Store,
    context: contexts.Context,
    recipe: Recipe,
    key: Key,
    args: tuple[t.Any, ...],
    kwargs: dict[str, t.Any],
    asking: Build | None,
    before: int,
) -> t.Any:
    record = store.records.get(key)
    found = store.objects.get(key, UNSET)
    if found is not UNSET:
        if type(found) is Checked and _is_stale(store, found):
            found = UNSET
        elif asking is not None:
            # The same before and after: then the object is what it made. (An
            # override or a renewal may put another in its place.)
            if record is not None and store.records.get(key) is record:
                asking.uses[record] = None
            else:
                found = store.look(key, asking)
    if found is UNSET:
        context.scopes_application = context.scopes_request = contexts.NOTHING
        found = store.get_or_build(recipe, key, args, kwargs, asking)
        if overrides.switches != before:
            overrides.reconsider(store.records.get(key))
    elif store.events.listeners:
        store.events.use(store, key, asking)
    return found


def _is_stale(store: Store, checked: Checked) -> bool:
    return renewal.is_stale(t.cast("ApplicationStore", store), checked)
