"""Requests that come late, with a secret that has been replaced; and what two requests
do to one session that neither of them alone would.
"""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor

import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
import pytest

from .site import KINDS
from .site import Clock
from .site import OpenSite
from .site import Site

every_store = pytest.mark.parametrize("home", KINDS, indirect=True)
SECOND = datetime.timedelta(seconds=1)


def add_views(site: Site) -> None:
    session = flask.session

    @site.app.post("/page")
    def page() -> str:
        flask.get_flashed_messages()
        site.wait()
        return "page"

    @site.app.post("/flash")
    def flash() -> str:
        flask.flash("hello")
        return "flashed"

    @site.app.post("/permanent")
    def permanent() -> str:
        session.permanent = True
        site.wait()
        return "permanent"

    @site.app.post("/pop/<name>")
    def pop(name: str) -> str:
        session.pop(name)
        site.wait()
        return "popped"

    @site.app.post("/fresh")
    def fresh() -> str:
        session["_fresh"] = True
        session.update(flask.request.args)
        site.wait()
        return "fresh"

    @site.app.post("/login_slowly/<user>")
    def login_slowly(user: str) -> str:
        session.get("csrf")
        site.wait()
        session["_user_id"] = user
        return "in"

    @site.app.post("/login_anew/<user>")
    def login_anew(user: str) -> str:
        session.clear()
        site.wait()
        session["_user_id"] = user
        return "in"

    @site.app.post("/again/<user>")
    def again(user: str) -> str:
        session.pop("_user_id")
        site.wait()
        session["_user_id"] = user
        return "in"

    @site.app.post("/logout_slowly")
    def logout_slowly() -> str:
        session.get("a")
        site.wait()
        session.pop("_user_id")
        return "out"


@every_store
def test_who_only_looks_with_the_old_secret_takes_nothing_away(site: Site) -> None:
    browser = site.client()
    browser.post("/set?a=1")
    old = site.client(site.cookie(browser))
    browser.post("/rotate?a=2")

    assert old.get("/").json == {}

    assert browser.get("/").json == {"a": "2"}


@every_store
def test_an_object_that_is_made_anew_with_the_old_secret_is_not_kept(
    site: Site,
) -> None:
    @site.scopes.session
    def cart() -> list[str]:
        return []

    @site.app.post("/buy/<name>")
    def buy(name: str) -> str:
        cart().append(name)
        if "rotate" in flask.request.args:
            site.sessions.rotate()
        return "bought"

    @site.app.get("/cart")
    def show_cart() -> str:
        return ",".join(cart())

    browser = site.client()
    browser.post("/buy/tea")
    old = site.client(site.cookie(browser))
    browser.post("/buy/milk?rotate=1")

    old.get("/cart")
    old.post("/buy/gin")

    assert browser.get("/cart").text == "tea,milk"


@every_store
def test_who_takes_out_the_last_value_does_not_end_what_another_adds(
    site: Site,
) -> None:
    add_views(site)
    browser = site.client()
    browser.post("/set?a=1")
    other = site.client(site.cookie(browser))

    with site.held(browser, path="/pop/a"):
        assert other.post("/set?b=2").status_code == 200

    assert other.get("/").json == {"b": "2"}


@every_store
def test_what_nobody_is_signed_in_with_may_be_emptied(site: Site) -> None:
    browser = site.client()
    browser.post("/set?a=1&b=2")
    session_id = site.cookie(browser).partition(".")[0]

    response = browser.post("/logout")

    assert "Set-Cookie" not in response.headers
    assert browser.get("/").json == {}
    with site.app.app_context():
        stored = site.store.load(session_id)
    assert stored is not None
    assert stored.rows == {}
    browser.post("/set?c=3")
    assert browser.get("/").json == {"c": "3"}


