"""Who is let in, where they are sent, and what programs are told."""

from __future__ import annotations

import datetime
import typing as t

import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
import pytest
from flask.views import MethodView
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_scopes import SetupError
from flask_scopes.login import TokenError
from flask_scopes.login import local_path

from ..sessions.site import Clock
from .site import KINDS
from .site import PASSWORD
from .site import Browser
from .site import OpenSite
from .site import Site

every_kind = pytest.mark.parametrize("home", KINDS, indirect=True)
ANN = "ann@example.org"
MINUTE = datetime.timedelta(minutes=1)

LEADS_AWAY = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/ /evil.example",
    "http://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "evil.example",
    "/a\\..\\evil",
    "/a\x00",
    "/a\x1f",
    "/a\x7f",
    "/a\x85",
    "",
    "?a",
    "#a",
]


@pytest.mark.parametrize("target", LEADS_AWAY)
def test_what_leads_away_is_no_path(target: str) -> None:
    assert local_path(target) is None


@pytest.mark.parametrize(
    "target",
    ["/", "/a", "/a?c=//d&e=http://f", "/a#b", "/%2F%2Fevil", "/a//b", "/\u00e9"],
)
def test_a_path_on_this_site_is_one(target: str) -> None:
    assert local_path(target) == target


def test_none_is_no_path() -> None:
    assert local_path(None) is None


def test_where_to_go_after_a_login(site: Site) -> None:
    def go() -> str:
        return site.login.next_path("/home")

    site.view("/go", go, methods=["GET", "POST"])
    browser = site.browser()

    assert browser.get("/go").text == "/home"
    assert browser.get("/go?next=/a").text == "/a"
    assert browser.post("/go", data={"next": "/b"}).text == "/b"
    assert browser.get("/go?next=//evil").text == "/home"
    with browser.client.session_transaction() as session:
        session["next"] = "/c"
    assert browser.get("/go?next=/a").text == "/a"
    # And it does not wait for another login.
    assert browser.get("/go").text == "/home"
    with browser.client.session_transaction() as session:
        session["next"] = "//evil"
    assert browser.get("/go").text == "/home"


# ---- A password that was given lately


def fresh_views(site: Site) -> None:
    @site.app.post("/pay")
    @site.login.fresh(MINUTE * 10)
    def pay() -> str:
        return "paid"

    @site.app.post("/buy")
    @site.login.fresh(MINUTE * 10)
    async def buy() -> str:
        return "bought"


def test_a_login_is_fresh_for_a_while(site: Site, clock: Clock) -> None:
    fresh_views(site)
    assert site.browser().post("/pay").location == "/sign-in?next=%2Fpay"
    browser = site.browser(ANN)

    assert browser.post("/pay").text == "paid"
    assert browser.post("/buy").text == "bought"
    clock.pass_by(MINUTE * 11)
    assert browser.post("/pay").location == "/confirm?next=%2Fpay"
    browser.post("/confirm")
    assert browser.post("/pay").text == "paid"


def test_a_remembered_device_is_not_fresh(site: Site) -> None:
    fresh_views(site)
    browser = site.browser(ANN, remember="1")
    browser.restart()

    assert browser.post("/pay").location == "/confirm?next=%2Fpay"
    browser.post("/confirm")
    assert browser.post("/pay").text == "paid"


def test_another_browser_with_the_cookie_is_not_fresh(site: Site) -> None:
    fresh_views(site)
    browser = site.browser(ANN)

    other = {"User-Agent": "another"}
    assert browser.post("/pay", headers=other).location == "/confirm?next=%2Fpay"


def test_who_signs_out_and_in_is_fresh_anew(site: Site, clock: Clock) -> None:
    fresh_views(site)
    browser = site.browser(ANN)
    clock.pass_by(MINUTE * 11)
    browser.post("/sign-out")
    browser.sign_in(ANN)

    assert browser.post("/pay").text == "paid"


