"""The extension: the decorators, and how Flask calls us."""

from __future__ import annotations

import collections.abc as c
import typing as t
import weakref

import flask

from . import contexts
from . import errors
from . import hooks
from .application import Application
from .resource import Resource
from .resource import resource
from .scope import Scope

P = t.ParamSpec("P")
T = t.TypeVar("T")


class Scopes:
    """Gives objects a lifetime. One per project; lives as long as the program.

    ::

        scopes = Scopes()

        @scopes.application
        def mongo() -> Iterator[MongoClient]:
            with MongoClient(current_app.config["MONGO_URI"]) as client:
                yield client

    :param app: calls :meth:`init_app` with it.
    """

    def __init__(self, app: flask.Flask | None = None) -> None:
        self.applications: weakref.WeakSet[Application] = weakref.WeakSet()
        """What the apps that use these resources keep, while they are alive."""
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Let *app* use these resources. Call it once, where the app is made.

        :raises SetupError: called twice with one app.
        """
        home: Application | None = app.extensions.get("scopes")
        if home is None:
            home = app.extensions["scopes"] = Application(app)
            hooks.install(app, home.units)
        if self in home.members:
            raise errors.known_app(app.name)
        home.members.add(self)
        self.applications.add(home)

    @t.overload
    def application(
        self, factory: c.Callable[P, c.Iterator[T]], /
    ) -> Resource[P, T]: ...
    @t.overload
    def application(self, factory: c.Callable[P, T], /) -> Resource[P, T]: ...
    def application(self, factory: c.Callable[P, t.Any], /) -> Resource[P, t.Any]:
        """One object per app and process: built at first use, by whichever thread
        comes first, and kept until :meth:`close`.

        The factory runs with an app context alone: ``current_app`` works, while
        ``request``, ``session`` and ``g`` raise, so nothing of one request can be
        kept for the next.

        :raises SetupError: the factory is async or not callable.
        """
        return resource(Scope.APPLICATION, factory, self)

    @t.overload
    def request(self, factory: c.Callable[P, c.Iterator[T]], /) -> Resource[P, T]: ...
    @t.overload
    def request(self, factory: c.Callable[P, T], /) -> Resource[P, T]: ...
    def request(self, factory: c.Callable[P, t.Any], /) -> Resource[P, t.Any]:
        """One object per unit of work: a request, a command, or a
        ``with app.app_context():`` block. Built at first use and torn down, last
        built first, when the unit ends; an error that the unit ended with is
        raised at the factory's ``yield``.

        :raises SetupError: the factory is async or not callable.
        """
        return resource(Scope.REQUEST, factory, self)

    def close(self, app: flask.Flask | None = None) -> None:
        """Tear down the application's objects in this process, last built first.
        Later calls do nothing; a resource that is called later raises
        :exc:`ClosedError`.

        :param app: the current app, if not given.
        :raises OutsideScopeError: no *app*, and no app context either; or an app
            that these Scopes do not know.
        :raises BaseExceptionGroup: of what the teardowns raised.
        """
        context = contexts.app_context.get(None)
        if app is None:
            if context is None:
                raise errors.no_app()
            app = context.app
        home: Application | None = app.extensions.get("scopes")
        if home is None or self not in home.members:
            raise errors.unknown_app_to_close(app.name)
        home.store().end(None)
