"""The user of a request: who it is, how often they are loaded, and who sees them."""

from __future__ import annotations

import collections.abc as c
import contextvars
import gc
import threading
import typing as t
import weakref

import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
import pytest

from flask_scopes import CycleError
from flask_scopes import Scopes
from flask_scopes import ScopesError
from flask_scopes import SetupError
from flask_scopes.login import Login

from .site import KINDS
from .site import OpenSite
from .site import Site
from .site import User

every_kind = pytest.mark.parametrize("home", KINDS, indirect=True)
ANN = "ann@example.org"


@every_kind
def test_signing_in_and_out(site: Site) -> None:
    browser = site.browser()

    assert browser.who == "nobody"
    assert browser.sign_in(ANN, "a guess").status_code == 401
    assert browser.sign_in("nobody@example.org").status_code == 401
    assert browser.who == "nobody"
    assert browser.sign_in(" ANN@Example.org ").status_code == 200
    assert browser.who == ANN
    assert site.browser().who == "nobody"
    browser.post("/sign-out")
    assert browser.who == "nobody"
    assert browser.get("/private").location == "/sign-in?next=%2Fprivate"


def test_nobody_is_loaded_for_a_stranger(site: Site) -> None:
    site.browser().get("/")

    assert site.loaded == []


def test_they_are_loaded_once_and_where_they_are_first_asked_for(site: Site) -> None:
    def page() -> str:
        assert site.loaded == []
        first = site.current_user()
        for _ in range(3):
            assert site.current_user() is first
            assert flask_login.current_user._get_current_object() is first
        assert flask.render_template_string("{{ current_user.email }}") == ANN
        return "page"

    site.view("/page", page)
    browser = site.browser(ANN)
    site.loaded.clear()
    browser.get("/about")
    assert site.loaded == []

    assert browser.get("/page").status_code == 200
    assert len(site.loaded) == 1


def test_a_template_that_shows_no_user_loads_none(site: Site) -> None:
    site.view("/page", lambda: flask.render_template_string("page"))
    browser = site.browser(ANN)
    site.loaded.clear()

    response = browser.get("/page")

    assert site.loaded == []
    assert "Cookie" not in response.headers.get("Vary", "")
    assert "Cookie" in browser.get("/").headers["Vary"]


def test_flask_logins_own_name_is_loaded_by_the_resource(site: Site) -> None:
    def page() -> str:
        assert flask_login.current_user.email == ANN
        return "same" if site.current_user() == flask_login.current_user else "other"

    site.view("/page", page)
    browser = site.browser(ANN)
    site.loaded.clear()

    assert browser.get("/page").text == "same"
    assert len(site.loaded) == 1


def test_what_is_built_from_them_is_built_anew_after_a_login(site: Site) -> None:
    site.register("ben@example.org")

    @site.scopes.request
    def name() -> str:
        user = site.current_user()
        return user.email if user else "nobody"

    @site.scopes.request
    def greeting() -> str:
        return f"hello {name()}"

    def both() -> str:
        said = [greeting()]
        for email in (ANN, "ben@example.org"):
            account = site.login.users.find(email)
            assert account
            flask_login.login_user(site.load(account.id))
            said.append(greeting())
            user = site.current_user()
            assert user
            assert user.email == email
        flask_login.logout_user()
        assert site.current_user() is None
        return ", ".join([*said, greeting()])

    site.view("/both", both, methods=["POST"])

    said = site.browser().post("/both").text
    expected = ["nobody", ANN, "ben@example.org", "nobody"]
    assert said == ", ".join(f"hello {each}" for each in expected)


def test_a_login_that_fails_is_none(site: Site) -> None:
    def fail() -> str:
        assert site.login.sign_in(ANN, "correct horse")
        flask.abort(409)

    @site.app.errorhandler(409)
    def page(error: Exception) -> tuple[str, int]:
        user = site.current_user()
        return f"{user}, {flask_login.current_user.is_authenticated}", 409

    site.view("/fail", fail, methods=["POST"])
    browser = site.browser()

    assert browser.post("/fail").text == "None, False"
    assert browser.who == "nobody"


@pytest.mark.parametrize("how", ["raises", "answers"])
def test_a_login_that_fails_is_none_with_a_user_loader(
    scopes: Scopes, app: flask.Flask, how: str
) -> None:
    login = Login(scopes)
    login.user_loader(lambda user_id: User(user_id, "ann@example.org"))

    @app.post("/")
    def sign_in() -> tuple[str, int]:
        flask_login.login_user(User("1", "ann@example.org"))
        if how == "raises":
            raise LookupError
        return "no", 400

    @app.get("/")
    def who() -> str:
        return str(flask_login.current_user.is_authenticated)

    client = app.test_client()
    client.post("/")

    assert client.get("/").text == "False"