def test_a_login_that_is_not_fresh_is_none(site: Site) -> None:
    fresh_views(site)

    def sign_in() -> str:
        account = site.login.users.find(ANN)
        assert account
        flask_login.login_user(site.load(account.id), fresh=False)
        return "in"

    site.view("/in", sign_in, methods=["POST"])
    browser = site.browser(ANN)
    browser.post("/in")

    assert browser.post("/pay").location == "/confirm?next=%2Fpay"


def test_options_and_a_disabled_login_are_let_in(site: Site) -> None:
    fresh_views(site)
    site.app.config["LOGIN_DISABLED"] = True

    assert site.browser().post("/pay").text == "paid"


# ---- Programs


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "application/json"},
        {"Accept": "application/json, text/html;q=0.5"},
        {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"},
        {"Content-Type": "application/json"},
        {"Authorization": "Bearer of.another.kind"},
    ],
)
def test_a_program_is_told_in_json(
    site: Site, headers: dict[str, str], clock: Clock
) -> None:
    fresh_views(site)
    site.view("/private", lambda: "private")
    response = site.browser().get("/private", headers=headers)

    assert (response.status_code, response.json) == (401, {"error": "unauthorized"})
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    browser = site.browser(ANN)
    clock.pass_by(MINUTE * 11)
    response = browser.post("/pay", headers=headers)
    assert (response.status_code, response.json) == (401, {"error": "login_not_fresh"})


@pytest.mark.parametrize(
    "accept", ["*/*", "text/html,application/xhtml+xml,*/*;q=0.8", "", "image/*"]
)
def test_a_browser_is_sent_to_sign_in(site: Site, accept: str) -> None:
    response = site.browser().get("/private", headers={"Accept": accept})

    assert response.location == "/sign-in?next=%2Fprivate"


def test_a_script_that_wants_a_page_gets_one(site: Site) -> None:
    headers = {"Accept": "text/html, */*", "Sec-Fetch-Dest": "empty"}

    response = site.browser().get("/private", headers=headers)

    assert response.location == "/sign-in?next=%2Fprivate"


def test_what_an_app_says_itself_goes_first(site: Site) -> None:
    site.login.unauthorized_handler(lambda: ("ours", 418))

    response = site.browser().get("/private", headers={"Accept": "application/json"})

    assert (response.text, response.status_code) == ("ours", 418)


# ---- Tokens


def with_api(site: Site) -> tuple[Browser, str]:
    @site.app.get("/api/name")
    @site.login.requires("name")
    def name() -> str:
        user = site.current_user()
        assert user
        assert flask_login.current_user == user
        assert not flask.session
        return user.email

    @site.app.post("/api/any")
    @site.login.requires()
    async def anything() -> str:
        return str(site.login.token and site.login.token.name)

    @site.app.get("/api/both")
    @site.login.requires("name", "other")
    def both() -> str:
        return "both"

    @site.app.post("/api/session")
    @site.login.requires()
    def change() -> str:
        flask.session["a"] = 1
        return "changed"

    class Things(MethodView):
        decorators: t.ClassVar = [site.login.requires("things")]

        def get(self) -> str:
            return "things"

    site.app.add_url_rule("/api/things", view_func=Things.as_view("things"))
    with site.app.app_context():
        found = site.login.users.find(ANN)
        assert found
        scopes = ["name", "things"]
        token = site.login.tokens.create(found.id, "a script", scopes=scopes)
    return site.browser(), token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@every_kind
def test_a_token_is_its_owner_where_it_may_be(site: Site) -> None:
    program, token = with_api(site)

    assert token.startswith("pat_")
    response = program.get("/api/name", headers=bearer(token))
    assert (response.text, response.status_code) == (ANN, 200)
    assert "Set-Cookie" not in response.headers
    assert program.post("/api/any", headers=bearer(token)).text == "a script"
    assert program.get("/api/things", headers=bearer(token)).text == "things"
    response = program.get("/api/both", headers=bearer(token))
    assert (response.status_code, response.json) == (
        403,
        {"error": "insufficient_scope"},
    )
    assert 'scope="name other"' in response.headers["WWW-Authenticate"]


