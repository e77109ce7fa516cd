"""What the page "Concepts" shows and says is run."""

from __future__ import annotations

import collections.abc as c
import contextlib
import re
import sqlite3
import typing as t
from pathlib import Path
from xml.etree import ElementTree

import flask
import pytest
from flask.testing import FlaskClient

from flask_scopes import CycleError
from flask_scopes import OutsideScopeError
from flask_scopes import ScopeMismatchError

from .page import Page
from .page import load


@pytest.fixture
def page() -> Page:
    return Page("concepts")


@pytest.fixture
def shop(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Any:
    page.write(tmp_path, monkeypatch)
    with contextlib.closing(sqlite3.connect("shop.db")) as connection:
        connection.execute("CREATE TABLE orders (item)")
    return load("shop")


@pytest.fixture
def app(shop: t.Any) -> c.Iterator[flask.Flask]:
    app = t.cast(flask.Flask, shop.create_app())
    yield app
    shop.scopes.close(app)


@pytest.fixture
def client(app: flask.Flask) -> FlaskClient:
    return app.test_client()


def test_the_example(shop: t.Any, app: flask.Flask, client: FlaskClient) -> None:
    assert client.post("/orders/tea").text == "1 ordered"
    assert client.post("/orders/milk").text == "2 ordered"
    assert app.test_client().post("/orders/tea").text == "1 ordered"
    assert shop.db.__name__ == "db"


def tried(shop: t.Any, name: str) -> dict[str, bool]:
    """What a factory of this scope may call, as it turns out."""
    decorate: t.Any = {
        "`@scopes.application`": shop.scopes.application,
        "`@scopes.session`": shop.scopes.session(name="probe"),
        "`@scopes.request`": shop.scopes.request,
    }[name]
    seen: dict[str, bool] = {}
    objects: dict[str, t.Callable[[], object]] = {
        "application": lambda: shop.database(),
        "session": lambda: shop.cart(),
        "request": lambda: shop.db(),
        "`current_app`": lambda: flask.current_app.name,
        "`request`": lambda: flask.request.path,
        "`session`": lambda: flask.session.get("x"),
        "`g`": lambda: flask.g.get("x"),
    }

    def probe() -> int:
        for key, look in objects.items():
            try:
                look()
            except (ScopeMismatchError, RuntimeError):
                seen[key] = False
            else:
                seen[key] = True
        return 1

    decorate(probe)()
    return seen


def test_the_table_of_what_a_factory_may_use(
    shop: t.Any, app: flask.Flask, page: Page
) -> None:
    (head,) = re.findall(r"^\| \| (`@scopes.*) \|$", page.text, re.M)
    names = head.split(" | ")
    table = {row[0]: row[1:] for row in page.rows()}
    for column, name in enumerate(names):
        with app.test_request_context():
            seen = tried(shop, name)
        sees = table["its factory sees"][column].split(", ")
        calls = table["its factory may call"][column]
        scopes = ["application", "session", "request"]
        may = scopes if calls == "all" else calls.split(", ")
        assert {key for key, was in seen.items() if was} == {*sees, *may}, name


def test_how_long_they_live(shop: t.Any, app: flask.Flask) -> None:
    log: list[str] = []

    @shop.scopes.application  # type: ignore[untyped-decorator]  # the module is any
    def first() -> c.Iterator[str]:
        log.append("application")
        yield "a"
        log.append("closed")

    @shop.scopes.request  # type: ignore[untyped-decorator]  # the module is any
    def second() -> c.Iterator[str]:
        log.append("request")
        yield first()
        log.append("finished")

    app.add_url_rule("/", view_func=lambda: second() + second())
    app.test_client().get("/")
    app.test_client().get("/")
    shop.scopes.close(app)
    once = ["request", "finished"]
    assert log == ["request", "application", "finished", *once, "closed"]


def test_a_longer_life_does_not_use_a_shorter_one(
    app: flask.Flask, client: FlaskClient
) -> None:
    client.post("/orders/tea")
    with app.test_request_context():
        with pytest.raises(ScopeMismatchError):
            load("wrong").reports()
        assert load("reports").reports().count() == 1


def test_the_check_finds_both(app: flask.Flask, tmp_path: Path) -> None:
    def check() -> str:
        return app.test_cli_runner().invoke(args=["scopes", "check"]).output

    load("reports")
    before = check()
    load("wrong")
    (tmp_path / "circle.py").write_text(
        "from shop import scopes\n"
        "@scopes.request\ndef one(): return two()\n"
        "@scopes.request\ndef two(): return one()\n"
    )
    load("circle")
    after = check()
    assert "wrong.py" not in before
    assert "wrong.py" in after
    assert "circle.py" in after


def test_a_circle(shop: t.Any, app: flask.Flask) -> None:
    @shop.scopes.request  # type: ignore[untyped-decorator]  # the module is any
    def circle() -> int:
        return int(circle())

    with app.test_request_context(), pytest.raises(CycleError):
        circle()


def test_arguments(app: flask.Flask, client: FlaskClient) -> None:
    client.post("/orders/apple")
    orders_like: t.Any = load("archives").orders_like
    with app.app_context():
        found = orders_like("a%")
        assert found == ["apple"]
        assert orders_like("a%", 10) is found
        assert orders_like(pattern="a%") is found
        assert orders_like("b%") == []


def test_an_override(shop: t.Any) -> None:
    load("in_a_test")
    with contextlib.closing(sqlite3.connect("test.db")) as connection:
        assert connection.execute("SELECT * FROM orders").fetchall() == []


def test_units(shop: t.Any, app: flask.Flask, client: FlaskClient) -> None:
    with contextlib.closing(sqlite3.connect("shop.db")) as connection:
        connection.execute("INSERT INTO orders VALUES ('')")
        connection.commit()
        load("nightly").clean(app)
        assert connection.execute("SELECT * FROM orders").fetchall() == []
    with app.test_request_context():
        outer = shop.db()
        with app.app_context():
            assert shop.db() is not outer
        with shop.scopes.unit():
            assert shop.db() is not outer
        assert shop.db() is outer


def test_threads(app: flask.Flask) -> None:
    threads: t.Any = load("threads")
    shop: t.Any = load("shop")
    with app.test_request_context():
        assert threads.part_of_the_request() is shop.cart()
    assert threads.on_its_own(app) == "shop.db"
    threads.threads.shutdown()


def test_outside_and_two_apps(shop: t.Any, app: flask.Flask) -> None:
    with pytest.raises(OutsideScopeError):
        shop.database()
    other = shop.create_app()
    other.config["DATABASE"] = "other.db"
    with app.app_context(), other.app_context():
        assert shop.database() == "other.db"
    shop.scopes.close(other)
    with app.app_context():
        assert shop.database() == "shop.db"


def test_the_picture(page: Page) -> None:
    (name,) = re.findall(r"\]\((images/.*?)\)", page.text)
    picture = (page.path.parent / name).read_text()
    ElementTree.fromstring(picture)
    assert "prefers-color-scheme: dark" in picture
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", picture)


def test_the_page_is_in_order(page: Page) -> None:
    page.check()