def test_an_account_is_signed_in_as_its_user(site: Site) -> None:
    def sign_in() -> str:
        account = site.login.users.find(ANN)
        assert account
        return str([site.login.sign_in_as(each) for each in (account, None)])

    site.view("/in", sign_in, methods=["POST"])
    browser = site.browser()

    assert browser.post("/in").text == "[True, False]"
    assert browser.who == ANN


def test_who_is_not_active_is_nobody(site: Site) -> None:
    site.register("inactive@example.org")
    browser = site.browser()

    assert browser.sign_in("inactive@example.org").status_code == 401
    assert browser.who == "nobody"


def test_who_is_made_inactive_is_nobody_from_then_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = site.browser(ANN)
    monkeypatch.setattr(site, "is_inactive", lambda account: True)

    assert browser.who == "nobody"
    assert browser.get("/private").status_code == 302


def test_each_unit_has_its_own(site: Site) -> None:
    def page() -> str:
        outside = site.current_user()
        with site.scopes.unit():
            inside = site.current_user()
            assert flask_login.current_user == inside
        assert site.current_user() is outside
        assert inside is not outside
        return "same" if inside == outside else "other"

    site.view("/page", page)
    browser = site.browser(ANN)
    site.loaded.clear()

    assert browser.get("/page").text == "same"
    assert len(site.loaded) == 2


def test_the_page_of_an_error_can_show_them(site: Site) -> None:
    def fail() -> str:
        assert site.current_user()
        raise LookupError

    @site.app.errorhandler(LookupError)
    def page(error: Exception) -> tuple[str, int]:
        user = site.current_user()
        assert user
        assert flask_login.current_user == user
        return user.email, 500

    site.view("/fail", fail)

    assert site.browser(ANN).get("/fail").text == ANN


def test_a_streamed_body_can_show_them(site: Site) -> None:
    def page() -> flask.Response:
        assert site.current_user()

        def body() -> c.Iterator[str]:
            yield "hello "
            yield flask_login.current_user.email

        return flask.Response(flask.stream_with_context(body()))

    site.view("/page", page)

    assert site.browser(ANN).get("/page").text == f"hello {ANN}"


