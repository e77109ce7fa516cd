"""Sessions that are ended, here or from elsewhere, and do not come back."""

from __future__ import annotations

import datetime
import typing as t

import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
import pytest

from .site import KINDS
from .site import ONE
from .site import SECOND
from .site import Clock
from .site import OpenSite
from .site import Site

every_store = pytest.mark.parametrize("home", KINDS, indirect=True)
one_store = pytest.mark.parametrize("home", ONE, indirect=True)


@every_store
def test_where_somebody_is_signed_in(site: Site, clock: Clock) -> None:
    phone, laptop, other = site.client(), site.client(), site.client()
    before = datetime.datetime.now(datetime.UTC)
    phone.post("/login/ann", headers={"User-Agent": "Phone/1"})
    clock.pass_by(90 * SECOND)
    from_there = {"REMOTE_ADDR": "192.0.2.7"}
    laptop.post(
        "/login/ann", headers={"User-Agent": "Laptop/2"}, environ_base=from_there
    )
    other.post("/login/ben")
    site.client().post("/set?a=1")

    with site.app.app_context():
        found = site.sessions.of("ann")

    assert [each.agent for each in found] == ["Laptop/2", "Phone/1"]
    assert [each.address for each in found] == ["192.0.2.7", "127.0.0.1"]
    assert [each.current for each in found] == [False, False]
    assert all(each.created.tzinfo is datetime.UTC for each in found)
    assert datetime.timedelta() <= found[1].created - before < 60 * SECOND
    assert found[0].seen == found[0].created
    assert found[0].id == site.cookie(laptop).partition(".")[0]


@every_store
def test_what_a_browser_says_of_itself_fits_in(site: Site) -> None:
    agent = "\x00Phone\x1b[31m\t\xa01" + "." * 2000
    from_there = {"HTTP_USER_AGENT": agent, "REMOTE_ADDR": "::1\x00" + "%" * 2000}

    browser = site.client()
    assert browser.post("/login/ann", environ_overrides=from_there).status_code == 200

    with site.app.app_context():
        (device,) = site.sessions.of("ann")
    assert device.agent.startswith("Phone[31m1...")
    assert device.agent.isprintable()
    assert len(device.agent) <= 300
    assert device.address.startswith("::1%%%")


@one_store
def test_the_one_that_asks_is_known(site: Site) -> None:
    @site.app.get("/devices")
    def devices() -> str:
        found = site.sessions.of("ann")
        assert {each.id: each.current for each in found}[str(site.sessions.current)]
        return str(sum(each.current for each in found))

    @site.app.get("/current")
    def current() -> str:
        return str(site.sessions.current)

    phone, laptop = site.client(), site.client()
    assert phone.get("/current").text == "None"
    phone.post("/login/ann")
    laptop.post("/login/ann")

    response = phone.get("/devices")
    assert response.text == "1"
    assert "Cookie" in response.vary
    assert phone.get("/current").text == site.cookie(phone).partition(".")[0]


@one_store
def test_users_may_have_any_kind_of_id(site: Site) -> None:
    @site.app.post("/in")
    def number() -> str:
        flask.session["_user_id"] = 7
        return "in"

    site.client().post("/in")
    with site.app.app_context():
        assert len(site.sessions.of(7)) == len(site.sessions.of("7")) == 1
        assert site.sessions.revoke_all(7) == 1


@every_store
def test_one_is_ended_from_elsewhere(site: Site) -> None:
    phone, laptop = site.client(), site.client()
    phone.post("/login/ann")
    laptop.post("/login/ann")

    with site.app.app_context():
        (lost,) = [
            each.id
            for each in site.sessions.of("ann")
            if site.cookie(phone).startswith(each.id)
        ]
        assert site.sessions.revoke(lost) is True
        assert site.sessions.revoke(lost) is False
        assert len(site.sessions.of("ann")) == 1

    assert phone.get("/").json == {}
    assert laptop.get("/").json == {"_user_id": "ann"}


@every_store
def test_all_but_one_are_ended(site: Site) -> None:
    browsers = [site.client() for _ in range(4)]
    for browser in browsers:
        browser.post("/login/ann")
    other = site.client()
    other.post("/login/ben")

    assert browsers[0].post("/revoke?user=ann&but=me").text == "3"

    assert browsers[0].get("/").json == {"_user_id": "ann"}
    assert [each.get("/").json for each in browsers[1:]] == [{}, {}, {}]
    assert other.get("/").json == {"_user_id": "ben"}


