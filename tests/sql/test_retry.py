"""A conflict with another transaction begins the request anew, and nothing is lost."""

from __future__ import annotations

import collections.abc as c
import contextlib
import threading
import time

import pytest
import sqlalchemy as sa

from flask_scopes import CommitFailed
from flask_scopes.sqlalchemy import get_or_404
from flask_scopes.transient import is_transient

from .shop import Item
from .shop import OpenShop
from .shop import Shop


@pytest.fixture
def serializable(shop: Shop) -> Shop:
    shop.scopes.close(shop.app)
    again = Shop(shop.app.config["SQLALCHEMY_URL"])
    again.app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"isolation_level": "SERIALIZABLE"}
    return again


def test_two_that_read_the_same_both_count(serializable: Shop) -> None:
    shop = serializable
    shop.stock(Item(name="apple", left=10))
    attempts: list[int] = []
    # Both have read before either writes.
    together = threading.Barrier(2, timeout=10)

    @shop.view
    @shop.scopes.retry(5)
    def take() -> str:
        item = shop.sql.session().scalars(sa.select(Item)).one()
        attempts.append(item.left)
        if len(attempts) <= 2:
            together.wait()
        item.left = item.left - 1
        return "taken"

    def ask() -> None:
        assert shop.app.test_client().post("/").text == "taken"

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    # The loser may well come back before the winner is through.
    assert attempts[:2] == [10, 10]
    assert attempts[-1] == 9
    with shop.app.app_context():
        assert shop.sql.session().scalars(sa.select(Item.left)).one() == 8
    shop.scopes.close(shop.app)


def test_a_row_that_is_locked_is_changed_by_one_at_a_time(shop: Shop) -> None:
    """At the isolation that the database has by default, which lets PostgreSQL
    forget what it was told first. SQLite has conflicts, and no locks for rows.
    """
    shop.stock(Item(id=1, name="apple", left=10))
    together = threading.Barrier(2, timeout=10)

    @shop.view
    @shop.scopes.retry(20)
    def take() -> str:
        item = get_or_404(shop.sql.session(), Item, 1, with_for_update=True)
        time.sleep(0.1)  # for the other one to read what is about to change
        item.left = item.left - 1
        return "taken"

    def ask() -> None:
        client = shop.app.test_client()
        together.wait()
        assert client.post("/").text == "taken"

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    with shop.app.app_context():
        assert shop.sql.session().scalars(sa.select(Item.left)).one() == 8


def test_without_retry_the_second_is_told(serializable: Shop) -> None:
    shop = serializable
    shop.stock(Item(name="apple", left=10))
    seen: list[Exception] = []

    @shop.app.errorhandler(Exception)
    def failed(error: Exception) -> tuple[str, int]:
        seen.append(error)
        return "not taken", 409

    @shop.view
    def take() -> str:
        item = shop.sql.session().scalars(sa.select(Item)).one()
        if not seen and item.left == 10:
            seen.append(ValueError())
            assert shop.app.test_client().post("/").text == "taken"
        item.left = item.left - 1
        return "taken"

    assert shop.client.post("/").text == "not taken"
    error = seen[-1]
    assert is_transient(error.cause if isinstance(error, CommitFailed) else error)
    shop.scopes.close(shop.app)


def test_two_that_wait_for_each_other_both_come_through(
    open_shop: OpenShop, new_database: c.Callable[[], str]
) -> None:
    shop = open_shop(new_database())
    shop.create()
    shop.stock(Item(id=1, name="apple"), Item(id=2, name="pear"))
    calls: list[int] = []
    together = threading.Barrier(2, timeout=10)
    shop.app.add_url_rule("/<int:first>", view_func=lambda first: take(first))

    @shop.scopes.retry(3)
    def take(first: int) -> str:
        calls.append(first)
        for number in (first, 3 - first):
            one = sa.update(Item).where(Item.id == number)
            shop.sql.session().execute(one.values(left=Item.left - 1))
            if len(calls) <= 2 and number == first:
                # Each has the row that the other one wants next.
                together.wait()
        return "taken"

    def ask(first: int) -> None:
        assert shop.app.test_client().get(f"/{first}").text == "taken"

    threads = [threading.Thread(target=ask, args=[first]) for first in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert len(calls) == 3
    with shop.app.app_context():
        assert shop.sql.session().scalars(sa.select(Item.left)).all() == [1, 1]


def test_a_conflict_that_the_view_swallows_is_a_conflict_all_the_same(
    open_shop: OpenShop, new_database: c.Callable[[], str]
) -> None:
    shop = open_shop(new_database())
    shop.create()
    shop.stock(Item(name="apple", left=10))
    attempts: list[int] = []

    @shop.view
    @shop.scopes.retry(3)
    def take() -> str:
        session = shop.sql.session()
        session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
        item = session.scalars(sa.select(Item)).one()
        attempts.append(item.left)
        if len(attempts) == 1:
            with shop.scopes.unit():
                shop.sql.session().scalars(sa.select(Item)).one().left = 5
        with contextlib.suppress(sa.exc.OperationalError):
            session.execute(sa.update(Item).values(left=item.left - 1))
        return "taken"

    assert shop.client.post("/").text == "taken"
    assert (attempts[0], attempts[-1]) == (10, 5)
    with shop.app.app_context():
        assert shop.sql.session().scalars(sa.select(Item.left)).one() == 4


class _MySQLError(Exception):
    """As the drivers have it: the number is the first argument."""


@pytest.mark.parametrize(
    ("module", "code", "expected"),
    [
        ("pymysql.err", 1213, True),
        ("MySQLdb", 1205, True),
        ("pymysql.err", 1062, False),
        ("shop", 1213, False),
    ],
)
def test_the_numbers_of_mysql(module: str, code: int, expected: bool) -> None:
    kind = type("OperationalError", (_MySQLError,), {"__module__": module})
    driver_error = kind(code, "Deadlock found when trying to get lock")
    assert is_transient(driver_error) is expected
    wrapped = sa.exc.OperationalError("UPDATE", {}, driver_error)
    assert is_transient(wrapped) is expected


def test_the_number_of_mysql_connector() -> None:
    kind = type("InternalError", (Exception,), {"__module__": "mysql.connector.errors"})
    error = kind("1213 (40001): Deadlock found")
    error.errno = 1213
    assert is_transient(error)
