"""Replace what is no longer well: a connection that timed out or was closed.

An object with a ``check`` is kept as a :class:`Checked`, with the time up to which it
may be handed out unasked: a warm call compares that with the clock. The first call
after it asks; the others meanwhile go on with what is there. If it is not well, it is
*retired*, with all that was built from it, and built anew by the next call.

A retired object is closed when nobody can hold it any more. Before a context takes
an application object, and mostly with its first request object, it takes the
:class:`Lease` that is given out then, and keeps it. Retiring ends that: from then on a
later one is given out. Each lease keeps the later ones, so when one has gone, all
contexts have that took it or an earlier one, wherever they were copied to, and however
long a body was sent.
"""

from __future__ import annotations

import time
import typing as t
import weakref

from .options import is_well

if t.TYPE_CHECKING:
    from flask import Flask

    from .application_store import ApplicationStore
    from .building import Build

now = time.monotonic


class Lease:
    """Held by each context that may hold application objects; lives as long as the
    last of them.
    """

    __slots__ = ("__weakref__", "later")

    def __init__(self) -> None:
        self.later: dict[None, Lease] = {}
        """The next one, if there is any."""

    def last(self) -> Lease:
        """The one that was given out last."""
        lease = self
        while lease.later:
            lease = lease.later[None]
        return lease

    def renew(self) -> Lease:
        """The next one."""
        return self.later.setdefault(None, Lease())


class Checked:
    """An object that is asked now and then whether it is well."""

    __slots__ = ("build", "due", "turn", "value")

    def __init__(self, build: Build, value: object) -> None:
        self.build = build
        self.value = value
        self.turn: list[None] = [None]
        """Whoever takes this out may ask; none, once it was retired."""
        self.due = now() + build.recipe.options.every
        """When to ask next, by the clock of :func:`time.monotonic`."""


class Retired:
    """Objects that are not handed out any more, in the order of their building."""

    __slots__ = ("builds", "lease", "turn")

    def __init__(self) -> None:
        self.builds: list[Build] = []
        self.lease: weakref.ref[Lease] | None = None
        """The last one that was given out with them; None until they are hidden."""
        self.turn: list[None] = [None]
        """Whoever takes this out closes them."""


def is_stale(store: ApplicationStore, checked: Checked) -> bool:
    """Whether another object has to be built instead of *checked*; asked now, if it
    is time. While one thread asks, the others go on with it.
    """
    if now() < checked.due:
        return False
    try:
        # Atomic.
        checked.turn.pop()
    except IndexError:
        return False
    build = checked.build
    every = build.recipe.options.every
    well = True
    try:
        well = _ask(store, checked)
        if not well:
            retire(store, build)
    finally:
        if well:
            checked.due = now() + every
            checked.turn.append(None)
    return not well


def _ask(store: ApplicationStore, checked: Checked) -> bool:
    recipe = checked.build.recipe
    app = t.cast("Flask", store.app())
    check = t.cast("t.Any", recipe.options.check)
    try:
        if store.apart(recipe, lambda: is_well(check, checked.value)):
            return True
        app.logger.info("%r is not well, and is built anew", recipe)
    except Exception:
        app.logger.info("%r is not well, and is built anew", recipe, exc_info=True)
    return False


def retire(store: ApplicationStore, build: Build) -> None:
    """Hand out neither what *build* made nor what was built from it any more."""
    with store.retiring:
        if build in store.built:
            # Listed first: what becomes ready from now on looks there.
            entry = Retired()
            store.retired.append(entry)
            _add(store, build, entry)


def settle(store: ApplicationStore, build: Build) -> None:
    """Retire *build*, just ready, if it was made from what was retired meanwhile.

    (The context of its factory holds the lease, so that is still listed.)
    """
    with store.retiring:
        for entry in store.retired:
            # To be closed before these, and they before what was retired later.
            if any(use in entry.builds for use in build.uses):
                _add(store, build, entry)
                return


def _add(store: ApplicationStore, build: Build, entry: Retired) -> None:
    gone = [build]
    for each in list(store.built):
        if each is not build and any(use in gone for use in each.uses):
            gone.append(each)
    for each in reversed(gone):
        store.hide(each)
    # Those that are not there any more are torn down by the end of the store.
    entry.builds += [each for each in gone if store.let_go(each)]
    # After hiding: who takes the next lease finds none of these.
    lease = store.lease.last()
    store.lease = lease.renew()
    entry.lease = weakref.ref(lease)


def sweep(store: ApplicationStore) -> None:
    """Close what was retired, and can be held by nobody; the oldest first, because
    what was retired later may be what it was built from.
    """
    while True:
        try:
            entry = store.retired[0]
        except IndexError:
            # None is left; another thread may have closed the last one just now.
            return
        if entry.lease is None or entry.lease() is not None or not _close(store, entry):
            return


def close(store: ApplicationStore) -> None:
    """Close all that was retired: the application ends."""
    for entry in list(store.retired):
        _close(store, entry)


def _close(store: ApplicationStore, entry: Retired) -> bool:
    try:
        # Atomic: another thread may have the same in mind.
        entry.turn.pop()
    except IndexError:
        return False
    app = t.cast("Flask", store.app())
    for build in reversed(entry.builds):
        failure = store.tear_down(build, None)
        if failure is not None:
            app.logger.error(
                "%r was replaced, and not closed: %s",
                build.recipe,
                failure,
                exc_info=failure,
            )
    store.retired.remove(entry)
    return True