@every_store
def test_a_page_that_shows_the_last_message_does_not_take_the_new_cookie(
    site: Site,
) -> None:
    add_views(site)
    browser = site.client()
    browser.post("/flash")
    slow = site.client(site.cookie(browser))

    with site.held(slow, path="/page") as answers:
        browser.post("/login/ann")

    assert "Set-Cookie" not in answers[0].headers
    assert (browser.get("/").json or {})["_user_id"] == "ann"


@every_store
@pytest.mark.parametrize("change", ["/rotate", "/login/ann"])
def test_a_late_answer_does_not_bring_the_old_cookie(site: Site, change: str) -> None:
    add_views(site)
    browser = site.client()
    browser.post("/set?a=1")
    slow, late = (site.client(site.cookie(browser)) for _ in range(2))

    with site.held(slow, path="/permanent") as answers:
        browser.post(change)
        assert "Set-Cookie" not in late.post("/permanent").headers

    assert "Set-Cookie" not in answers[0].headers


@every_store
def test_rights_that_several_requests_give_at_once(site: Site) -> None:
    add_views(site)
    browser = site.client()
    browser.post("/login/ann")
    twins = [site.client(site.cookie(browser)) for _ in range(3)]
    late = site.client(site.cookie(browser))

    with site.held(*twins, path="/fresh?n{at}=1") as answers:
        pass

    assert [each.status_code for each in answers] == [200, 200, 200]
    assert sum("Set-Cookie" in each.headers for each in answers) == 1
    (winner,) = [
        twin
        for twin, answer in zip(twins, answers, strict=True)
        if "Set-Cookie" in answer.headers
    ]
    expected = {"_user_id": "ann", "_fresh": True, "n0": "1", "n1": "1", "n2": "1"}
    assert winner.get("/").json == expected
    # What came with the rights is not for the old secret.
    assert late.get("/").json == {"_user_id": "ann"}
    assert late.post("/fresh?late=1").status_code == 200
    assert late.get("/").json == {"_user_id": "ann", "late": "1"}
    assert winner.get("/").json == {**expected, "late": "1"}


@every_store
def test_flask_login_and_a_page_with_many_parts(site: Site) -> None:
    """It marks a session without an address, or with another one, as not fresh."""
    manager = flask_login.LoginManager(site.app)
    manager.user_loader(lambda name: None)

    @site.app.get("/me")
    def me() -> str:
        return str(flask_login.current_user.is_anonymous)

    browser = site.client()
    browser.post("/set?cart=1")
    cookie = site.cookie(browser)

    def ask(at: int) -> tuple[int, bool]:
        response = site.client(cookie).get("/me")
        return response.status_code, "Set-Cookie" in response.headers

    # Without a user, there are no rights that a new secret would be for.
    with ThreadPoolExecutor(6) as threads:
        assert [*threads.map(ask, range(6))] == [(200, False)] * 6
    assert (browser.get("/").json or {})["cart"] == "1"


@every_store
def test_a_conflict_leaves_the_secret_as_it_was(
    open_site: OpenSite, clock: Clock
) -> None:
    site = open_site(on_conflict="error")
    add_views(site)
    browser = site.client()
    browser.post("/login/ann")
    browser.post("/set?b=0")
    other = site.client(site.cookie(browser))

    with site.held(browser, path="/fresh?b=mine") as answers:
        other.post("/set?b=theirs")

    assert answers[0].status_code == 409
    clock.pass_by(11 * SECOND)
    assert browser.get("/").json == {"_user_id": "ann", "b": "theirs"}


@every_store
def test_a_conflict_leaves_all_of_it(open_site: OpenSite) -> None:
    site = open_site(on_conflict="error")

    @site.app.post("/two")
    def two() -> str:
        flask.session["a"] += 1
        flask.session["b"] = "mine"
        flask.session.pop("c", None)
        site.wait()
        return "two"

    @site.app.post("/begin")
    def begin() -> str:
        flask.session.update(a=0, b="", c="")
        return "begun"

    browser = site.client()
    browser.post("/begin")
    other = site.client(site.cookie(browser))

    with site.held(browser, path="/two") as answers:
        other.post("/set?b=theirs")

    assert answers[0].status_code == 409
    assert browser.get("/").json == {"a": 0, "b": "theirs", "c": ""}