@every_store
def test_all_are_ended_this_one_too(site: Site) -> None:
    browsers = [site.client() for _ in range(3)]
    for browser in browsers:
        browser.post("/login/ann")

    response = browsers[0].post("/revoke?user=ann")

    assert response.text == "3"
    assert response.headers["Set-Cookie"].startswith("__Host-session=; Expires=")
    assert [each.get("/").json for each in browsers] == [{}, {}, {}]
    assert browsers[0].post("/revoke?user=ann").text == "0"


@one_store
def test_what_is_ended_stays_so_when_the_request_fails(site: Site) -> None:
    @site.app.post("/end")
    def end() -> t.NoReturn:
        site.sessions.revoke_all("ann")
        flask.abort(500)

    browser = site.client()
    browser.post("/login/ann")
    site.client().post("/end")

    assert browser.get("/").json == {}


@every_store
@pytest.mark.parametrize("end", ["logout", "revoke", "switch"])
@pytest.mark.parametrize("path", ["/slow", "/append/list", "/rotate_slowly"])
def test_a_slow_request_does_not_bring_it_back(site: Site, end: str, path: str) -> None:
    @site.app.post("/rotate_slowly")
    def rotate_slowly() -> str:
        flask.session["late"] = "1"
        site.sessions.rotate()
        site.wait()
        return "rotated"

    browser = site.client()
    browser.post("/login/ann")
    browser.post("/set?a=1")
    cookie = site.cookie(browser)
    slow = site.client(cookie)

    with site.held(slow, path=path) as answers:
        if end == "logout":
            browser.post("/logout")
        elif end == "switch":
            browser.post("/login/ben")
        else:
            with site.app.app_context():
                site.sessions.revoke_all("ann")

    # It could not know, or is told so.
    assert answers[0].status_code == (409 if path == "/rotate_slowly" else 200)
    assert "Set-Cookie" not in answers[0].headers
    for client in (slow, site.client(cookie)):
        assert client.get("/").json == {}
    with site.app.app_context():
        assert site.sessions.of("ann") == []
    kept = {"_user_id": "ben", "a": "1"} if end == "switch" else {}
    assert browser.get("/").json == kept


@every_store
def test_the_session_before_a_login_is_over(site: Site, clock: Clock) -> None:
    browser = site.client()
    browser.post("/set?a=1")
    before = site.cookie(browser)

    browser.post("/login/ann")

    after = site.cookie(browser)
    assert after.partition(".")[0] != before.partition(".")[0]
    assert browser.get("/").json == {"_user_id": "ann", "a": "1"}
    # For a moment it can be read, by those who were on their way, as it was. What they
    # change is lost, and they do not take the new cookie away.
    late = site.client(before)
    assert late.get("/").json == {"a": "1"}
    for path in ("/set?a=2", "/set?evil=1", "/logout", "/rotate"):
        assert "Set-Cookie" not in late.post(path).headers
    assert late.get("/").json == {"a": "1"}
    assert browser.get("/").json == {"_user_id": "ann", "a": "1"}
    clock.pass_by(11 * SECOND)
    assert late.get("/").json == {}


@every_store
def test_a_request_that_began_before_the_login_changes_nothing_after_it(
    site: Site, clock: Clock
) -> None:
    browser = site.client()
    browser.post("/set?a=1")
    slow, touching = (site.client(site.cookie(browser)) for _ in range(2))

    with (
        site.held(slow, path="/slow") as answers,
        site.held(touching, path="/peek") as others,
    ):
        # It is time to note that the session was used.
        clock.pass_by(61 * SECOND)
        browser.post("/login/ann")

    assert [each.status_code for each in [*answers, *others]] == [200, 200]
    assert browser.get("/").json == {"_user_id": "ann", "a": "1"}
    clock.pass_by(11 * SECOND)
    assert slow.get("/").json == touching.get("/").json == {}