def test_a_view_that_does_not_say_so_takes_none(site: Site) -> None:
    program, token = with_api(site)

    for path in ("/private", "/", "/about"):
        response = program.get(path, headers=bearer(token))
        assert (response.status_code, response.json) == (
            403,
            {"error": "insufficient_scope"},
        )
    assert program.get("/nowhere", headers=bearer(token)).status_code == 404
    assert program.client.options("/private", headers=bearer(token)).status_code == 200


def test_whether_there_is_a_token_is_found_out_once(site: Site) -> None:
    asked: list[str] = []

    class Request(flask.Request):
        @property
        def authorization(self) -> t.Any:
            asked.append(self.path)
            return super().authorization

    browser = site.browser(ANN)
    site.app.request_class = Request

    assert browser.get("/private").status_code == 200
    assert asked == ["/private"]


def test_who_is_signed_in_needs_none(site: Site) -> None:
    with_api(site)

    assert site.browser(ANN).get("/api/both").text == "both"
    response = site.browser().get("/api/both")
    assert response.location == "/sign-in?next=%2Fapi%2Fboth"


@pytest.mark.parametrize("server", [True, False])
def test_a_cookie_beside_it_is_not_looked_at(open_site: OpenSite, server: bool) -> None:
    site = open_site(server=server)
    site.register()
    site.register("ben@example.org")

    def fail() -> str:
        assert site.current_user()
        flask.abort(418)

    def change() -> str:
        return str(dict(flask.session))

    site.view("/fail", site.login.requires()(fail))
    site.view("/look", site.login.requires()(change))
    _, token = with_api(site)

    @site.app.errorhandler(418)
    def page(error: Exception) -> tuple[str, int]:
        user = site.current_user()
        return f"{user.email if user else None} {dict(flask.session)}", 418

    ben = site.browser("ben@example.org")

    assert ben.get("/api/name", headers=bearer(token)).text == ANN
    assert ben.get("/look", headers=bearer(token)).text == "{}"
    assert ben.get("/fail", headers=bearer(token)).text == f"{ANN} {{}}"
    for made_up in (token[:-1] + "-", token[:-4], "pat_x", "pat_"):
        response = ben.get("/api/name", headers=bearer(made_up))
        assert (response.status_code, response.json) == (
            401,
            {"error": "invalid_token"},
        )
        assert "error=invalid_token" in response.headers["WWW-Authenticate"]
    assert ben.who == "ben@example.org"


def test_a_token_is_no_fresh_login(site: Site) -> None:
    @site.app.post("/api/pay")
    @site.login.requires()
    @site.login.fresh(MINUTE)
    def pay() -> str:
        return "paid"

    @site.app.post("/api/pay-as-before")
    @site.login.requires()
    @flask_login.fresh_login_required  # type: ignore[untyped-decorator]  # no types
    def pay_as_before() -> str:
        return "paid"

    _, token = with_api(site)
    # Though the thief has a login of their own.
    site.register("thief@example.org")
    thief = site.browser("thief@example.org")

    for path in ("/api/pay", "/api/pay-as-before"):
        assert thief.post(path, headers=bearer(token)).status_code == 401


def test_a_session_is_not_changed_with_a_token(site: Site) -> None:
    program, token = with_api(site)
    site.app.testing = True

    with pytest.raises(TokenError, match="has no session"):
        program.post("/api/session", headers=bearer(token))


