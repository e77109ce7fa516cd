"""A store that is away: nobody is taken for a stranger by accident."""

from __future__ import annotations

import collections.abc as c
import contextlib
import datetime
import os
import pathlib
import signal
import socket
import time
import typing as t

import flask
import pytest
import redis

from flask_scopes import SetupError
from flask_scopes.embedded import mongod
from flask_scopes.sessions import Head
from flask_scopes.sessions import SessionStoreError
from flask_scopes.sessions import Stored
from flask_scopes.sessions.in_hand import InHand

from . import redis_server
from .redis_server import RedisServer
from .site import ONE
from .site import Clock
from .site import Home
from .site import Site

Options: t.TypeAlias = t.Any


@pytest.fixture
def server(tmp_path: pathlib.Path) -> c.Iterator[RedisServer]:
    """A Redis that the test may stop."""
    if redis_server.PROGRAM is None:
        pytest.skip("Redis is not installed")
    with redis_server.running(tmp_path) as server:
        yield server


@contextlib.contextmanager
def opened(home: Home, **options: Options) -> c.Iterator[Site]:
    site = Site(home, **options)
    try:
        yield site
    finally:
        site.close()


@pytest.fixture(params=["refuse", "read-only"])
def site(request: pytest.FixtureRequest, server: RedisServer) -> c.Iterator[Site]:
    with opened(Home("redis", server.url), when_down=request.param) as site:
        yield site


def reads_on(site: Site) -> bool:
    return site.sessions._policy.reads_on


def test_a_visitor_with_a_session_is_refused_or_reads_on(
    site: Site, server: RedisServer
) -> None:
    browser = site.client()
    browser.post("/login/ann")
    browser.get("/")

    server.stop()

    assert browser.get("/about").status_code == 200
    response = browser.get("/")
    if reads_on(site):
        assert (response.status_code, response.json) == (200, {"_user_id": "ann"})
    else:
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "10"
    assert "Set-Cookie" not in response.headers
    # Nothing is changed, and nobody is signed out.
    for path in ("/set?a=1", "/logout", "/login/ben", "/rotate"):
        response = browser.post(path)
        assert response.status_code == 503, path
        assert "Set-Cookie" not in response.headers

    server.start()
    assert browser.get("/").json == {}  # This Redis has kept nothing.


@pytest.mark.parametrize("handled", [False, True])
def test_what_looks_with_each_page_does_not_make_a_500_of_it(
    server: RedisServer, handled: bool
) -> None:
    """As Flask-Login does, and a layout that says who is signed in."""
    with opened(Home("redis", server.url)) as site:

        @site.app.after_request
        def look(response: flask.Response) -> flask.Response:
            flask.session.get("_remember")
            return response

        def page(error: Exception) -> tuple[str, int]:
            flask.flash("It is away.")
            return f"away, {flask.session.get('_user_id')}", 503

        if handled:
            site.app.register_error_handler(SessionStoreError, page)
        else:
            site.app.register_error_handler(503, page)

        @site.app.get("/caught")
        def caught() -> str:
            for _ in range(2):
                with pytest.raises(SessionStoreError):
                    flask.session.get("_user_id")
            return "caught"

        browser = site.client()
        browser.post("/login/ann")
        server.stop()

        # The last one has caught it, and is no stranger for that.
        for path in ("/", "/about", "/caught"):
            response = browser.get(path)
            assert (response.status_code, response.text) == (503, "away, None"), path
            assert "Set-Cookie" not in response.headers
        response = browser.post("/logout")
        assert response.status_code == 503
        assert "Set-Cookie" not in response.headers