@every_store
def test_two_logins_of_one_browser_at_once(site: Site) -> None:
    @site.app.post("/login_slowly/<user>")
    def login_slowly(user: str) -> str:
        flask.session["_user_id"] = user
        site.wait()
        return "in"

    browser = site.client()
    browser.post("/set?a=1")
    twins = [site.client(site.cookie(browser)) for _ in range(2)]

    with site.held(*twins, path="/login_slowly/ann{at}"):
        pass

    kept = [each.get("/").json for each in twins]
    assert kept == [{"_user_id": f"ann{at}", "a": "1"} for at in range(2)]


@one_store
def test_a_session_is_emptied_and_begun_in_one_request(site: Site) -> None:
    @site.app.post("/out")
    def out() -> str:
        flask.session.clear()
        flask.flash("good bye")
        return "out"

    browser = site.client()
    browser.post("/login/ann")
    before = site.cookie(browser)
    browser.post("/out")

    assert site.client(before).get("/").json == {}
    assert site.cookie(browser) not in ("", before)
    assert list(browser.get("/").json or {}) == ["_flashes"]


@every_store
def test_the_same_user_who_signs_in_again_has_another(site: Site) -> None:
    @site.app.post("/again")
    def again() -> str:
        flask.session.clear()
        flask.session["_user_id"] = "ann"
        return "in"

    browser = site.client()
    browser.post("/login/ann")
    browser.post("/set?a=1")
    before = site.cookie(browser)

    browser.post("/again")

    assert site.cookie(browser).partition(".")[0] != before.partition(".")[0]
    assert site.client(before).get("/").json == {}
    assert browser.get("/").json == {"_user_id": "ann"}
    with site.app.app_context():
        assert len(site.sessions.of("ann")) == 1


@every_store
@pytest.mark.parametrize("user", ["ann", "ben"])
def test_one_that_ends_its_own_and_signs_in_again(site: Site, user: str) -> None:
    seen: list[object] = []

    @site.app.post("/reset")
    def reset() -> str:
        site.sessions.revoke_all("ann")
        seen.append(dict(flask.session))
        flask.session["_user_id"] = user
        seen.append(site.sessions.current)
        flask.abort(409) if flask.request.args else None
        return "reset"

    browser, other = site.client(), site.client()
    for each in (browser, other):
        each.post("/login/ann")
    browser.post("/set?a=1")
    before = site.cookie(browser)

    assert browser.post("/reset").status_code == 200

    assert seen == [{}, None]
    assert site.cookie(browser).partition(".")[0] != before.partition(".")[0]
    assert browser.get("/").json == {"_user_id": user}
    assert site.client(before).get("/").json == other.get("/").json == {}
    # If it fails, nobody is signed in, and what has ended stays so.
    other.post("/login/ann")
    assert other.post("/reset?fail=1").status_code == 409
    assert other.get("/").json == {}


class User(flask_login.UserMixin):  # type: ignore[misc]  # the same
    def __init__(self, name: str) -> None:
        self.id = name


@pytest.fixture
def with_login(open_site: OpenSite) -> Site:
    """The same with Flask-Login, which knows nothing of ids."""
    site = open_site()
    manager = flask_login.LoginManager(site.app)
    manager.user_loader(User)

    @site.app.post("/flask_login/<name>")
    def sign_in(name: str) -> str:
        flask_login.login_user(User(name), fresh="stale" not in flask.request.args)
        return "in"

    @site.app.post("/confirm")
    def confirm() -> str:
        flask_login.confirm_login()
        return "fresh"

    @site.app.post("/flask_logout")
    def sign_out() -> str:
        flask_login.logout_user()
        return "out"

    @site.app.get("/me")
    def me() -> str:
        return str(getattr(flask_login.current_user, "id", "nobody"))

    return site


@one_store
def test_flask_login_needs_nothing_more(with_login: Site) -> None:
    site, browser = with_login, with_login.client()
    browser.post("/set?a=1")
    ids = [site.cookie(browser)]

    def step(path: str) -> None:
        browser.post(path)
        ids.append(site.cookie(browser))

    step("/flask_login/ann?stale=1")
    assert browser.get("/me").text == "ann"
    step("/confirm")
    assert browser.get("/me").text == "ann"
    with site.app.app_context():
        assert len(site.sessions.of("ann")) == 1
    step("/flask_logout")
    assert browser.get("/me").text == "nobody"

    assert len(set(ids)) == 4
    for old in ids[1:-1]:
        assert site.client(old).get("/me").text == "nobody"
    assert browser.get("/").json is not None
    assert (browser.get("/").json or {})["a"] == "1"