@every_kind
def test_tokens_are_listed_and_revoked(site: Site, clock: Clock) -> None:
    program, token = with_api(site)
    tokens = site.login.tokens
    with site.app.app_context():
        account = site.login.users.find(ANN)
        assert account
        for_ever = tokens.create(account.id, "for ever", expires=None)
        (newer, older) = tokens.of(account.id)
    assert (newer.name, newer.expires, newer.seen) == ("for ever", None, None)
    assert older.name == "a script"
    assert older.scopes == {"name", "things"}
    assert older.expires
    assert older.seen is None

    program.get("/api/name", headers=bearer(token))
    with site.app.app_context():
        (used,) = [each for each in tokens.of(account.id) if each.seen]
    clock.pass_by(MINUTE / 2)
    program.get("/api/name", headers=bearer(token))
    with site.app.app_context():
        assert used in tokens.of(account.id)
    clock.pass_by(MINUTE)
    program.get("/api/name", headers=bearer(token))
    with site.app.app_context():
        (later,) = [each for each in tokens.of(account.id) if each.seen]
        assert used.seen
        assert later.seen
        assert later.seen > used.seen
        assert not tokens.revoke("somebody else", used.id)
        assert not tokens.revoke(account.id, "unknown")
    assert program.get("/api/name", headers=bearer(token)).status_code == 200
    with site.app.app_context():
        assert tokens.revoke(account.id, used.id)
    assert program.get("/api/name", headers=bearer(token)).status_code == 401
    clock.pass_by(datetime.timedelta(days=400))
    assert program.post("/api/any", headers=bearer(for_ever)).text == "for ever"


def test_a_token_is_over_when_it_was_said_to_be(site: Site, clock: Clock) -> None:
    program, token = with_api(site)
    clock.pass_by(datetime.timedelta(days=89))
    assert program.get("/api/name", headers=bearer(token)).status_code == 200
    clock.pass_by(datetime.timedelta(days=2))

    assert program.get("/api/name", headers=bearer(token)).status_code == 401
    with site.app.app_context():
        account = site.login.users.find(ANN)
        assert account
        assert site.login.tokens.of(account.id) == []


def test_a_token_that_is_made_in_a_request_that_fails_is_none(site: Site) -> None:
    made: list[str] = []

    def fail() -> str:
        user = site.current_user()
        assert user
        made.append(site.login.tokens.create(user.id, "lost"))
        flask.abort(409)

    site.view("/fail", fail, methods=["POST"])
    program, _ = with_api(site)
    site.browser(ANN).post("/fail")

    assert program.post("/api/any", headers=bearer(made[0])).status_code == 401


def test_the_use_of_a_token_is_noted_though_the_request_fails(site: Site) -> None:
    site.view("/fail", site.login.requires()(lambda: flask.abort(409)))
    program, token = with_api(site)

    program.get("/fail", headers=bearer(token))

    with site.app.app_context():
        account = site.login.users.find(ANN)
        assert account
        assert site.login.tokens.of(account.id)[0].seen


def test_where_sqlite_is_in_use_the_use_of_a_token_is_not_noted(site: Site) -> None:
    """Noting it would make a request that only reads one that writes."""
    _, token = with_api(site)

    for is_in_use in (True, False):
        with site.app.app_context():
            assert not is_in_use or site.login.users.find(ANN)
            assert site.login.tokens.check(token)
        with site.app.app_context():
            account = site.login.users.find(ANN)
            assert account
            seen = site.login.tokens.of(account.id)[0].seen
        assert (seen is None) is is_in_use


def test_the_database_has_no_token_in_it(site: Site) -> None:
    _, token = with_api(site)
    secret = token[-43:]

    with site.app.app_context():
        account = site.login.users.find(ANN)
        assert account
        for record in site.records.of("token", account.id):
            assert secret not in repr(record)
            assert len(record.data["digest"]) == 64


def test_another_prefix(open_site: OpenSite) -> None:
    site = open_site(token_prefix="shop")
    site.register()
    program, token = with_api(site)

    assert token.startswith("shop_")
    assert program.get("/api/name", headers=bearer(token)).text == ANN
    # Not one of ours: whoever else takes such may look at it.
    assert program.get("/about", headers=bearer("pat_x")).text == "about us"


@pytest.mark.parametrize(
    "options",
    [
        {"expires": datetime.timedelta()},
        {"expires": datetime.timedelta(days=99_999)},
        {"scopes": "name"},
    ],
)
def test_a_token_is_asked_for_rightly(site: Site, options: dict[str, t.Any]) -> None:
    with site.app.app_context(), pytest.raises(SetupError):
        site.login.tokens.create("1", "x", **options)


