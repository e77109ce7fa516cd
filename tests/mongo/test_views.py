"""Ids in addresses, documents or a 404, and pages when MongoDB is away."""

from __future__ import annotations

import collections.abc as c
import logging
import socket
import threading
import typing as t

import bson
import flask
import pymongo
import pytest
from bson.errors import InvalidId
from pymongo import MongoClient
from pymongo.errors import AutoReconnect
from pymongo.errors import ConnectionFailure
from pymongo.errors import ExecutionTimeout
from pymongo.errors import NetworkTimeout
from pymongo.errors import NotPrimaryError
from pymongo.errors import OperationFailure
from pymongo.errors import PyMongoError
from pymongo.errors import ServerSelectionTimeoutError
from pymongo.errors import WaitQueueTimeoutError
from pymongo.errors import WTimeoutError
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import ServiceUnavailable

from flask_scopes import ArgumentsError
from flask_scopes import CommitFailed
from flask_scopes.mongo import ObjectIdConverter
from flask_scopes.mongo import one_or_404

from .apps import OpenShop
from .apps import Shop

pytestmark = pytest.mark.mongo

ID = bson.ObjectId("65a1" * 6)


@pytest.fixture
def shop(mongo_uri: str) -> c.Iterator[Shop]:
    with Shop(mongo_uri) as shop:
        yield shop


# ---- Ids in addresses ------------------------------------------------------------


@pytest.mark.parametrize("name", ["objectid", "ObjectId"])
def test_an_address_has_an_id(shop: Shop, name: str) -> None:
    shop.app.url_map.converters[name] = ObjectIdConverter

    @shop.app.get(f"/posts/<{name}:post>")
    def show(post: bson.ObjectId) -> str:
        assert isinstance(post, bson.ObjectId)
        return flask.url_for("show", post=post)

    client = shop.app.test_client()
    assert client.get(f"/posts/{ID}").text == f"/posts/{ID}"
    assert client.get(f"/posts/{str(ID).upper()}").text == f"/posts/{ID}"
    for other in (
        "1",
        str(ID)[1:],
        f"{ID}0",
        "g" * 24,
        "٦" * 24,
        f"{ID}%0A",
        "",
        "x/y",
    ):
        assert client.get(f"/posts/{other}").status_code == 404
    with shop.app.test_request_context():
        assert flask.url_for("show", post=str(ID)) == f"/posts/{ID}"
        with pytest.raises(InvalidId, match="'me' is not a valid ObjectId"):
            flask.url_for("show", post="me")


def test_the_name_is_the_apps_to_give(shop: Shop) -> None:
    with pytest.raises(LookupError, match="objectid"):
        shop.app.add_url_rule("/<objectid:post>", view_func=lambda post: "")


# ---- Documents or a 404 -----------------------------------------------------------


def test_a_document_is_there_or_it_is_a_404(shop: Shop) -> None:
    rows = [{"_id": n, "n": n % 2, "text": "long"} for n in range(4)]
    shop.outside[shop.name].posts.insert_many(rows)

    def view() -> t.Any:
        wanted = flask.request.args.get("n", type=int)
        return one_or_404(shop.database().posts, {"n": wanted})

    shop.view(view)
    client = shop.app.test_client()

    assert client.get("/?n=1").json == rows[1]
    assert client.get("/?n=2").status_code == 404


def test_it_takes_what_find_one_takes_and_any_collection(shop: Shop) -> None:
    rows = [{"_id": n, "n": n % 2, "text": "long"} for n in range(4)]
    posts = shop.outside[shop.name].posts
    posts.insert_many(rows)

    assert one_or_404(posts, 2) == rows[2]
    assert one_or_404(posts, {}, {"text": 0}, sort=[("_id", -1)]) == {"_id": 3, "n": 1}
    with shop.app.app_context():
        session = shop.mongo.session()
        ours = shop.database().posts
        ours.insert_one({"_id": 4}, session=session)
        assert one_or_404(ours, 4, session=session) == {"_id": 4}
        with pytest.raises(HTTPException, match="404"):
            one_or_404(ours, 4)


def test_none_of_them_is_not_any_of_them(shop: Shop) -> None:
    shop.outside[shop.name].posts.insert_one({"_id": 1})

    with pytest.raises(ArgumentsError, match="find any document") as raised:
        one_or_404(shop.outside[shop.name].posts, None)
    assert "test_views.py:" in str(raised.value)


# ---- MongoDB is away -------------------------------------------------------------


def nobody_there() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"mongodb://127.0.0.1:{server.getsockname()[1]}/"


