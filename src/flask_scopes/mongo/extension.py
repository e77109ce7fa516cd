"""What a project makes once: its clients, databases, tenants and transactions."""

from __future__ import annotations

import collections.abc as c
import contextlib
import functools
import typing as t

import flask
from pymongo.errors import ConfigurationError

from .. import hooks
from ..places import declared
from ..places import place_of
from ..views import View
from ..views import around_view
from . import messages
from . import transactions
from .clients import Document
from .clients import Existing
from .clients import Holders
from .clients import client_resource
from .deadline import Deadline
from .failures import page_for
from .index_command import add_command
from .indexes import Declared
from .indexes import Indexes
from .indexes import checked
from .indexes import create_indexes
from .json import extend_json
from .monitor import RequestStats
from .monitor import Stats
from .monitor import monitor_of
from .monitor import this_request
from .tenants import Tenants
from .tenants import checked_name
from .tenants import full_name

if t.TYPE_CHECKING:
    from pymongo.database import Database

    from ..application import Application
    from ..extension import Scopes
    from ..resource import Resource


class Mongo:
    """The MongoDB servers of a project. One per project, beside its ``Scopes``; lives
    as long as the program, and connects to nothing before something is asked for.

    ::

        mongo = Mongo(scopes)
        blog = mongo.database("blog")
        logs = mongo.database("events", bind="logs")

    Each app says where its servers are: ``MONGO_URI``, ``MONGO_BINDS`` and
    ``MONGO_OPTIONS`` in its config are read at the first use.

    :param scopes: which the apps are set up with.
    :param client: a client that is there already, instead of ``MONGO_URI``; or an
        extension that has one as its attribute ``cx``, such as
        ``flask_pymongo.PyMongo``. Whoever made it closes it.
    :param binds: the same, instead of what ``MONGO_BINDS`` has under these names.
    """

    def __init__(
        self,
        scopes: Scopes,
        *,
        client: Existing | None = None,
        binds: c.Mapping[str, Existing] | None = None,
    ) -> None:
        self._scopes = scopes
        self._declared: list[Declared] = []
        self._indexes: dict[Resource[[], Database[Document]], Indexes] = {}
        given = {**({} if client is None else {"": client}), **(binds or {})}

        holders = Holders(given)
        self.client = client_resource(scopes, holders)
        """The ``MongoClient`` of a bind: one per app, process, and distinct address and
        options. Without a name, of ``MONGO_URI``. Built at first use, closed when the
        process ends.

        :raises SetupError: the config does not say where it is.
        """
        self.session = transactions.session_resource(scopes, self.client, holders.of)
        """The ``ClientSession`` of this unit with a bind, in a transaction: committed
        when the unit is finished, aborted if that fails. It begins with its first
        operation, asks nothing if there is none, and is for one thread. Binds with one
        client have one session.
        """
        scopes.on_init_app(self._set_up)

    def database(
        self, name: str = "", *, bind: str = "", indexes: Indexes | None = None
    ) -> Resource[[], Database[Document]]:
        """The resource of a database, which lives as long as its client.

        :param name: behind ``MONGO_DATABASE_PREFIX`` if the app has that; without a
            name, the database that the address names.
        :param bind: the client that it is reached by.
        :param indexes: what its collections are to have, for ``flask scopes indexes``.
        :raises SetupError: the name or the indexes are not what they should be.
        """
        if name:
            checked_name(name)
        text = ", ".join(
            ([repr(name)] if name else []) + ([f"bind={bind!r}"] if bind else [])
        )

        @self._scopes.application
        @declared(f"mongo.database({text})")
        def database() -> Database[Document]:
            client = self.client(bind)
            try:
                return (
                    client[full_name(name)] if name else client.get_default_database()
                )
            except ConfigurationError:
                raise messages.no_default_database(bind) from None

        if indexes is not None:
            self._declare(database, lambda: [database()], indexes)
        return database

    def tenant(
        self,
        resolve: c.Callable[[], object],
        prefix: str,
        *,
        allow: c.Collection[str] = (),
        bind: str = "",
        indexes: Indexes | None = None,
    ) -> Resource[[], Database[Document]]:
        """The resource of the database of whoever this unit is for. It is found out at
        the first use, and stays the same until the unit is finished.

        :param resolve: returns an id (an ``ObjectId``, a ``UUID``, a number), or an
            object with an attribute ``id``; None for nobody, which is a 401. A request
            resource, say, that returns the current user.
        :param prefix: the names of these databases are this and the id. No other
            database's name may begin with it.
        :param allow: texts that may stand in the place of an id. Any other text is
            refused, as it may come from who asks.
        :param bind: the client that they are reached by.
        :param indexes: what the collections of each are to have.
        :raises SetupError: the prefix or the indexes are not what they should be.
        """
        tenants = Tenants(resolve, prefix, allow)

        @self._scopes.request
        @declared(f"mongo.tenant(prefix={prefix!r})")
        def tenant() -> Database[Document]:
            return self.client(bind)[tenants.name(tenant)]

        def databases() -> list[Database[Document]]:
            client = self.client(bind)
            return [client[name] for name in tenants.existing(client)]

        if indexes is not None:
            self._declare(tenant, databases, indexes)
        return tenant

    def _declare(
        self,
        resource: Resource[[], Database[Document]],
        databases: c.Callable[[], c.Iterable[Database[Document]]],
        indexes: Indexes,
    ) -> None:
        self._indexes[resource] = checked(indexes)
        self._declared.append(Declared(databases, self._indexes[resource]))

    def create_indexes(self, database: Resource[[], Database[Document]]) -> None:
        """Make the indexes that are declared for *database*, of those that are missing:
        for a new tenant, say. All others are made by ``flask scopes indexes``.

        :raises PyMongoError: one cannot be made.
        """
        opened = database()
        with transactions.plain(opened.client):
            create_indexes(opened, self._indexes.get(database, {}))

    @t.overload
    def transactional(self, view: View, /) -> View: ...
    @t.overload
    def transactional(self, /, *, bind: str = "") -> c.Callable[[View], View]: ...
    def transactional(
        self, view: c.Callable[..., t.Any] | None = None, /, *, bind: str = ""
    ) -> t.Any:
        """Decorate a view, below its route: operations in it that have no ``session=``
        belong to ``mongo.session(bind)``, and so to the transaction of the request.
        All of them are of one client, and in the thread of the view; what is to stay
        out of it stands in ``with scopes.unit():``.
        """
        decorate: c.Callable[[t.Any], t.Any] = around_view(
            functools.partial(self._bound, bind)
        )
        return decorate if view is None else decorate(view)

    def _bound(self, bind: str) -> contextlib.AbstractContextManager[None]:
        return transactions.bound(self.session(bind))

    def stats(self, bind: str = "") -> Stats:
        """What the client of *bind* has done in this process so far.

        :raises SetupError: it is one that was handed in, of which we hear nothing.
        """
        monitor = monitor_of(self.client(bind))
        if monitor is None:
            raise messages.not_heard(bind)
        return monitor.stats()

    def request_stats(self) -> RequestStats:
        """What this request has asked of all clients so far; nothing, if there is no
        request.
        """
        return this_request.get() or RequestStats()

    def _set_up(self, app: flask.Flask) -> None:
        home: Application = app.extensions["scopes"]
        home.around_requests.append(Deadline(app))
        home.around_units.append(transactions.apart)
        hooks.wrap_requests(app, home)
        add_command(app, self._declared)
        home.answers.append(page_for)
        extend_json(app)
        # Before it is logged, which is before its unit ends.
        flask.got_request_exception.connect(self._explain, app)

    def _explain(self, sender: flask.Flask, **sent: t.Any) -> None:
        transactions.explain(sent["exception"], place_of(self.session))
