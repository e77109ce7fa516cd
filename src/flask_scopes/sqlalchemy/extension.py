"""What a project makes once: its engines, and the sessions of its units."""

from __future__ import annotations

import collections.abc as c
import typing as t

from sqlalchemy.engine import Engine

from . import joining
from . import messages
from .engines import engine_resource
from .joining import Existing
from .sessions import session_resource

if t.TYPE_CHECKING:
    from sqlalchemy.orm import sessionmaker

    from ..extension import Scopes


class SQL:
    """The databases of a project. One per project, beside its ``Scopes``; lives as long
    as the program, and connects to nothing before something is asked for.

    ::

        sql = SQL(scopes)

        @app.post("/posts/<title>")
        def write(title):
            sql.session().add(Post(title=title))    # committed before the answer
            return "written"

    Each app says where its databases are: ``SQLALCHEMY_URL``, ``SQLALCHEMY_BINDS`` and
    ``SQLALCHEMY_ENGINE_OPTIONS`` in its config are read at the first use.

    :param scopes: which the apps are set up with.
    :param engine: an engine that is there already, instead of ``SQLALCHEMY_URL``.
        Whoever made it disposes of it.
    :param binds: the same, instead of what ``SQLALCHEMY_BINDS`` has under these names.
    :param sessionmaker: how sessions are to be made; with the engine that it is bound
        to, if it is to any. By default with ``expire_on_commit=False``.
    :raises SetupError: what is handed in is no engine.
    """

    def __init__(
        self,
        scopes: Scopes,
        *,
        engine: Engine | None = None,
        binds: c.Mapping[str, Engine] | None = None,
        sessionmaker: sessionmaker[t.Any] | None = None,
    ) -> None:
        self._scopes = scopes
        given = {**({} if engine is None else {"": engine}), **(binds or {})}
        for each in given.values():
            if not isinstance(t.cast("object", each), Engine):
                raise messages.not_an_engine(each)

        self.engine = engine_resource(scopes, given)
        """The ``Engine`` of a bind: one per app, process and bind. Without a name, of
        ``SQLALCHEMY_URL``. Built at first use, disposed of when the process ends.

        :raises SetupError: the config does not say where it is.
        """
        self.session = session_resource(scopes, self.engine, sessionmaker)
        """The ``Session`` of this unit with a bind. It begins with its first use. When
        the unit is finished all sessions are flushed, and only then committed, one
        after the other, last used first; all are rolled back if the unit fails. It is
        for one thread, and of no use afterwards.
        """

    def join(self, existing: Existing) -> None:
        """Let the session of an app on Flask-SQLAlchemy take part: what it has used in
        a unit is committed when that succeeds, and rolled back when it fails. A
        ``commit()`` by hand commits at once, as before.

        :param existing: the ``SQLAlchemy()`` of Flask-SQLAlchemy, or any other object
            with a ``scoped_session`` as its attribute ``session``, or that itself.
        :raises SetupError: it is none of these.
        """
        joining.join(self._scopes, existing)