@every_store
def test_a_login_takes_along_what_came_while_it_ran(site: Site) -> None:
    add_views(site)
    browser = site.client()
    browser.post("/set?a=1&b=1")
    other = site.client(site.cookie(browser))

    with site.held(browser, path="/login_slowly/ann"):
        other.post("/set?cart=1&b=2")

    expected = {"_user_id": "ann", "a": "1", "b": "2", "cart": "1"}
    assert browser.get("/").json == expected


@every_store
def test_a_login_that_begins_with_nothing_takes_nothing_along(site: Site) -> None:
    add_views(site)
    browser = site.client()
    browser.post("/set?a=1")
    other = site.client(site.cookie(browser))

    with site.held(browser, path="/login_anew/ann"):
        other.post("/set?cart=1")

    assert browser.get("/").json == {"_user_id": "ann"}


@every_store
def test_who_signs_in_again_while_all_is_revoked_is_in(site: Site) -> None:
    add_views(site)
    browser = site.client()
    browser.post("/login/ann")
    browser.post("/set?a=secret")

    with site.held(browser, path="/again/ann"), site.app.app_context():
        assert site.sessions.revoke_all("ann") == 1

    assert browser.get("/").json == {"_user_id": "ann"}


@every_store
def test_a_login_with_the_old_secret_takes_along_what_that_may_see(site: Site) -> None:
    browser = site.client()
    browser.post("/set?a=1")
    old = site.client(site.cookie(browser))
    browser.post("/rotate?b=secret")

    old.post("/login/ben")

    assert old.get("/").json == {"_user_id": "ben", "a": "1"}


@every_store
def test_rights_that_a_late_request_gives_are_not_for_the_old_secret(
    site: Site,
) -> None:
    add_views(site)
    browser = site.client()
    browser.post("/login/ann")
    old = site.client(site.cookie(browser))
    browser.post("/rotate")

    response = old.post("/fresh")

    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert old.get("/").json == {"_user_id": "ann"}
    assert browser.get("/").json == {"_user_id": "ann", "_fresh": True}


@every_store
def test_a_slow_logout_does_not_bring_back_what_was_revoked(site: Site) -> None:
    add_views(site)
    browser = site.client()
    browser.post("/login/ann")
    browser.post("/set?a=secret")

    with site.held(browser, path="/logout_slowly"), site.app.app_context():
        assert site.sessions.revoke_all("ann") == 1

    assert browser.get("/").json == {}


@every_store
def test_who_replaces_the_secret_before_a_login_does_not_keep_the_session(
    site: Site, clock: Clock
) -> None:
    add_views(site)
    browser = site.client()
    browser.post("/set?a=1")
    attacker = site.client(site.cookie(browser))

    with site.held(browser, path="/login_slowly/ann"):
        attacker.post("/rotate")

    assert browser.get("/").json == {"_user_id": "ann", "a": "1"}
    clock.pass_by(11 * SECOND)
    assert attacker.get("/").json == {}


@every_store
def test_a_key_is_replaced_while_a_secret_is(site: Site) -> None:
    @site.app.post("/rotate_slowly")
    def rotate_slowly() -> str:
        site.sessions.rotate()
        site.wait()
        return "rotated"

    browser = site.client()
    browser.post("/login/ann")
    other = site.client(site.cookie(browser))
    site.app.secret_key = "a new one"
    site.app.config["SECRET_KEY_FALLBACKS"] = ["a key for tests"]

    with site.held(browser, path="/rotate_slowly") as answers:
        other.get("/")

    assert answers[0].status_code == 200
    assert browser.get("/").json == {"_user_id": "ann"}
