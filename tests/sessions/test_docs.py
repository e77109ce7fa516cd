"""What the page "Sessions" shows is run."""

from __future__ import annotations

import collections.abc as c
import importlib
import pathlib
import re
import sys
import typing as t

import pytest
from flask.testing import FlaskClient as Client

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "sessions.md"


@pytest.fixture
def shop(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> c.Iterator[t.Any]:
    """The page's blocks, one after the other, as one module."""
    monkeypatch.setenv("SECRET_KEY", "a key for tests")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/shop.db")
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    (tmp_path / "shop.py").write_text("\n".join(blocks))
    module: t.Any = importlib.import_module("shop")
    yield module
    module.scopes.close(module.app)


@pytest.fixture
def browser(shop: t.Any) -> Client:
    return t.cast(Client, shop.app.test_client())


def test_the_cart(shop: t.Any, browser: Client) -> None:
    browser.post("/cart/tea")

    assert browser.post("/cart/milk").text == "2 in your cart"
    browser.post("/cart/empty")
    assert browser.post("/cart/milk").text == "1 in your cart"
    assert shop.app.test_client().post("/cart/tea").text == "1 in your cart"


def test_in_tests(shop: t.Any, browser: Client) -> None:
    shop.test_what_is_in_the_cart(browser)

    with browser.session_transaction() as session:
        assert sorted(session) == ["_user_id", "scopes:cart"]
        assert session["scopes:cart"] == '{"lines":["milk"]}'


def test_the_language(shop: t.Any, browser: Client) -> None:
    seen: list[str] = []

    def show() -> str:
        seen.append(shop.wishes_of("ann"))
        return t.cast(str, shop.language())

    shop.app.get("/language")(show)

    assert browser.get("/language", headers={"Accept-Language": "de"}).text == "de"
    assert browser.get("/language", headers={"Accept-Language": "en"}).text == "de"
    assert browser.post("/language/fr").text == "fr"
    assert browser.get("/language").text == "fr"
    with browser.session_transaction() as session:
        assert sorted(session) == ["scopes:language", 'scopes:wishes["ann"]']


def test_the_devices(shop: t.Any, browser: Client) -> None:
    other = shop.app.test_client()
    assert browser.get("/devices").status_code == 401
    for each in (browser, other):
        each.post("/login/ann")

    assert len(t.cast("list[str]", browser.get("/devices").json)) == 2
    assert browser.post("/devices/unknown/sign-out").status_code == 404
    with shop.app.app_context():
        ids = [each.id for each in shop.sessions.of("ann")]
    cookie = browser.get_cookie("__Host-session")
    assert cookie
    (elsewhere,) = [each for each in ids if not cookie.value.startswith(each)]
    assert browser.post(f"/devices/{elsewhere}/sign-out").status_code == 302
    assert other.get("/devices").status_code == 401
    other.post("/login/ann")
    browser.post("/password")
    assert other.get("/devices").status_code == 401
    browser.post("/logout")
    assert browser.get("/devices").status_code == 401


def test_what_the_page_says_in_numbers(shop: t.Any) -> None:
    policy = shop.sessions._policy
    text = PAGE.read_text()

    assert "two weeks" in text
    assert policy.idle == 14 * 24 * 3600
    assert "three\nmonths" in text
    assert policy.lifetime == 90 * 24 * 3600
    assert "ten seconds" in text
    assert policy.grace == 10
