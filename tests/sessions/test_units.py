"""A session is written with the unit of its request, or not at all."""

from __future__ import annotations

import collections.abc as c
import typing as t

import flask
import pytest
import sqlalchemy as sa
from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from flask_scopes import CommitFailed
from flask_scopes.mongo import Mongo
from flask_scopes.sqlalchemy import SQL

from .site import KINDS
from .site import ONE
from .site import OpenSite
from .site import Site

every_store = pytest.mark.parametrize("home", KINDS, indirect=True)
one_store = pytest.mark.parametrize("home", ONE, indirect=True)
WITH_UNITS = ["sqlite", "postgresql", pytest.param("mongo", marks=pytest.mark.mongo)]
with_units = pytest.mark.parametrize("home", WITH_UNITS, indirect=True)


@every_store
@pytest.mark.parametrize("what", ["/fail", "/raise", "/handled", "/doom", "/late"])
def test_a_unit_that_fails_writes_nothing(site: Site, what: str) -> None:
    @site.app.post("/raise")
    def burst() -> t.NoReturn:
        flask.session["fail"] = 1
        raise LookupError

    @site.app.post("/handled")
    def handled() -> t.NoReturn:
        flask.session["fail"] = 1
        raise ZeroDivisionError

    @site.app.errorhandler(ZeroDivisionError)
    def page(error: ZeroDivisionError) -> str:
        return f"{sorted(flask.session)}"

    @site.scopes.request
    def orders() -> c.Iterator[None]:
        yield
        raise LookupError

    @site.app.post("/late")
    def late() -> str:
        orders()
        flask.session["fail"] = 1
        return "late"

    @site.app.post("/doom")
    def doom() -> str:
        flask.session["fail"] = 1
        site.scopes.doom("a test")
        return "doomed"

    browser = site.client()
    browser.post("/login/ann")
    browser.post("/set?a=1")

    response = browser.post(what)

    if what == "/handled":
        assert response.text == "['_user_id', 'a']"
    assert "Set-Cookie" not in response.headers
    assert browser.get("/").json == {"_user_id": "ann", "a": "1"}
    assert "Set-Cookie" not in site.client().post(what).headers


def work_in(site: Site) -> tuple[c.Callable[[str], None], c.Callable[[], list[str]]]:
    """Writes a line in the transaction of this unit; and those that are committed."""
    if isinstance(site.database, SQL):
        sql = site.database
        lines = sa.Table("lines", sa.MetaData(), sa.Column("text", sa.String(50)))
        with site.app.app_context():
            lines.create(sql.engine())

        def write(text: str) -> None:
            sql.session().execute(lines.insert(), {"text": text})

        def read() -> list[str]:
            with sql.engine().connect() as connection:
                return [*connection.scalars(sa.select(lines.c.text))]

        return write, read
    mongo: Mongo = site.database
    blog = mongo.database()

    def note(text: str) -> None:
        blog().lines.insert_one({"text": text}, session=mongo.session())

    return note, lambda: blog().lines.distinct("text")


@with_units
def test_in_the_transaction_of_the_unit_both_are_kept_or_neither(site: Site) -> None:
    write, read = work_in(site)
    stop: list[bool] = []

    @site.scopes.request
    def last() -> c.Iterator[None]:
        yield
        if stop:
            raise LookupError

    @site.app.post("/both")
    def both() -> str:
        write("first")
        last()
        flask.session["both"] = "1"
        return "both"

    @site.app.post("/in/<name>")
    def come_in(name: str) -> str:
        write(name)
        flask.session["_user_id"] = name
        return "in"

    @site.app.post("/anew")
    def anew() -> str:
        write("anew")
        site.sessions.rotate()
        return "anew"

    browser = site.client()
    browser.post("/in/ann")
    stop.append(True)
    assert browser.post("/both").status_code == 500
    assert browser.get("/").json == {"_user_id": "ann"}
    stop.clear()
    assert browser.post("/both").status_code == 200
    assert browser.get("/").json == {"_user_id": "ann", "both": "1"}
    browser.post("/anew")
    assert browser.get("/").json == {"_user_id": "ann", "both": "1"}
    with site.app.app_context():
        assert sorted(read()) == ["anew", "ann", "first"]
        assert len(site.sessions.of("ann")) == 1


@with_units
@pytest.mark.parametrize("joins", [True, False])
def test_who_sees_it_when(site: Site, joins: bool) -> None:
    """What another connection sees while the unit is being committed."""
    write, _ = work_in(site)
    seen: list[object] = []
    cookies: list[str] = []

    @site.scopes.request
    def look() -> c.Iterator[None]:
        # Built first, so finished last: the transaction is committed by then.
        yield
        seen.append(site.client(cookies[0]).get("/").json)

    @site.app.post("/write")
    def change() -> str:
        look()
        if joins:
            write("a line")
        flask.session["a"] = "2"
        return "changed"

    browser = site.client()
    browser.post("/set?a=1")
    cookies.append(site.cookie(browser))
    browser.post("/write")

    assert seen == [{"a": "2" if joins else "1"}]
    assert browser.get("/").json == {"a": "2"}


@with_units
def test_a_commit_that_fails_changes_no_session(site: Site) -> None:
    write, read = work_in(site)

    @site.scopes.request
    def spoil() -> c.Iterator[None]:
        yield
        raise LookupError

    @site.app.post("/write")
    def change() -> str:
        write("a line")
        # Built last, so finished first.
        spoil()
        flask.session["_user_id"] = "ann"
        return "changed"

    @site.app.errorhandler(CommitFailed)
    def page(error: CommitFailed) -> tuple[dict[str, t.Any], int]:
        return dict(flask.session), 503

    browser = site.client()
    browser.post("/set?a=1")

    response = browser.post("/write")

    assert (response.status_code, response.json) == (503, {"a": "1"})
    assert "Set-Cookie" not in response.headers
    assert browser.get("/").json == {"a": "1"}
    with site.app.app_context():
        assert read() == []
        assert site.sessions.of("ann") == []