def test_a_store_that_is_back_for_the_error_page_makes_nobody_a_stranger(
    server: RedisServer,
) -> None:
    with opened(Home("redis", server.url)) as site:

        @site.app.errorhandler(SessionStoreError)
        def page(error: Exception) -> tuple[str, int]:
            server.start()
            flask.flash("It was away.")
            return "away", 503

        browser = site.client()
        browser.post("/login/ann")
        before = site.cookie(browser)
        server.stop()

        response = browser.get("/")

        assert response.status_code == 503
        assert "Set-Cookie" not in response.headers
        assert site.cookie(browser) == before


def test_what_is_in_hand_is_not_written_when_the_store_is_back(
    server: RedisServer,
) -> None:
    """It may be old."""
    with opened(Home("redis", server.url), when_down="read-only") as site:
        browser = site.client()
        browser.post("/login/ann")
        browser.get("/")
        server.stop()

        with site.held(browser, path="/slow") as answers:
            server.start()

        assert answers[0].status_code == 503


def test_a_visitor_whom_this_process_has_not_seen_is_refused(
    site: Site, server: RedisServer, clock: Clock
) -> None:
    known, unknown = site.client(), site.client()
    known.post("/login/ann")
    unknown.post("/login/ben")
    known.get("/")
    forged = site.client(f"{site.cookie(known).partition('.')[0]}.{'x' * 43}")
    server.stop()

    assert unknown.get("/").status_code == 503
    assert forged.get("/").status_code == 503
    clock.pass_by(datetime.timedelta(minutes=5, seconds=1))
    assert known.get("/").status_code == 503


def test_a_visitor_without_a_session_may_look_and_not_write(
    site: Site, server: RedisServer
) -> None:
    server.stop()

    assert site.client().get("/").json == {}
    response = site.client().post("/set?a=1")
    assert response.status_code == 503
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("end", ["logout", "revoke"])
def test_who_had_asked_before_the_end_does_not_let_anybody_in(
    server: RedisServer, end: str
) -> None:
    with opened(Home("redis", server.url), when_down="read-only") as site:
        browser = site.client()
        browser.post("/login/ann")
        browser.get("/")
        twin = site.client(site.cookie(browser))
        with site.app.app_context():
            stored = site.store.load(site.sessions.of("ann")[0].id)
            assert stored is not None
            if end == "revoke":
                site.sessions.revoke_all("ann")
        if end == "logout":
            browser.post("/logout")

        # As another thread does that was between these two lines.
        with site.app.app_context():
            site.sessions._in_hand().keep(stored, time.time())
        server.stop()

        assert twin.get("/").status_code == 503


def test_a_redis_that_is_full_is_away(server: RedisServer) -> None:
    with opened(Home("redis", server.url)) as site:
        browser = site.client()
        browser.post("/login/ann")
        with redis.Redis(port=server.port) as client:
            client.config_set("maxmemory", 1)

        assert browser.post("/set?a=1").status_code == 503

        assert browser.get("/").json == {"_user_id": "ann"}


def test_what_has_ended_is_not_taken_in_hand_again() -> None:
    """By a request that had asked for it before."""
    hand = InHand()
    head = Head("a" * 22, "", "ann", 0, 0, 0, 0)
    stored = Stored(head, {})
    hand.keep(stored, 1000)
    assert hand.find(head.id, 1000) is stored

    hand.end(head.id, 1001)
    hand.keep(stored, 1002)
    hand.drop(head.id)
    hand.keep(stored, 1300)

    assert hand.find(head.id, 1300) is None
    hand.keep(stored, 1301)
    assert hand.find(head.id, 1301) is stored


def test_who_was_signed_out_stays_so(site: Site, server: RedisServer) -> None:
    browser = site.client()
    browser.post("/login/ann")
    browser.get("/")
    old = site.client(site.cookie(browser))
    late = site.client(site.cookie(browser))
    late.get("/")
    browser.post("/logout")
    other = site.client()
    other.post("/login/ben")
    other.get("/")
    with site.app.app_context():
        site.sessions.revoke_all("ben")
    server.stop()

    assert old.get("/").status_code == 503
    assert late.get("/").status_code == 503
    assert other.get("/").status_code == 503