def test_nobody_there_is_a_503(
    open_shop: OpenShop, mongo_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop = open_shop(mongo_uri, MONGO_BINDS={"away": nobody_there()})
    shop.app.config["MONGO_REQUEST_TIMEOUT"] = 0.3
    shop.view(lambda: str(shop.mongo.client("away").admin.command("ping")))

    answer = shop.post()

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "10"
    assert "Service Unavailable" in answer.text
    assert "127.0.0.1" not in answer.text
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "Answered / [POST] with 503"
    assert record.exc_info
    assert isinstance(record.exc_info[1], ServerSelectionTimeoutError)


def test_an_answer_that_does_not_come_is_a_504(shop: Shop) -> None:
    shop.connect()
    shop.outside[shop.name].orders.insert_one({})

    def view() -> str:
        with pymongo.timeout(0.2):
            return str(shop.database().orders.find_one({"$where": "sleep(3000)"}))

    shop.view(view)
    answer = shop.post()

    assert answer.status_code == 504
    assert "Gateway Timeout" in answer.text
    assert "Retry-After" not in answer.headers


def test_no_connection_left_is_a_503(open_shop: OpenShop, mongo_uri: str) -> None:
    options = {"maxPoolSize": 1, "waitQueueTimeoutMS": 100}
    shop = open_shop(mongo_uri, MONGO_OPTIONS=options)
    shop.outside[shop.name].orders.insert_one({})
    shop.view(lambda: str(shop.database().orders.find_one({"$where": "sleep(800)"})))
    first = threading.Thread(target=shop.post)
    first.start()
    with shop.app.app_context():
        while not shop.mongo.stats().in_use:
            assert first.is_alive()

    assert shop.post().status_code == 503
    first.join(20)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AutoReconnect("x"), 503),
        (NotPrimaryError("x"), 503),
        (ConnectionFailure("x"), 503),
        (WaitQueueTimeoutError("x"), 503),
        (ServerSelectionTimeoutError("x"), 503),
        (NetworkTimeout("x"), 504),
        (ExecutionTimeout("x"), 504),
        (WTimeoutError("x"), 504),
        (OperationFailure("x"), 500),
        (PyMongoError("x"), 500),
        (OSError("x"), 500),
    ],
)
def test_each_error_has_its_page(shop: Shop, error: Exception, status: int) -> None:
    def view() -> str:
        raise error

    shop.view(view)

    assert shop.post().status_code == status


HANDLERS: list[type[Exception] | int] = [
    *(AutoReconnect, ConnectionFailure, PyMongoError, Exception),
    *(503, HTTPException, ServiceUnavailable),
]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("where", ["app", "blueprint"])
def test_whatever_handler_the_user_has_is_asked(
    shop: Shop, handler: t.Any, where: str
) -> None:
    blueprint = flask.Blueprint("pages", __name__)

    def answer(error: Exception) -> tuple[str, int]:
        return f"{type(error).__name__} of ours", 418

    @blueprint.get("/")
    def index() -> str:
        raise AutoReconnect("x")

    owner = shop.app if where == "app" else blueprint
    owner.register_error_handler(handler, answer)
    shop.app.register_blueprint(blueprint)

    answered = shop.app.test_client().get("/")
    assert answered.status_code == 418
    by_page = handler in (503, HTTPException, ServiceUnavailable)
    assert answered.text.split()[0] == (
        "ServiceUnavailable" if by_page else "AutoReconnect"
    )


def test_a_handler_that_fails_itself_is_a_500(shop: Shop) -> None:
    def fail(error: Exception) -> str:
        raise LookupError

    def view() -> str:
        raise AutoReconnect("x")

    shop.view(view)
    shop.app.register_error_handler(AutoReconnect, fail)

    assert shop.post().status_code == 500


def test_what_was_done_is_undone(shop: Shop) -> None:
    def view() -> str:
        shop.database().orders.insert_one({"_id": 1}, session=shop.mongo.session())
        raise AutoReconnect("x")

    shop.view(view)

    assert shop.post().status_code == 503
    assert shop.rows() == []


def test_it_is_tried_again_before_there_is_a_page(shop: Shop) -> None:
    failures = 2
    attempts: list[int] = []

    def view() -> str:
        attempts.append(1)
        if len(attempts) <= failures:
            raise AutoReconnect("x")
        return "done"

    shop.view(view, shop.scopes.retry(3, on=(AutoReconnect,)))

    assert shop.post().status_code == 200
    attempts.clear()
    failures = 3
    assert shop.post().status_code == 503
    assert len(attempts) == 3


def test_a_commit_whose_outcome_is_unknown_promises_nothing(shop: Shop) -> None:
    @shop.scopes.request
    def unit() -> c.Iterator[str]:
        yield "unit"
        error = AutoReconnect("x")
        error._add_error_label("UnknownTransactionCommitResult")
        raise error

    shop.view(unit)
    answer = shop.post()

    assert answer.status_code == 504
    assert "Retry-After" not in answer.headers


def test_other_failed_commits_are_what_they_were(shop: Shop) -> None:
    raised: Exception = AutoReconnect("x")

    @shop.scopes.request
    def unit() -> c.Iterator[str]:
        yield "unit"
        raise raised

    shop.view(unit)
    assert shop.post().status_code == 503

    raised = OperationFailure("x")
    assert shop.post().status_code == 500


def test_a_handler_for_failed_commits_comes_first(shop: Shop) -> None:
    @shop.scopes.request
    def unit() -> c.Iterator[str]:
        yield "unit"
        raise AutoReconnect("x")

    shop.view(unit)
    shop.app.register_error_handler(CommitFailed, lambda error: ("no", 409))

    assert shop.post().status_code == 409


def test_a_client_that_was_handed_in_is_answered_for_as_well() -> None:
    with MongoClient[t.Any](nobody_there(), serverSelectionTimeoutMS=50) as client:
        shop = Shop(nobody_there(), MONGO_REQUEST_TIMEOUT=0.3)
        shop.view(lambda: str(client.admin.command("ping")))
        try:
            assert shop.post().status_code == 503
        finally:
            shop.outside.close()
