"""Requests of one visitor that overlap: stopped in the middle while others run."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import contextlib
import http.client
import threading
import typing as t

import flask
import pytest
import sqlalchemy as sa
from werkzeug.serving import make_server

from flask_scopes.sessions import SessionConflict
from flask_scopes.sqlalchemy import SQL

from .site import KINDS
from .site import ONE
from .site import OpenSite
from .site import Site

every_store = pytest.mark.parametrize("home", KINDS, indirect=True)
one_store = pytest.mark.parametrize("home", ONE, indirect=True)
# Those that have transactions, and what begins one with work in it.
WITH_UNITS = ["sqlite", "postgresql", pytest.param("mongo", marks=pytest.mark.mongo)]


@every_store
def test_two_that_change_different_values_both_win(site: Site) -> None:
    browser = site.client()
    browser.post("/set?a=0&b=0&c=0")
    twin = site.client(site.cookie(browser))

    with site.held(browser, twin, path="/append/list{at}") as answers:
        other = site.client(site.cookie(browser))
        other.post("/set?b=1")
        other.post("/drop/c")

    assert [each.status_code for each in answers] == [200, 200]
    assert browser.get("/").json == {"a": "0", "b": "1", "list0": [0], "list1": [0]}


@every_store
def test_of_two_that_change_the_same_the_last_one_wins(site: Site) -> None:
    browser = site.client()
    browser.post("/append/list")
    twin = site.client(site.cookie(browser))

    with site.held(browser, path="/append/list") as answers:
        twin.post("/append/list")
        twin.post("/append/list")

    assert answers[0].status_code == 200
    assert browser.get("/").json == {"list": [0, 1]}


@every_store
def test_or_fails_if_that_is_asked_for(open_site: OpenSite) -> None:
    site = open_site(on_conflict="error")
    errors: list[SessionConflict] = []

    @site.app.errorhandler(SessionConflict)
    def page(error: SessionConflict) -> tuple[str, int]:
        errors.append(error)
        return "conflict", 409

    browser = site.client()
    browser.post("/append/list")
    twin = site.client(site.cookie(browser))

    with site.held(browser, twin, path="/append/list") as answers:
        third = site.client(site.cookie(browser))
        third.post("/append/list")
        third.post("/set?other=1")

    assert [each.status_code for each in answers] == [409, 409]
    assert [each.text for each in answers] == ["conflict", "conflict"]
    assert "'list'" in str(errors[0])
    assert browser.get("/").json == {"list": [0, 1], "other": "1"}


@every_store
def test_different_values_are_no_conflict(open_site: OpenSite) -> None:
    site = open_site(on_conflict="error")
    browser = site.client()
    browser.post("/set?a=0")
    twin = site.client(site.cookie(browser))

    with site.held(browser, twin, path="/append/list{at}") as answers:
        site.client(site.cookie(browser)).post("/set?a=1")

    assert [each.status_code for each in answers] == [200, 200]
    assert browser.get("/").json == {"a": "1", "list0": [0], "list1": [0]}


@every_store
def test_a_view_that_is_retried_after_a_conflict_loses_nothing(
    open_site: OpenSite,
) -> None:
    site = open_site(on_conflict="error")

    @site.app.post("/count")
    @site.scopes.retry(50)
    def count() -> str:
        flask.session["count"] = flask.session["count"] + 1
        return "counted"

    browser = site.client()
    with browser.session_transaction() as session:
        session["count"] = 0
    cookie = site.cookie(browser)

    def work(at: int) -> int:
        return site.client(cookie).post("/count").status_code

    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        assert set(executor.map(work, range(16))) == {200}

    assert browser.get("/").json == {"count": 16}


@pytest.mark.parametrize("home", WITH_UNITS, indirect=True)
def test_a_conflict_is_found_while_all_can_be_rolled_back(open_site: OpenSite) -> None:
    site = open_site(on_conflict="error")
    ends = transactions(site)
    browser = site.client()
    browser.post("/append/list")
    twin = site.client(site.cookie(browser))

    with site.held(browser, path="/order/list") as answers:
        twin.post("/append/list")

    assert answers[0].status_code == 409
    assert ends == ["SessionConflict"]


def transactions(site: Site) -> list[str]:
    """A view that writes, besides the session, with an object of a request that tells
    how it ended.
    """
    ends: list[str] = []

    @site.scopes.request
    def orders() -> c.Iterator[None]:
        try:
            yield
        except BaseException as error:
            ends.append(type(error).__name__)
            raise
        ends.append("committed")

    @site.app.post("/order/<name>")
    def work(name: str) -> str:
        orders()
        found = flask.session.setdefault(name, [])
        site.wait()
        found.append(len(found))
        return "worked"

    return ends


def in_a_transaction(site: Site) -> c.Callable[[], object]:
    """What begins the transaction of a unit in the database of the sessions."""
    if isinstance(site.database, SQL):
        sql = site.database
        return lambda: sql.session().execute(sa.text("SELECT 1"))
    mongo = site.database
    return lambda: mongo.session()


@pytest.mark.parametrize("home", WITH_UNITS, indirect=True)
def test_two_transactions_that_change_different_values_both_win(site: Site) -> None:
    begin = in_a_transaction(site)

    @site.app.post("/order/<name>")
    def order(name: str) -> str:
        found = flask.session.setdefault(name, [])
        site.wait()
        begin()
        found.append(len(found))
        return "ordered"

    browser = site.client()
    browser.post("/set?a=0")
    clients = [site.client(site.cookie(browser)) for _ in range(3)]

    with site.held(*clients, path="/order/list{at}") as answers:
        site.client(site.cookie(browser)).post("/set?a=1")

    assert [each.status_code for each in answers] == [200, 200, 200]
    kept = {"a": "1", "list0": [0], "list1": [0], "list2": [0]}
    assert browser.get("/").json == kept


@contextlib.contextmanager
def served(app: flask.Flask) -> c.Iterator[int]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@every_store
def test_behind_a_real_server(site: Site) -> None:
    @site.app.post("/count/<name>")
    def count(name: str) -> str:
        flask.session[name] = flask.session.get(name, 0) + 1
        return "counted"

    browser = site.client()
    browser.post("/set?a=0")
    headers = {"Cookie": f"{site.cookie_name}={site.cookie(browser)}"}

    def work(name: str) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        statuses: list[int] = []
        for _ in range(10):
            connection.request("POST", f"/count/{name}", headers=headers)
            with connection.getresponse() as response:
                response.read()
                statuses.append(response.status)
        connection.close()
        return statuses

    names = ["b", "c", "d", "e"]
    with served(site.app) as port, concurrent.futures.ThreadPoolExecutor(4) as executor:
        assert set(sum(executor.map(work, names), t.cast("list[int]", []))) == {200}

    assert browser.get("/").json == {"a": "0", **dict.fromkeys(names, 10)}