def test_with_what_a_session_had_before_a_change(
    site: Site, server: RedisServer
) -> None:
    browser = site.client()
    browser.post("/set?a=1")
    browser.get("/")
    browser.post("/set?a=2")
    server.stop()

    response = browser.get("/")

    # Not what it was: it is in hand as it is, or not at all.
    assert response.status_code == 503


def test_the_error_can_be_handled(site: Site, server: RedisServer) -> None:
    errors: list[SessionStoreError] = []

    @site.app.errorhandler(SessionStoreError)
    def page(error: SessionStoreError) -> tuple[str, int]:
        errors.append(error)
        return "later", 500

    browser = site.client()
    browser.post("/login/ann")
    server.stop()

    assert browser.post("/set?a=1").text == "later"
    assert site.client().post("/set?a=1").text == "later"
    assert "RedisStore" in str(errors[0])
    assert "Nobody was taken for a stranger" in str(errors[0])
    assert errors[0].__cause__ is not None


def test_what_was_committed_stays_and_that_is_said(
    site: Site, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    ends: list[str] = []

    @site.scopes.request
    def orders() -> c.Iterator[None]:
        yield
        ends.append("committed")

    @site.app.post("/order")
    def order() -> str:
        orders()
        flask.session["a"] = "1"
        server.stop()
        return "ordered"

    response = site.client().post("/order")

    assert ends == ["committed"]
    assert response.status_code == 503
    assert "Set-Cookie" not in response.headers
    assert "was committed, which stays so" in caplog.text


def test_a_command_that_needs_it(site: Site, server: RedisServer) -> None:
    server.stop()
    uses: list[c.Callable[[], object]] = [
        lambda: site.sessions.of("ann"),
        lambda: site.sessions.revoke("x"),
        lambda: site.sessions.revoke_all("ann"),
    ]
    with site.app.app_context():
        for use in uses:
            with pytest.raises(SessionStoreError):
                use()


def nobody_there() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def test_a_sql_database_that_is_away() -> None:
    url = f"postgresql+psycopg://tests@127.0.0.1:{nobody_there()}/x"
    with opened(Home("postgresql", url)) as site:
        browser = site.client(f"{'a' * 22}.{'b' * 43}")

        assert browser.get("/about").status_code == 200
        assert browser.get("/").status_code == 503
        assert site.client().post("/set?a=1").status_code == 503
        assert site.client().get("/").status_code == 200


@pytest.mark.mongo
def test_a_mongodb_that_is_away(tmp_path: pathlib.Path) -> None:
    with contextlib.ExitStack() as running:
        server = running.enter_context(mongod(tmp_path))
        home = Home("mongo", server.uri.replace("/?", "/web?"))
        site = running.enter_context(opened(home, when_down="read-only"))
        site.app.config["MONGO_OPTIONS"] = {"serverSelectionTimeoutMS": 300}
        site.create()
        browser = site.client()
        browser.post("/login/ann")
        browser.get("/")
        os.kill(server.pid, signal.SIGKILL)

        assert browser.get("/").json == {"_user_id": "ann"}
        assert browser.post("/set?a=1").status_code == 503
        assert site.client(f"{'a' * 22}.{'b' * 43}").get("/").status_code == 503


@pytest.mark.parametrize("home", ONE, indirect=True)
def test_tables_that_are_missing(home: Home) -> None:
    with opened(home) as site:
        assert site.client(f"{'a' * 22}.{'b' * 43}").get("/").status_code == 503


def test_an_address_of_redis_that_is_missing_or_wrong() -> None:
    for url in (None, 5, "nonsense"):
        with opened(Home("redis", t.cast("t.Any", url))) as site:
            site.app.testing = True
            with pytest.raises(SetupError, match="REDIS_URL"):
                site.client(f"{'a' * 22}.{'b' * 43}").get("/")
