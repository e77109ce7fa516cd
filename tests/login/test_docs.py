"""What the page "Signing in" shows is run."""

from __future__ import annotations

import collections.abc as c
import datetime
import importlib
import inspect
import pathlib
import re
import sys
import typing as t

import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
import pytest
from flask.testing import FlaskClient as Client

from flask_scopes import Scopes
from flask_scopes.login import Login
from flask_scopes.login import Passwords
from flask_scopes.login import Throttle
from flask_scopes.login import remember
from flask_scopes.login.tokens import Tokens
from flask_scopes.sessions import ServerSessions

from .site import QUICK
from .site import database_name

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "signing-in.md"
FORM = {"email": "ann@example.org", "password": "correct horse", "name": "Ann"}


def blocks() -> tuple[list[str], list[str]]:
    """Those of the shop, and the others."""
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    others = [each for each in found if "MongoUsers" in each or "# before" in each]
    return [each for each in found if each not in others], others


@pytest.fixture
def shop(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> c.Iterator[t.Any]:
    """The page's blocks, one after the other, as one module, but for what does the same
    in MongoDB, and what stood there before.
    """
    monkeypatch.setenv("SECRET_KEY", "a key for tests")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/shop.db?timeout=10")
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shop.py").write_text("\n".join(blocks()[0]))
    module: t.Any = importlib.import_module("shop")
    module.app.config["SCOPES_SESSION_SECURE"] = False
    module.login.passwords = Passwords(module.scopes, hasher=QUICK)
    yield module
    module.scopes.close(module.app)


@pytest.fixture
def browser(shop: t.Any) -> Client:
    client: Client = shop.app.test_client()
    assert client.get("/").text == "Hello stranger"
    assert client.post("/register", data=FORM).text == "Welcome"
    return client


def link_of(shop: t.Any) -> str:
    to, link = shop.letters.pop()
    assert to == FORM["email"]
    return str(link).removeprefix("http://localhost")


def test_registering_and_signing_in(shop: t.Any, browser: Client) -> None:
    assert browser.get("/").text == "Hello Ann"
    assert browser.get("/orders").text == "Orders of Ann"
    assert browser.post("/sign-out").location == "/"
    assert browser.get("/sign-out").status_code == 405
    assert browser.get("/orders").location == "/sign-in?next=%2Forders"
    assert browser.get("/sign-in").text == browser.get("/register").text
    answer = browser.post("/sign-in?next=/orders", data={**FORM, "remember": "1"})
    assert answer.location == "/orders"
    browser.delete_cookie("session")
    assert browser.get("/").text == "Hello Ann"
    wrong = {**FORM, "password": "a guess"}
    assert browser.post("/sign-in", data=wrong).status_code == 401
    assert browser.post("/register", data=FORM).status_code == 409
    assert browser.post("/register", data={**FORM, "email": "x"}).status_code == 422


def test_a_fresh_login(
    shop: t.Any, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert browser.post("/pay").text == "paid"
    assert browser.get("/pay").text == "How much?"
    monkeypatch.setattr(shop.login, "is_fresh", lambda max_age: False)
    assert browser.post("/pay").location == "/password?next=%2Fpay"
    monkeypatch.undo()
    assert browser.get("/password").text == "Is it still you?"
    assert browser.post("/password?next=/pay", data=FORM).location == "/pay"
    assert "still you" in browser.post("/password", data={"password": "x"}).text


def test_letters(shop: t.Any, browser: Client) -> None:
    link = link_of(shop)
    assert browser.get(link).text == "Is this address yours?"
    assert browser.post(link).text == "Thank you"
    assert browser.post(link).status_code == 410

    browser.post("/forgotten", data={"email": "nobody@example.org"})
    assert shop.letters == []
    browser.post("/forgotten", data=FORM)
    link = link_of(shop)
    assert browser.get(link).text == "A new password, please"
    assert browser.post(link, data={"password": "battery"}).text == "Please sign in"
    assert browser.get(link).status_code == 410
    assert browser.get("/").text == "Hello stranger"
    browser.post("/sign-in", data={**FORM, "password": "battery"})
    changed = browser.post("/password/new", data={"password": "staple 42"})
    assert changed.text == "changed, and signed out everywhere else"
    assert browser.get("/").text == "Hello Ann"


def test_devices_and_tokens(shop: t.Any, browser: Client) -> None:
    other = shop.app.test_client()
    other.post("/sign-in", data=FORM)
    assert len(t.cast("list[str]", browser.get("/devices").json)) == 2
    assert browser.post("/devices/unknown/sign-out").status_code == 404
    with shop.app.app_context():
        ids = [each.id for each in shop.login.devices("1")]
    cookie = browser.get_cookie("session")
    assert cookie
    (elsewhere,) = [each for each in ids if not cookie.value.startswith(each)]
    assert browser.post(f"/devices/{elsewhere}/sign-out").location == "/devices"
    assert other.get("/").text == "Hello stranger"

    token = browser.post("/tokens").text
    headers = {"Authorization": f"Bearer {token}"}
    assert other.get("/api/orders", headers=headers).json == ["Ann"]
    assert other.get("/orders", headers=headers).status_code == 403
    assert browser.get("/api/orders").json == ["Ann"]


@pytest.mark.mongo
def test_in_mongodb(mongo_uri: str) -> None:
    _, (in_mongodb, instead) = blocks()
    name = database_name()
    app = flask.Flask("shop")
    app.secret_key = "a key for tests"
    app.config.update(MONGO_URI=mongo_uri, MONGO_DATABASE_PREFIX=f"{name}_")
    app.config["SCOPES_SESSION_SECURE"] = False
    scopes = Scopes()
    names: dict[str, t.Any] = {"ServerSessions": ServerSessions, "Login": Login}
    names |= {"UserMixin": flask_login.UserMixin, "scopes": scopes}
    exec(in_mongodb, names)
    scopes.init_app(app)
    names["login"].passwords = Passwords(scopes, hasher=QUICK)

    @app.post("/")
    def sign_in() -> str:
        users, login = names["users"], names["login"]
        users.add("ann@example.org", login.passwords.hash("correct horse"), name="Ann")
        assert login.sign_in("ann@example.org", "correct horse")
        user = names["current_user"]()
        return f"{user.name} {names['journal']().name == f'{name}_journal_{user.id}'}"

    assert app.test_client().post("/").text == "Ann True"
    with app.app_context():
        names["mongo"].client().drop_database(f"{name}_accounts")
    scopes.close(app)
    before, after = instead.splitlines()
    for line in (before, after):
        exec(line, {"flask_login": flask_login, "Login": Login, "scopes": Scopes()})


def test_forms_of_flask_wtf(shop: t.Any) -> None:
    app = shop.app
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False
    app._got_first_request = False
    shop.csrf.init_app(app)
    app.before_request(shop.check_csrf)
    app.add_url_rule(
        "/form", view_func=lambda: flask.render_template_string("{{ csrf_token() }}")
    )
    app.testing = True
    client = app.test_client()
    token = client.get("/form").text
    assert client.post("/register", data=FORM).status_code == 400
    form = {**FORM, "csrf_token": token}
    assert client.post("/register", data=form).text == "Welcome"
    # After a login it is another one.
    assert client.post("/pay", data={"csrf_token": token}).status_code == 400
    newer = client.get("/form").text
    assert client.post("/pay", data={"csrf_token": newer}).text == "paid"
    api_token = client.post("/tokens", data={"csrf_token": newer}).text
    headers = {"Authorization": f"Bearer {api_token}"}
    assert client.get("/api/orders", headers=headers).json == ["Ann"]


def test_what_the_page_says_in_numbers() -> None:
    text = " ".join(PAGE.read_text().split())
    throttle = Throttle()
    parameters = inspect.signature(Login).parameters

    assert "Five attempts for one account are free" in text
    assert throttle.free == 5
    assert "for an address, after twenty" in text
    assert throttle.free_by_address == 20
    assert "up to a minute" in text
    assert throttle.longest == datetime.timedelta(minutes=1)
    assert "An hour without an attempt forgets all" in text
    assert throttle.forget == datetime.timedelta(hours=1)
    assert "`reset_within=`, an hour; `confirm_within=`, three days" in text
    assert parameters["reset_within"].default == datetime.timedelta(hours=1)
    assert parameters["confirm_within"].default == datetime.timedelta(days=3)
    create = inspect.signature(Tokens.create).parameters
    assert "after 90 days" in text
    assert create["expires"].default == datetime.timedelta(days=90)
    assert "for ten seconds" in text
    assert remember._GRACE == 10
    assert "Two at once in a process" in text
    options = inspect.signature(Passwords).parameters
    assert options["at_once"].default == 2
    assert "up to ten seconds" in text
    assert options["patience"].default == datetime.timedelta(seconds=10)
