"""How long a request may wait for MongoDB."""

from __future__ import annotations

import collections.abc as c
import contextvars
import threading
import time
import typing as t
from pathlib import Path

import flask
import pymongo
import pytest
from pymongo import _csot
from pymongo.errors import PyMongoError

from flask_scopes import SetupError

from .apps import OpenShop
from .apps import Shop
from .replica_set import Member
from .replica_set import standalone

pytestmark = pytest.mark.mongo


@pytest.fixture
def own(tmp_path: Path) -> c.Iterator[Member]:
    """A single server that a test may stop."""
    with standalone(tmp_path) as server:
        yield server


def seconds_left() -> float | None:
    """How long an operation may take here. (PyMongo has no public name for it.)"""
    return _csot.remaining()


def ask_for(shop: Shop, seen: list[float | None]) -> None:
    def view() -> str:
        seen.append(seconds_left())
        return "done"

    shop.view(view)
    assert shop.post().status_code == 200


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, 15),
        ({"MONGO_URI": "mongodb://localhost/"}, 5),
        ({"MONGO_REQUEST_TIMEOUT": 0.7}, 0.7),
        ({"MONGO_REQUEST_TIMEOUT": None}, None),
        # Who says anything of time is believed.
        ({"MONGO_OPTIONS": {"socketTimeoutMS": 60_000}}, None),
        ({"MONGO_BINDS": {"a": "mongodb://localhost/?timeoutMS=60000"}}, None),
        ({"MONGO_REQUEST_TIMEOUT": 2, "MONGO_OPTIONS": {"timeoutMS": 60_000}}, 2),
        ({"DEBUG": True}, None),
        ({"DEBUG": True, "MONGO_REQUEST_TIMEOUT": 3}, 3),
        # There may be clients that we have not made.
        ({"MONGO_URI": None}, 15),
    ],
)
def test_there_is_a_limit_unless_somebody_says_otherwise(
    open_shop: OpenShop,
    mongo_uri: str,
    config: dict[str, t.Any],
    expected: float | None,
) -> None:
    shop = open_shop(mongo_uri)
    shop.app.config.update(config)
    seen: list[float | None] = []

    ask_for(shop, seen)

    assert seen == [pytest.approx(expected, abs=0.5) if expected else None]


@pytest.mark.parametrize("value", [0, -1, "5", True, float("nan")])
def test_what_is_no_limit_is_refused(
    open_shop: OpenShop, mongo_uri: str, value: object
) -> None:
    shop = open_shop(mongo_uri, MONGO_REQUEST_TIMEOUT=value)
    shop.app.testing = True
    shop.view(lambda: "done")

    with pytest.raises(SetupError, match="MONGO_REQUEST_TIMEOUT"):
        shop.post()


