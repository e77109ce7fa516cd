"""Clients and databases by name: one for each app, process, and address."""

from __future__ import annotations

import collections.abc as c
import gc
import os
import re
import secrets
import threading
import time
import typing as t
import weakref
from pathlib import Path

import flask
import pytest
from flask_pymongo import PyMongo
from pymongo import MongoClient
from pymongo import monitoring

from flask_scopes import OutsideScopeError
from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes.mongo import Mongo

from ..test_forks import in_child
from .apps import OpenShop
from .apps import Shop
from .replica_set import replica_set

pytestmark = pytest.mark.mongo


@pytest.fixture
def shop(mongo_uri: str) -> c.Iterator[Shop]:
    with Shop(mongo_uri) as shop:
        yield shop


def test_there_is_one_client_in_all_threads_and_nothing_before_it_is_asked_for(
    shop: Shop,
) -> None:
    found: list[object] = []
    together = threading.Barrier(8)

    def ask() -> None:
        with shop.app.app_context():
            together.wait(10)
            found.append(shop.mongo.client())

    assert shop.app.extensions["scopes"].store().built == []
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(found) == 8
    assert all(each is found[0] for each in found)


def test_a_client_is_closed_with_the_app(shop: Shop) -> None:
    with shop.app.app_context():
        client = shop.mongo.client()
        client.admin.command("ping")

    shop.scopes.close(shop.app)

    with pytest.raises(Exception, match="after close"):
        client.admin.command("ping")


def test_a_client_is_closed_soon_although_its_server_is_gone(tmp_path: Path) -> None:
    with replica_set(tmp_path, 1) as alone:
        shop = Shop(alone.uri)
        with shop.app.app_context():
            shop.database().things.find_one()
        shop.outside.close()
        alone.members[0].kill()
        before = time.monotonic()
        shop.scopes.close(shop.app)

    # PyMongo takes half a minute for it.
    assert time.monotonic() - before < 10