# ---- Other sites


CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "anything"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:81"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://["},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
def test_another_site_sends_nothing(site: Site, headers: dict[str, str]) -> None:
    browser = site.browser(ANN)

    assert browser.post("/sign-out", headers=headers).status_code == 403
    assert browser.who == ANN
    more = {"headers": headers}
    assert site.browser().sign_in(ANN, more=more).status_code == 403
    assert browser.get("/", headers=headers).text == ANN


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        # A proxy has taken TLS away, and it was not said.
        {"Origin": "https://localhost"},
        {"Origin": "https://admin.example", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_this_site_does(site: Site, headers: dict[str, str]) -> None:
    site.app.config["SCOPES_TRUSTED_ORIGINS"] = ["https://admin.example"]

    assert site.browser(ANN).post("/sign-out", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://admin.example.com", 200), ("https://admin.example.co", 403)],
)
def test_one_that_is_trusted_may_stand_alone(
    site: Site, origin: str, status: int
) -> None:
    site.app.config["SCOPES_TRUSTED_ORIGINS"] = "https://admin.example.com"
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}

    response = site.browser(ANN).post("/sign-out", headers=headers)
    assert response.status_code == status


def test_no_image_signs_anybody_out(site: Site) -> None:
    browser = site.browser(ANN)

    assert browser.get("/sign-out").status_code == 405
    assert browser.who == ANN


# ---- Addresses


def test_a_header_is_no_address(open_site: OpenSite) -> None:
    """That of the session protection, and that of attempts."""
    site = open_site()
    site.register()
    site.app.config["SESSION_PROTECTION"] = "strong"
    browser = site.browser(ANN)

    assert browser.get("/", headers={"X-Forwarded-For": "10.1.1.1"}).text == ANN
    statuses = [
        browser.sign_in(
            ANN, "a guess", more={"headers": {"X-Forwarded-For": f"10.1.1.{number}"}}
        ).status_code
        for number in range(8)
    ]
    assert statuses[-1] == 429


def test_a_proxy_that_is_known_says_the_address(open_site: OpenSite) -> None:
    site = open_site()
    site.register()
    site.app.wsgi_app = ProxyFix(site.app.wsgi_app)  # type: ignore[method-assign]  # as Flask says
    own = {"headers": {"X-Forwarded-For": "10.1.1.1"}}
    owner = site.browser()
    assert owner.sign_in(ANN, more=own).status_code == 200
    for _ in range(8):
        site.browser().sign_in(
            ANN, "a guess", more={"headers": {"X-Forwarded-For": "10.9.9.9"}}
        )

    assert owner.sign_in(ANN, PASSWORD, more=own).status_code == 200


def test_what_belonged_to_another_user_is_gone(site: Site) -> None:
    site.register("ben@example.org")
    browser = site.browser(ANN)
    with browser.client.session_transaction() as session:
        session["cart"] = "ann's"
    browser.sign_in("ben@example.org")

    with browser.client.session_transaction() as session:
        assert "cart" not in session
    assert browser.who == "ben@example.org"


def test_the_proof_of_a_form_is_none_after_signing_out(site: Site) -> None:
    def sign_out() -> str:
        flask.g.csrf_token = flask.session["csrf_token"] = "known"
        site.login.sign_out()
        return str("csrf_token" in flask.session or "csrf_token" in flask.g)

    site.view("/out", sign_out, methods=["POST"])

    assert site.browser(ANN).post("/out").text == "False"


def test_the_proof_of_a_form_is_another_one_after_a_login(site: Site) -> None:
    browser = site.browser()
    with browser.client.session_transaction() as session:
        session.update(csrf_token="known to somebody else", cart="tea")
    browser.sign_in(ANN)

    with browser.client.session_transaction() as session:
        assert "csrf_token" not in session
        assert session["cart"] == "tea"