def test_all_operations_of_a_request_share_it(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    shop = open_shop(mongo_uri, MONGO_REQUEST_TIMEOUT=1.0)
    shop.outside[shop.name].orders.insert_one({"_id": 1})

    def view() -> str:
        for _ in range(10):
            # Each is far below the limit.
            shop.database().orders.find_one({"$where": "sleep(200) || true"})
        return "done"

    shop.view(view)
    before = time.monotonic()

    assert shop.post().status_code == 504
    assert time.monotonic() - before < 1.9


def test_a_server_that_hangs_holds_no_thread_for_longer(
    own: Member, open_shop: OpenShop
) -> None:
    shop = open_shop(f"mongodb://{own.host}/", MONGO_REQUEST_TIMEOUT=0.5)
    shop.view(lambda: str(shop.database().orders.count_documents({})))
    assert shop.post().text == "0"

    own.pause()
    try:
        assert shop.post().status_code in (503, 504)
    finally:
        own.resume()
    assert shop.post().text == "0"


def test_it_counts_for_all_attempts_together(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    shop = open_shop(mongo_uri, MONGO_REQUEST_TIMEOUT=1.0)
    seen: list[float | None] = []

    def view() -> str:
        seen.append(seconds_left())
        if len(seen) < 3:
            time.sleep(0.1)
            raise LookupError
        return "done"

    shop.view(view, shop.scopes.retry(3, on=(LookupError,)))

    assert shop.post().status_code == 200
    left = t.cast("list[float]", seen)
    assert left[0] - 0.1 > left[1] > left[2] + 0.1


def test_a_view_may_have_a_shorter_one(open_shop: OpenShop, mongo_uri: str) -> None:
    shop = open_shop(mongo_uri, MONGO_REQUEST_TIMEOUT=5.0)
    seen: list[float | None] = []

    def view() -> str:
        for seconds in (0.2, None, 60):
            with pymongo.timeout(seconds):
                shop.mongo.client().admin.command("ping")
                seen.append(_csot.DEADLINE.get() - time.monotonic())
        return "done"

    shop.view(view)
    shop.connect()

    assert shop.post().status_code == 200
    # But none that is longer: PyMongo takes the one that ends first.
    assert seen == [pytest.approx(0.2, abs=0.1)] + [pytest.approx(5, abs=0.3)] * 2


def test_nothing_of_it_is_left_in_the_thread(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    shop = open_shop(mongo_uri, MONGO_REQUEST_TIMEOUT=1.0)
    seen: list[float | None] = []

    def fail() -> str:
        raise ZeroDivisionError

    shop.view(fail)
    for _ in range(2):
        shop.post()
        seen.append(seconds_left())
        seen.append(contextvars.copy_context().run(seconds_left))

    assert seen == [None] * 4


def test_requests_that_overlap_have_one_each(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    shop = open_shop(mongo_uri, MONGO_REQUEST_TIMEOUT=5.0)
    together = threading.Barrier(4)
    seen: list[float | None] = []

    def view() -> str:
        time.sleep(0.2 * flask.request.args.get("wait", 0, int))
        together.wait(10)
        seen.append(seconds_left())
        return "done"

    shop.view(view)
    asking = [
        threading.Thread(target=shop.app.test_client().get, args=(f"/?wait={n}",))
        for n in range(4)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(30)

    assert len(seen) == 4
    assert all(left and 3.5 < left <= 5 for left in seen)


def test_a_body_is_streamed_without_it(open_shop: OpenShop, mongo_uri: str) -> None:
    shop = open_shop(mongo_uri, MONGO_REQUEST_TIMEOUT=0.2)
    shop.outside[shop.name].orders.insert_one({"_id": 1})

    def lines() -> t.Iterator[str]:
        time.sleep(0.3)
        rows = shop.database().orders.find({})
        yield from (str(row) for row in rows)

    shop.view(lambda: flask.Response(flask.stream_with_context(lines())))

    assert shop.post().text == "{'_id': 1}"


def test_a_command_has_none(open_shop: OpenShop, mongo_uri: str) -> None:
    shop = open_shop(mongo_uri)
    seen: list[float | None] = []
    shop.app.cli.command("look")(lambda: seen.append(seconds_left()))

    shop.app.test_cli_runner().invoke(args=["look"])

    assert seen == [None]


def test_in_time_means_in_time_for_the_commit_as_well(
    open_shop: OpenShop, mongo_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop = open_shop(mongo_uri, MONGO_REQUEST_TIMEOUT=0.3)
    shop.outside[shop.name].create_collection("orders")
    shop.connect()

    def view() -> str:
        shop.database().orders.insert_one({"_id": 1})
        time.sleep(0.4)
        return "done"

    shop.view(view, shop.mongo.transactional)

    assert shop.post().status_code >= 500
    assert shop.rows() == []
    (record,) = caplog.records
    assert record.exc_info
    assert isinstance(t.cast(t.Any, record.exc_info[1]).cause, PyMongoError)
    # And nobody has to wait for its locks.
    with pymongo.timeout(1):
        shop.outside.drop_database(shop.name)