def test_threads_of_a_request_share_them(site: Site) -> None:
    def page() -> str:
        found: list[User | None] = []
        gate = threading.Barrier(4)

        def ask() -> None:
            gate.wait(10)
            found.append(site.current_user())

        run = contextvars.copy_context
        threads = [threading.Thread(target=run().run, args=[ask]) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(10)
        return str(len({id(each) for each in found}))

    site.view("/page", page)
    browser = site.browser(ANN)
    site.loaded.clear()

    assert browser.get("/page").text == "1"
    assert len(site.loaded) == 1


def test_an_async_view_has_them(site: Site) -> None:
    async def page() -> str:
        user = site.current_user()
        return user.email if user else "nobody"

    site.view("/page", page)

    assert site.browser(ANN).get("/page").text == ANN


def test_outside_of_a_request_there_is_nobody(site: Site) -> None:
    with site.app.app_context():
        assert site.current_user() is None
        assert not flask_login.current_user


def test_an_override_is_seen_by_all(site: Site) -> None:
    guest = User("0", "guest@example.org")
    browser = site.browser(ANN)

    with site.current_user.override(guest):
        assert browser.who == "guest@example.org"
        assert browser.get("/private").status_code == 200
        assert site.browser().who == "guest@example.org"
    with site.current_user.override(None):
        assert browser.who == "nobody"
        assert browser.get("/private").status_code == 302
    assert browser.who == ANN


def test_it_has_the_name_and_the_place_of_its_function(site: Site) -> None:
    assert site.current_user.__name__ == "load"
    assert site.current_user.__doc__ == site.load.__doc__
    assert "login/site.py" in repr(site.current_user)


def test_it_can_be_imported_by_name_in_another_process() -> None:
    scopes = Scopes()

    @Login(scopes).user
    def current_user(user_id: str) -> User | None:
        """Whose request it is."""
        return None

    assert current_user.__doc__ == "Whose request it is."
    assert current_user.__module__ == __name__


def test_a_loader_that_fails_is_asked_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails: list[bool] = []
    get = site.login.users.get

    def sometimes(user_id: str) -> object:
        if fails and fails.pop():
            raise ConnectionResetError
        return get(user_id)

    monkeypatch.setattr(site.login.users, "get", sometimes)

    def page() -> str:
        fails.append(True)
        with pytest.raises(ConnectionResetError):
            site.current_user()
        user = site.current_user()
        return user.email if user else "nobody"

    site.view("/page", page)

    assert site.browser(ANN).get("/page").text == ANN


def test_a_loader_that_asks_for_itself_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = site.browser(ANN)
    monkeypatch.setattr(
        site, "is_inactive", lambda _: flask_login.current_user.is_active
    )
    site.app.testing = True

    with pytest.raises(CycleError):
        browser.get("/")


def test_there_is_one_loader(site: Site) -> None:
    with pytest.raises(SetupError, match="already"):

        @site.login.user
        def another(user_id: str) -> User | None:
            return None


def test_a_loader_is_not_async(scopes: Scopes) -> None:
    async def load(user_id: str) -> User | None:
        return None

    with pytest.raises(SetupError, match="async"):
        Login(scopes).user(load)


def test_a_user_is_one_to_flask_login(scopes: Scopes, app: flask.Flask) -> None:
    login = Login(scopes)
    login.user(lambda user_id: {"id": user_id})
    app.testing = True

    @app.post("/")
    def sign_in() -> str:
        flask.session["_user_id"] = "1"
        return str(flask_login.current_user)

    with pytest.raises(ScopesError, match="UserMixin"):
        app.test_client().post("/")


@pytest.mark.parametrize("kind", ["test_request_context", "app_context"])
@pytest.mark.parametrize("looks_before", [True, False])
def test_two_apps_know_their_own(
    open_site: OpenSite, kind: str, looks_before: bool
) -> None:
    one, two = open_site(), open_site()
    one.register()

    def across() -> str:
        assert not looks_before or one.current_user()
        with getattr(two.app, kind)():
            assert two.current_user() is None
            assert not flask_login.current_user.is_authenticated
        user = one.current_user()
        return user.email if user else "nobody"

    one.view("/across", across)

    assert one.browser(ANN).get("/across").text == ANN


def test_g_has_it_as_with_flask_login(site: Site) -> None:
    def page() -> str:
        g: t.Any = flask.g
        assert "_login_user" in g
        assert g._login_user is site.current_user()
        assert g.get("_login_user") is site.current_user()
        # What some do in tests, so that it is loaded again.
        before = g.pop("_login_user")
        assert site.current_user() == before
        assert site.current_user() is not before
        del g._login_user
        guest = User("0", "guest@example.org")
        g._login_user = guest
        assert site.current_user() is guest
        assert "_login_user" not in [*g]
        g.other = 1
        assert g.get("other") == g.pop("other") == 1
        assert g.get("other", 2) == g.pop("other", 2) == 2
        assert "other" not in g
        del g._login_user
        return "page"

    site.view("/page", page)

    assert site.browser(ANN).get("/page").text == "page"
    with site.app.app_context():
        g: t.Any = flask.g
        assert "_login_user" not in g
        assert g.get("_login_user") is None
        assert g.pop("_login_user", 3) == 3
        with pytest.raises(AttributeError):
            g._login_user  # noqa: B018  # what is read is the point


def test_the_class_of_g_that_an_app_has_stays(scopes: Scopes, app: flask.Flask) -> None:
    class Own(flask.ctx._AppCtxGlobals):
        shop = "tea"

    app.app_ctx_globals_class = Own
    login = Login(scopes)
    login.user_loader(lambda user_id: None)
    with app.test_request_context():
        assert flask.g.shop == "tea"
        assert isinstance(flask.g._get_current_object(), Own)
        assert not flask_login.current_user.is_authenticated


def test_an_app_that_nobody_has_any_more_is_gone() -> None:
    scopes = Scopes()
    login = Login(scopes)
    login.user_loader(lambda user_id: None)
    app = flask.Flask("app")
    app.secret_key = "a key for tests"
    scopes.init_app(app)
    app.add_url_rule("/", view_func=lambda: str(flask_login.current_user.is_active))
    assert app.test_client().get("/").text == "False"
    alive = weakref.ref(app)

    gc.disable()
    try:
        del app
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("first", ["scopes", "login"])
def test_either_sets_an_app_up(first: str) -> None:
    scopes = Scopes()
    login = Login(scopes)
    login.user_loader(lambda user_id: None)
    app = flask.Flask("app")
    app.secret_key = "a key for tests"
    if first == "scopes":
        scopes.init_app(app)
    login.init_app(app)
    login.init_app(app)
    app.add_url_rule("/", view_func=lambda: str(flask_login.current_user.is_active))

    assert app.test_client().get("/").text == "False"
    assert len(app.after_request_funcs[None]) == 1
