"""What is counted, and what is logged as slow."""

from __future__ import annotations

import logging
import threading
import typing as t

import flask
import pytest
from pymongo.errors import OperationFailure

from flask_scopes.mongo import RequestStats
from flask_scopes.mongo import Stats

from .apps import OpenShop
from .apps import Shop

pytestmark = pytest.mark.mongo

SLEEP: t.Final = {"$where": "sleep(400) || true"}


@pytest.fixture
def shop(open_shop: OpenShop, mongo_uri: str) -> Shop:
    shop = open_shop(mongo_uri)
    shop.outside[shop.name].orders.insert_many([{"_id": n} for n in range(3)])
    return shop


def test_a_client_counts_its_commands_and_connections(shop: Shop) -> None:
    with shop.app.app_context():
        assert shop.mongo.stats() == Stats(0, 0, 0, 0.0, 0, 0, 0)
        orders = shop.database().orders
        orders.find_one()
        with pytest.raises(OperationFailure):
            orders.find_one({"$bad": 1})
        cursor = orders.find(batch_size=2)
        next(cursor)
        found = shop.mongo.stats()
        cursor.close()

    assert (found.commands, found.failed) == (3, 1)
    assert found.seconds > 0
    # The answers of the server are all there, so nothing is in use.
    assert (found.connections, found.in_use, found.opened) == (1, 0, 1)


def test_connections_that_are_in_use_are_counted_and_those_that_close(
    shop: Shop,
) -> None:
    with shop.app.app_context():
        client = shop.mongo.client()
        asking = [
            threading.Thread(target=client[shop.name].orders.find_one, args=(SLEEP,))
            for _ in range(4)
        ]
        for thread in asking:
            thread.start()
        while shop.mongo.stats().in_use < 4:
            assert any(thread.is_alive() for thread in asking)
        for thread in asking:
            thread.join(30)
        found = shop.mongo.stats()
        assert (found.connections, found.in_use, found.opened) == (4, 0, 4)
        client.close()
        assert shop.mongo.stats().connections == 0
        assert shop.mongo.stats().opened == 4


def test_each_client_counts_for_itself_and_those_that_are_one_together(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    binds = {"same": mongo_uri, "logs": mongo_uri + "&appname=logs"}
    shop = open_shop(mongo_uri, MONGO_BINDS=binds)
    with shop.app.app_context():
        shop.mongo.client("logs").admin.command("ping")
        counts = [shop.mongo.stats(bind).commands for bind in ("", "same", "logs")]
        shop.mongo.client("same").admin.command("ping")
        again = [shop.mongo.stats(bind).commands for bind in ("", "same", "logs")]

    assert counts == [0, 0, 1]
    assert again == [1, 1, 1]


def test_nothing_is_lost_when_all_threads_count(shop: Shop) -> None:
    with shop.app.app_context():
        client = shop.mongo.client()

    def ask() -> None:
        for _ in range(100):
            client.admin.command("ping")

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with shop.app.app_context():
        found = shop.mongo.stats()

    assert found.commands == 800
    assert found.in_use == 0


def test_a_request_counts_what_it_asks_of_all_clients(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    shop = open_shop(mongo_uri, MONGO_BINDS={"logs": mongo_uri + "&appname=logs"})

    def view() -> dict[str, t.Any]:
        shop.mongo.client().admin.command("ping")
        for _ in range(flask.request.args.get("more", 0, int)):
            shop.mongo.client("logs").admin.command("ping")
        with pytest.raises(OperationFailure):
            shop.mongo.client().admin.command("no such command")
        stats = shop.mongo.request_stats()
        return {"commands": stats.commands, "failed": stats.failed}

    shop.view(view)

    assert shop.app.test_client().get("/").json == {"commands": 2, "failed": 1}
    answer = shop.app.test_client().get("/?more=3").json
    assert answer == {"commands": 5, "failed": 1}


def test_requests_that_overlap_do_not_count_each_others_commands(shop: Shop) -> None:
    together = threading.Barrier(4)
    seen: dict[int, int] = {}

    def view() -> str:
        number = flask.request.args.get("n", 0, int)
        for _ in range(number):
            shop.database().orders.find_one()
            together.wait(10)
        for _ in range(4 - number):
            together.wait(10)
        seen[number] = shop.mongo.request_stats().commands
        return "done"

    shop.view(view)
    threads = [
        threading.Thread(target=shop.app.test_client().get, args=(f"/?n={n}",))
        for n in range(1, 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert seen == {1: 1, 2: 2, 3: 3, 4: 4}


def test_outside_of_a_request_nothing_is_counted_for_it(shop: Shop) -> None:
    with shop.app.app_context():
        shop.mongo.client().admin.command("ping")
        assert shop.mongo.request_stats() == RequestStats()


def test_a_slow_command_is_logged_by_name_without_values(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.app.config["MONGO_SLOW_MS"] = 350
    with shop.app.app_context():
        shop.database().orders.find_one({**SLEEP, "secret": {"$ne": "hidden"}})
        shop.database().orders.find_one()
        found = shop.mongo.stats()

    (record,) = caplog.records
    assert record.name == "flask_scopes.mongo"
    assert record.levelno == logging.WARNING
    text = record.getMessage()
    assert text.startswith(f"slow: find {shop.name}.orders took ")
    assert text.endswith(" ms (default)")
    assert "secret" not in text
    assert "hidden" not in text
    assert found.slow == 1


@pytest.mark.parametrize(
    ("limit", "logged"),
    [(0, ["orders", "orders"]), (10_000, []), (None, []), (350.5, ["orders"])],
)
def test_from_when_on_it_is_slow_is_for_the_app_to_say(
    open_shop: OpenShop,
    mongo_uri: str,
    limit: object,
    logged: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = open_shop(mongo_uri, MONGO_SLOW_MS=limit)
    shop.outside[shop.name].orders.insert_one({})
    with shop.app.app_context():
        shop.database().orders.find_one(SLEEP)
        shop.database().orders.find_one()

    found = [record.getMessage().split()[2].split(".")[1] for record in caplog.records]
    assert found == logged


def test_the_rest_of_a_cursor_is_logged_by_its_collection(
    open_shop: OpenShop, mongo_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    shop = open_shop(mongo_uri, MONGO_SLOW_MS=0)
    shop.outside[shop.name].orders.insert_many([{"_id": n} for n in range(3)])
    with shop.app.app_context():
        list(shop.database().orders.find(batch_size=2))

    last = caplog.records[-1].getMessage()
    assert last.startswith(f"slow: getMore {shop.name}.orders took")