def test_binds_with_one_address_and_options_share_a_client(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    other = mongo_uri + "&appname=other"
    binds = {"same": mongo_uri, "other": other, "others": other}
    differs = {"uri": mongo_uri, "tz_aware": True}
    shop = open_shop(mongo_uri, MONGO_BINDS={**binds, "differs": differs})
    with shop.app.app_context():
        client = shop.mongo.client
        made = {name: client(name) for name in ("", "same", *binds, "differs")}

        assert made["same"] is made[""]
        assert made["others"] is made["other"]
        assert len({id(each) for each in made.values()}) == 3
        assert client() is client("") is client(bind="")


def test_two_apps_have_clients_of_their_own(shop: Shop, mongo_uri: str) -> None:
    second = flask.Flask("second")
    second.config["MONGO_URI"] = mongo_uri
    shop.scopes.init_app(second)

    with shop.app.app_context(), second.app_context():
        theirs = shop.mongo.client()
    with shop.app.app_context():
        assert shop.mongo.client() is not theirs
    shop.scopes.close(second)


def test_the_address_is_read_at_the_first_use(shop: Shop) -> None:
    uri, shop.app.config["MONGO_URI"] = shop.app.config["MONGO_URI"], None
    with shop.app.app_context():
        with pytest.raises(SetupError, match="there is no MONGO_URI"):
            shop.mongo.client()
        shop.app.config["MONGO_URI"] = uri

        assert shop.mongo.client().admin.command("ping")["ok"] == 1


def test_defaults_are_for_what_is_not_said(open_shop: OpenShop, mongo_uri: str) -> None:
    own = {"uri": mongo_uri, "timeoutMS": 700}
    part = {"uri": mongo_uri, "socketTimeoutMS": 800}
    shop = open_shop(mongo_uri, MONGO_BINDS={"own": own, "part": part})
    with shop.app.app_context():
        assert shop.mongo.client().options.timeout == 15
        assert shop.mongo.client("own").options.timeout == 0.7
        options = shop.mongo.client("part").options
        assert options.timeout is None
        assert options.pool_options.socket_timeout == 0.8
        assert options.server_selection_timeout == 15


def test_options_and_listeners_of_the_user_are_kept(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    class Listener(monitoring.ServerHeartbeatListener):
        def started(self, event: object) -> None: ...
        def succeeded(self, event: object) -> None: ...
        def failed(self, event: object) -> None: ...

    listener = Listener()
    options = {"event_listeners": [listener], "maxPoolSize": 7}
    shop = open_shop(mongo_uri, MONGO_OPTIONS=options)
    with shop.app.app_context():
        found = shop.mongo.client().options

        assert listener in t.cast("list[object]", found.event_listeners)
        assert found.pool_options.max_pool_size == 7
    assert options["event_listeners"] == [listener]


@pytest.mark.parametrize(
    ("uri", "options"),
    [
        ("postgres://localhost/x", {}),
        ("mongodb://ann:pa/ss@localhost/x", {}),
        ("mongodb://ann:secret@localhost/x", {"no_such": 1}),
        ("mongodb://localhost:99999/x", {}),
        ("mongodb://localhost/x", {"maxPoolSize": "many"}),
    ],
)
def test_what_pymongo_refuses_is_said_without_a_password(
    shop: Shop, uri: str, options: dict[str, t.Any]
) -> None:
    shop.app.config.update(MONGO_URI=uri, MONGO_OPTIONS=options)
    with shop.app.app_context(), pytest.raises(SetupError) as raised:
        shop.mongo.client()

    text = str(raised.value)
    assert text.startswith("PyMongo cannot make a client of MONGO_URI")
    assert "To fix it, " in text
    for secret in ("secret", "'pa'", "ss@"):
        assert secret not in text
    assert raised.value.__cause__ is None


def test_databases_are_resources_of_the_application(shop: Shop, mongo_uri: str) -> None:
    shop.app.config["MONGO_BINDS"] = {"logs": mongo_uri + "&appname=logs"}
    blog = shop.mongo.database("blog")
    events = shop.mongo.database("events", bind="logs")

    with shop.app.app_context():
        assert blog() is blog()
        assert blog().name == "blog"
        assert blog().client is shop.mongo.client()
        assert events().client is shop.mongo.client("logs")
    place = r"<application resource mongo.database\('blog'\) at \S+test_clients.py:\d+>"
    assert re.search(place, repr(blog))
    assert events.__name__ == "mongo.database('events', bind='logs')"


def test_a_database_without_a_name_is_the_one_of_the_address(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    named = mongo_uri.replace("/?", "/blog?")
    shop = open_shop(named, MONGO_BINDS={"logs": mongo_uri})
    with shop.app.app_context():
        assert shop.mongo.database()().name == "blog"
        with pytest.raises(SetupError, match=r"MONGO_BINDS\['logs'\], and that has"):
            shop.mongo.database(bind="logs")()


@pytest.mark.parametrize("name", ["a b", "a.b", "a/b", "$a", "a" * 64, "ä" * 32, 7])
def test_a_name_that_no_database_can_have_is_refused_at_once(name: t.Any) -> None:
    with pytest.raises(SetupError, match="cannot be the name of a database"):
        Mongo(Scopes()).database(name)


def test_all_names_can_begin_alike(shop: Shop) -> None:
    blog = shop.mongo.database("blog")
    tenant = shop.mongo.tenant(lambda: 7, "blog_")
    shop.app.config["MONGO_DATABASE_PREFIX"] = "test_"
    with shop.app.app_context():
        assert blog().name == "test_blog"
        assert tenant().name == "test_blog_7"


@pytest.mark.parametrize("prefix", ["a.", "a" * 60, 7, None])
def test_what_no_name_can_begin_with_is_refused(shop: Shop, prefix: object) -> None:
    shop.app.config["MONGO_DATABASE_PREFIX"] = prefix
    with shop.app.app_context(), pytest.raises(SetupError, match="To fix it"):
        shop.database()


def test_outside_of_a_context_the_error_names_the_database(shop: Shop) -> None:
    with pytest.raises(OutsideScopeError, match=r"mongo.database\('shop_"):
        shop.database()


def test_a_client_can_be_overridden(shop: Shop, mongo_uri: str) -> None:
    other: MongoClient[dict[str, t.Any]] = MongoClient(mongo_uri)
    with shop.app.app_context():
        before = shop.database()
        with shop.mongo.client.override(other):
            assert shop.mongo.client() is other
            assert shop.database().client is other
        assert shop.database() is before
    other.close()


def test_a_client_that_is_handed_in_is_used_and_left_open(mongo_uri: str) -> None:
    theirs: MongoClient[dict[str, t.Any]] = MongoClient(mongo_uri)
    scopes = Scopes()
    mongo = Mongo(scopes, client=theirs, binds={"logs": theirs})
    app = flask.Flask("shop")
    scopes.init_app(app)
    with app.app_context():
        assert mongo.client() is theirs
        assert mongo.client("logs") is theirs
        with pytest.raises(SetupError, match="The default client was made elsewhere"):
            mongo.stats()
        with pytest.raises(SetupError, match="The client 'logs' was made elsewhere"):
            mongo.stats("logs")
    scopes.close(app)

    assert theirs.admin.command("ping")["ok"] == 1
    theirs.close()


def test_flask_pymongo_can_be_handed_in(mongo_uri: str) -> None:
    extension = PyMongo()
    scopes = Scopes()
    mongo = Mongo(scopes, client=extension)
    app = flask.Flask("shop")
    app.config["MONGO_URI"] = mongo_uri.replace("/?", "/blog?")
    scopes.init_app(app)
    database = mongo.database(f"shop_{secrets.token_hex(4)}")
    with app.app_context():
        with pytest.raises(SetupError, match="init_app"):
            mongo.client()
        extension.init_app(app)
        assert mongo.client() is extension.cx
        database().things.insert_one({"_id": 1})
        assert database().things.find_one() == {"_id": 1}
        mongo.client().drop_database(database().name)
    extension.cx.close()


def test_what_is_no_client_cannot_be_handed_in() -> None:
    scopes = Scopes()
    mongo = Mongo(scopes, client=t.cast(t.Any, "mongodb://localhost"))
    app = flask.Flask("shop")
    scopes.init_app(app)
    with app.app_context(), pytest.raises(SetupError, match="this str has none"):
        mongo.client()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore::flask_scopes.ForkWarning")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_makes_its_own_and_leaves_its_parents_alone(
    shop: Shop,
) -> None:
    with shop.app.app_context():
        client = shop.mongo.client()
        shop.database().things.insert_one({"_id": "parent"})

    def child() -> object:
        with shop.app.app_context():
            own = shop.mongo.client()
            shop.database().things.insert_one({"_id": "child"})
        shop.scopes.close(shop.app)
        return own is client

    assert in_child(child) == "False"
    with shop.app.app_context():
        assert shop.mongo.client() is client
        shop.database().things.insert_one({"_id": "parent again"})
    assert shop.rows("things") == ["child", "parent", "parent again"]


def test_a_client_says_whether_it_is_well(shop: Shop) -> None:
    with shop.app.app_context():
        assert [ping.status for ping in shop.scopes.pings()] == ["unused"]
        shop.mongo.client()

        (ping,) = shop.scopes.pings()
    assert (ping.name, ping.status) == ("mongo.client", "ok")


def test_an_app_is_gone_although_its_options_refer_to_it(mongo_uri: str) -> None:
    """By a collection: that is a cycle of the app's own."""
    mongo = Mongo(Scopes())

    class Listener(monitoring.ServerHeartbeatListener):
        def __init__(self, app: flask.Flask) -> None:
            self.app = app

        def started(self, event: object) -> None: ...
        def succeeded(self, event: object) -> None: ...
        def failed(self, event: object) -> None: ...

    def serve() -> weakref.ref[flask.Flask]:
        app = flask.Flask("shop")
        options = {"event_listeners": [Listener(app)]}
        app.config.update(MONGO_URI=mongo_uri, MONGO_OPTIONS=options)
        mongo._scopes.init_app(app)
        with app.app_context():
            mongo.session()
        mongo._scopes.close(app)
        return weakref.ref(app)

    gone = serve()
    deadline = time.monotonic() + 20
    while gone() is not None:
        # PyMongo's threads, which it tells to end, have the listener as well.
        assert time.monotonic() < deadline
        gc.collect()
        time.sleep(0.05)


def test_an_app_is_gone_at_once_with_all_that_it_had(mongo_uri: str) -> None:
    scopes = Scopes()
    mongo = Mongo(scopes)
    name = f"shop_{secrets.token_hex(4)}"
    orders = mongo.database(name)

    def serve() -> weakref.ref[flask.Flask]:
        app = flask.Flask("shop")
        app.config["MONGO_URI"] = mongo_uri
        scopes.init_app(app)

        def index() -> str:
            orders().orders.insert_one({})
            return str(mongo.request_stats().commands)

        app.add_url_rule("/", view_func=mongo.transactional(index))
        assert app.test_client().get("/").text == "1"
        with app.app_context():
            client = mongo.client()
            client.drop_database(name)
        scopes.close(app)
        return weakref.ref(app)

    serve()
    gc.collect()
    gc.disable()
    try:
        app = serve()
        gone = app() is None
    finally:
        gc.enable()
    assert gone