@with_units
def test_a_request_that_is_not_to_write_keeps_its_session(site: Site) -> None:
    @site.app.get("/read")
    @site.scopes.read_only
    def look() -> str:
        if isinstance(site.database, SQL):
            site.database.session().execute(sa.text("SELECT 1"))
        flask.session["seen"] = "1"
        return "read"

    browser = site.client()
    browser.post("/set?a=1")

    assert browser.get("/read").status_code == 200
    assert browser.get("/").json == {"a": "1", "seen": "1"}


@pytest.mark.parametrize("home", ["sqlite", "postgresql"], indirect=True)
def test_a_transaction_that_has_failed_does_not_keep_it_from_being_read(
    site: Site,
) -> None:
    write, read = work_in(site)

    @site.app.post("/broken")
    def broken() -> t.Any:
        write("a line")
        with pytest.raises(sa.exc.DBAPIError):
            site.database.session().execute(sa.text("SELECT nothing FROM nowhere"))
        return dict(flask.session), 409

    browser = site.client()
    browser.post("/set?a=1")

    assert browser.post("/broken").json == {"a": "1"}
    with site.app.app_context():
        assert read() == []


@pytest.mark.parametrize("home", ["sqlite", "postgresql"], indirect=True)
def test_a_swallowed_error_is_what_the_request_fails_with(site: Site) -> None:
    sql: SQL = site.database
    table = sa.Table(
        "once", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True)
    )

    @site.app.post("/twice")
    def twice() -> str:
        sql.session().execute(table.insert(), {"id": 1})
        with pytest.raises(sa.exc.IntegrityError):
            sql.session().execute(table.insert(), {"id": 1})
        flask.session["a"] = "2"
        return "as if nothing was"

    @site.app.errorhandler(CommitFailed)
    def page(error: CommitFailed) -> tuple[str, int]:
        return type(error.cause).__name__, 409

    with site.app.app_context():
        table.create(sql.engine())
    browser = site.client()
    browser.post("/set?a=1")

    response = browser.post("/twice")

    # SQLite goes on after an error, and so does the request.
    lost = site.home.kind == "postgresql"
    assert response.text == ("IntegrityError" if lost else "as if nothing was")
    assert browser.get("/").json == {"a": "1" if lost else "2"}


@pytest.mark.parametrize(
    "home", [pytest.param("mongo", marks=pytest.mark.mongo)], indirect=True
)
def test_and_in_mongodb(site: Site) -> None:
    mongo: Mongo = site.database
    blog = mongo.database()
    attempts: list[str] = []

    @site.app.post("/twice")
    @site.scopes.retry(3)
    @mongo.transactional
    def twice() -> str:
        attempts.append("once")
        blog().once.insert_one({"_id": 1})
        with pytest.raises(DuplicateKeyError):
            blog().once.insert_one({"_id": 1})
        flask.session["a"] = "2"
        return "as if nothing was"

    @site.app.errorhandler(CommitFailed)
    def page(error: CommitFailed) -> tuple[str, int]:
        return type(error.cause).__name__, 409

    browser = site.client()
    browser.post("/set?a=1")

    assert browser.post("/twice").text == "DuplicateKeyError"
    assert attempts == ["once"]
    assert browser.get("/").json == {"a": "1"}


@pytest.mark.parametrize(
    "home", [pytest.param("mongo", marks=pytest.mark.mongo)], indirect=True
)
def test_a_transaction_that_somebody_wrote_by_hand(site: Site) -> None:
    mongo: Mongo = site.database
    stop: list[bool] = []

    @site.scopes.request
    def transaction() -> c.Iterator[ClientSession]:
        with mongo.client().start_session() as session, session.start_transaction():
            yield session
            if stop:
                raise LookupError

    @site.app.post("/write/<value>")
    def change(value: str) -> str:
        transaction()
        flask.session["a"] = value
        return "changed"

    browser = site.client()
    browser.post("/write/1")
    stop.append(True)
    browser.post("/write/2")

    assert browser.get("/").json == {"a": "1"}


@pytest.mark.parametrize(
    "home", [pytest.param("mongo", marks=pytest.mark.mongo)], indirect=True
)
def test_a_view_that_is_transactional(site: Site) -> None:
    mongo: Mongo = site.database
    blog = mongo.database()

    @site.app.post("/write/<value>")
    @mongo.transactional
    def change(value: str) -> str:
        blog().lines.insert_one({"text": value})
        flask.session["a"] = value
        flask.session["_user_id"] = "ann"
        assert site.sessions.of("ben") == []
        if value == "2":
            flask.abort(409)
        return "changed"

    browser = site.client()
    browser.post("/write/1")
    browser.post("/write/2")

    assert browser.get("/").json == {"_user_id": "ann", "a": "1"}
    with site.app.app_context():
        assert blog().lines.distinct("text") == ["1"]


@one_store
def test_what_is_written_after_the_commit_comes_before_the_response(
    open_site: OpenSite,
) -> None:
    site = open_site()
    order: list[str] = []

    @site.scopes.request
    def orders() -> c.Iterator[None]:
        yield
        order.append("committed")

    with site.app.app_context():
        engine = site.database.engine()
    sa.event.listen(engine, "commit", lambda connection: order.append("session"))

    @site.app.post("/work")
    def work() -> str:
        orders()
        flask.session["a"] = "1"
        return "done"

    site.client().post("/work")

    assert order == ["committed", "session"]
