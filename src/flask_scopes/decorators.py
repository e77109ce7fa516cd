"""The decorators of factories, one for each scope."""

from __future__ import annotations

import collections.abc as c
import functools
import math
import typing as t
import weakref

from . import unit_messages
from .options import Options
from .recipe import Recipe
from .resource import Decorator
from .resource import Resource
from .resource import recipe_of
from .resource import resource
from .scope import Scope
from .session_resource import SessionDecorator
from .session_resource import SessionResource
from .session_resource import session_resource

if t.TYPE_CHECKING:
    from .session_objects import SessionRecipe

P = t.ParamSpec("P")
T = t.TypeVar("T")


class Decorators:
    """What :class:`~flask_scopes.Scopes` decorates factories with, and what it has to
    remember of them.
    """

    def __init__(self) -> None:
        self.kept: list[Recipe] = []
        """The application resources with options, in the order of their making."""
        self.keeps_until_sent = False
        """Whether there are objects that live until a response was sent."""
        self.recipes: weakref.WeakKeyDictionary[Recipe, None] = (
            weakref.WeakKeyDictionary()
        )
        """All resources that there are, in the order of their making."""
        self.in_session: weakref.WeakValueDictionary[str, SessionRecipe] = (
            weakref.WeakValueDictionary()
        )
        """The session resources, by the names that sessions have them under."""

    @t.overload
    def application(
        self, factory: c.Callable[P, c.Iterator[T]], /
    ) -> Resource[P, T]: ...
    @t.overload
    def application(self, factory: c.Callable[P, T], /) -> Resource[P, T]: ...
    @t.overload
    def application(
        self,
        /,
        *,
        eager: bool = False,
        fork: t.Literal["rebuild", "share"] = "rebuild",
        # With one parameter, of whichever type: the factory comes only later.
        ping: c.Callable[[t.Never], object] | None = None,
        check: c.Callable[[t.Never], object] | None = None,
        every: float = math.inf,
    ) -> Decorator: ...
    def application(
        self, factory: c.Callable[P, t.Any] | None = None, /, **options: t.Any
    ) -> t.Any:
        """One object per app and process: built at first use, by whichever thread
        comes first, and kept until the process ends, or until :meth:`close`.

        The factory runs with an app context alone: ``current_app`` works, while
        ``request``, ``session`` and ``g`` raise, so nothing of one request can be
        kept for the next.

        :param eager: build it when the process begins to serve; see :meth:`start`.
        :param fork: ``"share"`` lets forked processes use what was built before the
            fork, and leaves closing it to the process that built it.
        :param ping: called with the object by :meth:`pings`. An exception, or False,
            means that it is not well.
        :param check: called with the object, in the same way, before it is handed
            out, but at most *every* so many seconds. What is not well is replaced,
            with all that was built from it. The old one is closed when no request
            that may hold it is left.
        :raises SetupError: the factory is async or not callable; or an option is
            not what it should be.
        """
        if factory is None:
            return functools.partial(self._keep, Options(**options))
        return self._made(resource(Scope.APPLICATION, factory, self))

    @t.overload
    def request(self, factory: c.Callable[P, c.Iterator[T]], /) -> Resource[P, T]: ...
    @t.overload
    def request(self, factory: c.Callable[P, T], /) -> Resource[P, T]: ...
    @t.overload
    def request(self, /, *, until: t.Literal["sent"]) -> Decorator: ...
    def request(
        self, factory: c.Callable[P, t.Any] | None = None, /, *, until: str = ""
    ) -> t.Any:
        """One object per unit of work: a request, a command, or a
        ``with app.app_context():`` block. Built at first use and torn down, last
        built first, when the unit is finished: in a request, once the response is
        complete, before the session is saved and anything is sent. If the unit
        fails, the error is raised at the factory's ``yield``.

        :param until: ``"sent"`` keeps the objects of a request until its body was
            sent or dropped: for streams, and for what is read while sending.
        :raises SetupError: the factory is async or not callable, or there is no
            such *until*.
        """
        if factory is None:
            if until != "sent":
                raise unit_messages.bad_until(until)
            self.keeps_until_sent = True
            self._tell()
            return self._until_sent
        return self._made(resource(Scope.REQUEST, factory, self))

    @t.overload
    def session(self, factory: c.Callable[P, T], /) -> SessionResource[P, T]: ...
    @t.overload
    def session(self, /, *, name: str) -> SessionDecorator: ...
    def session(
        self, factory: c.Callable[P, t.Any] | None = None, /, *, name: str = ""
    ) -> t.Any:
        """One object per visitor, kept in their session: made at first use, found again
        by their next requests, and saved when it has changed, nested or not, with the
        unit of the request; a request that fails changes nothing. It is there where
        ``flask.session`` is, until the work of the request is finished.

        It is plain data, of the type that the factory is annotated to return: what is
        built in, dataclasses, attrs classes, TypedDict, msgspec structs, and these in
        one another. What is stored and no longer fits that type is made anew.

        :param name: what sessions have it under, instead of the factory's name.
        :raises SetupError: the factory does not say what it returns, or it is nothing
            that a session can keep; or another one has that name.
        :raises ImportError: msgspec is not installed.
        """
        if factory is None:
            return functools.partial(self._in_session, name=name)
        return self._in_session(factory, name=name)

    def _keep(
        self, options: Options, factory: c.Callable[P, t.Any]
    ) -> Resource[P, t.Any]:
        made = self._made(resource(Scope.APPLICATION, factory, self, options))
        self.kept.append(recipe_of(made))
        self._tell()
        return made

    def _in_session(
        self, factory: c.Callable[P, t.Any], *, name: str
    ) -> SessionResource[P, t.Any]:
        made = session_resource(factory, self, name, self.in_session)
        self._tell()
        self.recipes[recipe_of(made)] = None
        return made

    def _until_sent(self, factory: c.Callable[P, t.Any]) -> Resource[P, t.Any]:
        return self._made(resource(Scope.SENT, factory, self))

    def _made(self, made: Resource[P, t.Any]) -> Resource[P, t.Any]:
        self.recipes[recipe_of(made)] = None
        return made

    def _tell(self) -> None:
        """Let the apps know what they have to care for. The others need not pay."""
        raise NotImplementedError
