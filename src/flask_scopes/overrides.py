"""Replace a resource for a while, and put everything back.

An override is for tests, so it may be slow, but it has to be right: nobody may
see what was built from the original while it is replaced, or what was built
from the replacement afterwards. Every build has noted what it asked for, so
what depends on what is known, not guessed.

On entering, the objects that were built from the original are *set aside*: they
stay in their stores, to be torn down in their turn, but calls no longer find
them. On leaving, those built from the replacement are forgotten and the others
come back. Objects of the application are torn down then; those of a unit end
with their unit, which decides between commit and rollback.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import threading
import typing as t

from . import messages
from .recipe import UNSET
from .recipe import Recipe
from .recipe import Replacement
from .scope import Scope
from .teardown import raise_together

if t.TYPE_CHECKING:
    from .application import Application
    from .building import Build
    from .store import Store


class Owner(t.Protocol):
    """What has resources: :class:`~flask_scopes.Scopes`."""

    @property
    def applications(self) -> c.Iterable[Application]: ...


# Made at import, unlike every other lock: only overrides take it, and a server
# that patches or forks has none in force.
_switching = threading.Lock()
_in_force: list[tuple[Recipe, Replacement]] = []
switches: int = 0
"""How often an override was entered or left so far."""


def override(
    recipe: Recipe,
    value: object = UNSET,
    /,
    *,
    factory: c.Callable[..., object] | None = None,
) -> contextlib.AbstractContextManager[None]:
    """Let *recipe* hand out *value*, or what *factory* builds, inside the block:
    in every thread, and for all arguments.

    :param value: handed out as it is, and not closed afterwards.
    :param factory: takes what the resource's own takes, and may yield likewise.
    :raises SetupError: neither or both are given, or *factory* is not callable.
    :raises BaseExceptionGroup: on leaving, if teardowns of application objects
        that were built from the replacement failed.
    """
    if (value is UNSET) is (factory is None) or not callable(factory or callable):
        raise messages.bad_override(recipe)
    return _override(recipe, value, factory or recipe.factory)


@contextlib.contextmanager
def _override(
    recipe: Recipe, value: object, factory: c.Callable[..., object]
) -> c.Generator[None, None, None]:
    replacement = Replacement(recipe, factory, value)
    pair = (recipe, replacement)
    with _switching:
        recipe.replacements += (replacement,)
        _in_force.append(pair)
        _switched()
    try:
        yield
    finally:
        with _switching:
            recipe.replacements = tuple(
                other for other in recipe.replacements if other is not replacement
            )
            _in_force.remove(pair)
            replacement.over = True
            finished = _forget_dependents(replacement)
            for store, build, made in replacement.aside:
                store.show(build, made)
            _switched()
        raise_together(_tear_down(finished))


def hands_out(made: object) -> bool:
    """Whether *made* is what an override in force hands out as it is."""
    return any(replacement.value is made for _, replacement in list(_in_force))


def reconsider(build: Build | None) -> None:
    """Look again at *build*, which an override came or went during."""
    if build is None:
        return
    finished: list[tuple[Store, Build]] = []
    with _switching:
        for source in _sources(build):
            if isinstance(source, Replacement) and source.over:
                finished += _forget_dependents(source, build)
        _switched()
    raise_together(_tear_down(finished))


def _sources(build: Build) -> set[Recipe]:
    """What *build* was built by and from, directly or through others."""
    found: set[Recipe] = set()
    todo: list[Build | Replacement] = [build]
    seen: set[Build] = set()
    while todo:
        use = todo.pop()
        if isinstance(use, Replacement):
            found.add(use)
        elif use not in seen:
            seen.add(use)
            found.add(use.recipe)
            todo += use.uses
    return found


def _switched() -> None:
    """Set aside whatever was built from something that is now replaced."""
    global switches
    switches += 1
    for recipe, replacement in _in_force:
        older = recipe.replacements[: recipe.replacements.index(replacement)]
        for source in (recipe, *older):
            for store, build in _dependents(source):
                made = store.hide(build)
                if made is not UNSET:
                    replacement.aside.append((store, build, made))


def _dependents(
    source: Recipe, late: Build | None = None
) -> c.Iterator[tuple[Store, Build]]:
    """What *source* built, and all that was built from it, in order.

    :param late: known to be one of them, though what is between is gone.
    """
    affected: set[Build] = set()
    for store in _stores(source):
        for build in list(store.built):
            if (
                build is late
                or build.recipe is source
                or any(use is source or use in affected for use in build.uses)
            ):
                affected.add(build)
                yield store, build


def _stores(recipe: Recipe) -> c.Iterator[Store]:
    """Every store that may hold such objects, those that live longer first."""
    owner = t.cast("Owner", recipe.owner)
    for application in list(owner.applications):
        yield application.store()
        for reference in list(application.units.values()):
            unit = reference()
            if unit is not None:
                yield from unit.sent
                yield unit


def _forget_dependents(
    replacement: Replacement, late: Build | None = None
) -> list[tuple[Store, Build]]:
    """Make what was built from *replacement* unreachable; return what must be
    torn down now, in the order in which it was built.
    """
    doomed = list(_dependents(replacement, late))
    builds = {build for _, build in doomed}
    for store, build in doomed:
        store.hide(build)
    for _, other in _in_force:
        other.aside[:] = [item for item in other.aside if item[1] not in builds]
    return [item for item in doomed if item[1].recipe.scope is Scope.APPLICATION]


def _tear_down(
    finished: list[tuple[Store, Build]],
) -> list[tuple[Build, BaseException]]:
    failures: list[tuple[Build, BaseException]] = []
    for store, build in reversed(finished):
        failure = store.remove(build)
        if failure is not None:
            failures.append((build, failure))
    return failures
