"""The extension: the decorators, and how Flask calls us."""

from __future__ import annotations

import collections.abc as c
import contextlib
import typing as t
import weakref

import flask

from . import commands
from . import contexts
from . import ending
from . import hooks
from . import pings
from . import reading
from . import replay
from . import starting
from . import unit_messages
from . import views
from .application import Application
from .decorators import Decorators
from .lookup import current_unit
from .pings import Ping
from .views import View


class Scopes(Decorators):
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
        super().__init__()
        self._homes: list[weakref.ref[Application]] = []
        self._steps: list[c.Callable[[flask.Flask], object]] = []
        self.longest_body = 0
        """How much of a request's body some view wants to be kept, in bytes."""
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
            config = t.cast("dict[str, object]", app.config)
            if config.get("SCOPES_INSPECTOR"):
                # Not above: it is for development, and takes time to load.
                from .inspector import Inspector

                Inspector(app, home)
            commands.group(app)
        if self in home.members:
            raise unit_messages.known_app(app.name)
        home.members.add(self)
        self._homes.append(weakref.ref(home, self._homes.remove))
        self._tell()
        for step in self._steps:
            step(app)

    def on_init_app(self, step: c.Callable[[flask.Flask], object]) -> None:
        """Call *step* with each app that is, or will be, set up with these Scopes.
        For what builds on them: commands, error handlers, and the like.
        """
        self._steps.append(step)
        for home in self.applications:
            app = home.app()
            if app is not None:
                step(app)

    @property
    def applications(self) -> list[Application]:
        """What the apps that use these resources keep, while they are alive."""
        found = [reference() for reference in list(self._homes)]
        return [home for home in found if home is not None]

    def commit_on(self, *statuses: int) -> c.Callable[[View], View]:
        """Decorate a view, below its route, whose work is to be kept although it
        answers with one of these *statuses*, returned or raised (``abort(401)``).
        It counts from when the view is called until the end of that request.

        :param statuses: from 400 to 599.
        :raises SetupError: there are none, or others.
        """
        if not statuses or not set(statuses) <= set(range(400, 600)):
            raise unit_messages.bad_statuses(statuses)
        return views.before_view(lambda: ending.accept(statuses))

    def read_only(self, view: View) -> View:
        """Decorate a view, below its route, that is not to write: in its request, from
        then on, what :mod:`flask_scopes.sqlalchemy` has refuses to, and is rolled back.
        With ``SCOPES_READ_ONLY_GET`` in the app's config this is so in each GET, HEAD
        and OPTIONS request from its beginning (they are "safe": RFC 9110, 9.2.1).

        What is to be written all the same stands in ``with scopes.unit():``.
        """
        return views.before_view(reading.forbid_writes)(view)

    def doom(self, reason: str) -> None:
        """Let the current unit fail when it is finished, whatever comes: its work is
        rolled back, and nothing that was put into the session is saved. The
        response, or the block, goes on as it is.

        :param reason: the text of the :exc:`UnitFailed` that is raised at each
            ``yield``; logged, as information, if the status looks like success.
        :raises OutsideScopeError: there is no unit.
        :raises ClosedError: it is already finished.
        """
        unit = current_unit("scopes.doom(...)", self)
        if not unit.is_open():
            raise unit_messages.unit_over("scopes.doom(...)")
        unit.doomed = unit.doomed or unit_messages.doomed(reason)

    def after_commit(self, function: c.Callable[[], object]) -> None:
        """Call *function* as soon as the current unit has succeeded, before the
        response leaves; never, if it fails. It runs in a unit of its own. If it
        raises, that is logged and undoes nothing.

        :raises OutsideScopeError: there is no unit.
        :raises ClosedError: it is already finished.
        """
        current_unit("scopes.after_commit(...)", self).callbacks.append(function)

    def unit(
        self, app: flask.Flask | None = None
    ) -> contextlib.AbstractContextManager[None]:
        """A unit of its own, wherever: in a thread or a script, or inside of a
        request for work that is to be kept whatever becomes of the request. It is
        finished at the end of the block, and fails if an exception leaves that.

        :param app: the current app, if not given.
        :raises OutsideScopeError: no *app*, and no app context either; or an app
            that these Scopes do not know.
        :raises CommitFailed: the block succeeded, and could not be finished.
        """
        return ending.own_unit(self._app("unit", app))

    def retry(
        self,
        attempts: int,
        *,
        on: type[Exception] | tuple[type[Exception], ...] = (),
        max_body: int = 1024 * 1024,
    ) -> c.Callable[[View], View]:
        """Decorate a view, below its route, whose request is to begin anew when its
        unit failed with a conflict that may pass: with a fresh context and session,
        the same body, and after a short pause. Nothing of the attempt that failed is
        kept or sent.

        A conflict is what the driver labels as one (PyMongo, psycopg and others by
        their SQLSTATE, sqlite3), or *on*. If the last attempt fails as well, its
        error says how many there were.

        :param attempts: how often to try in all.
        :param on: further exceptions that are worth another attempt.
        :param max_body: in bytes; a longer body is refused with 413.
        :raises SetupError: fewer than one attempt, or *on* is no exception type.
        :raises RetryError: in the request: the view answers with a stream.
        :raises OutsideScopeError: in the request: its app does not know these Scopes.
        """
        types = on if isinstance(on, tuple) else (on,)
        policy = replay.Policy(attempts, types, max_body)
        problem = replay.problem(policy)
        if problem:
            raise unit_messages.bad_retry(problem)
        self.longest_body = max(self.longest_body, max_body)
        self._tell()
        return views.before_view(lambda: replay.begin(policy, self))

    def start(self, app: flask.Flask | None = None) -> None:
        """Build the ``eager`` objects now, each after what it asks for. To be called
        where a process is about to serve, after any fork. ``flask run`` and uWSGI
        do it by themselves, gunicorn by :mod:`flask_scopes.gunicorn`; otherwise the
        first request does.

        :param app: the current app, if not given.
        :raises StartError: one could not be built.
        :raises OutsideScopeError: no *app*, and no app context either; or an app
            that these Scopes do not know.
        """
        home: Application = self._app("start", app).extensions["scopes"]
        starting.start(home, self.kept)

    def pings(
        self,
        app: flask.Flask | None = None,
        *,
        timeout: float = 2.0,
        build: bool = False,
    ) -> list[Ping]:
        """Ask all application objects that have a ``ping`` whether they are well, at
        once, and each in a thread of its own with an app context.

        :param app: the current app, if not given.
        :param timeout: how many seconds each has to answer. One that does not is not
            asked again before it has answered.
        :param build: whether to build what nobody has used yet, and ask that too.
        :raises OutsideScopeError: no *app*, and no app context either; or an app
            that these Scopes do not know.
        """
        home: Application = self._app("pings", app).extensions["scopes"]
        return pings.ask(home, self.kept, timeout, build)

    def _tell(self) -> None:
        for home in self.applications:
            home.keeps_until_sent |= self.keeps_until_sent
            home.keeps_in_session |= bool(self.in_session)
            app = home.app()
            eager = any(recipe.options.eager for recipe in self.kept)
            home.replays |= self.longest_body > 0
            if app is None:
                continue
            if eager and not home.starts:
                home.starts = True
                starting.watch_servers()
            if home.replays or home.starts:
                hooks.wrap_requests(app, home)

    def close(self, app: flask.Flask | None = None) -> None:
        """Tear down the application's objects in this process, last built first.
        Later calls do nothing; a resource that is called later raises
        :exc:`ClosedError`.

        :param app: the current app, if not given.
        :raises OutsideScopeError: no *app*, and no app context either; or an app
            that these Scopes do not know.
        :raises BaseExceptionGroup: of what the teardowns raised.
        """
        self._app("close", app).extensions["scopes"].store().close()

    def _app(self, what: str, app: flask.Flask | None) -> flask.Flask:
        """*app*, or else the current one, if it is set up with these Scopes."""
        context = contexts.app_context.get(None)
        if app is None:
            if context is None:
                raise unit_messages.no_app(what)
            app = context.app
        home: Application | None = app.extensions.get("scopes")
        if home is None or self not in home.members:
            raise unit_messages.app_not_set_up(app.name)
        return app
