"""The life of a session: its cookie, its limits, its secrets, what is written when."""

from __future__ import annotations

import collections.abc as c
import datetime
import typing as t
import uuid

import flask
import pytest
import sqlalchemy as sa

from flask_scopes import OutsideScopeError
from flask_scopes import SessionValueError
from flask_scopes import SetupError
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions.sql import SQLStore

from .site import DAY
from .site import KINDS
from .site import ONE
from .site import SECOND
from .site import Clock
from .site import OpenSite
from .site import Site

every_store = pytest.mark.parametrize("home", KINDS, indirect=True)
one_store = pytest.mark.parametrize("home", ONE, indirect=True)


def cookies(response: t.Any) -> list[str]:
    found: list[str] = response.headers.getlist("Set-Cookie")
    return found


@every_store
def test_a_session_is_kept(site: Site) -> None:
    ann, ben = site.client(), site.client()

    ann.post("/set?a=1&b=2")
    ann.post("/drop/a")
    ben.post("/set?a=3")

    assert ann.get("/").json == {"b": "2"}
    assert ben.get("/").json == {"a": "3"}


@every_store
def test_what_is_nested_is_noticed(site: Site) -> None:
    browser = site.client()

    for _ in range(3):
        browser.post("/append/list")

    assert browser.get("/").json == {"list": [0, 1, 2]}


VALUES: list[t.Any] = ["", "a", 5, 1.5, True, None, b"a", (1, [2]), [], {"a": [1]}]


@one_store
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_that_was_read_may_be_anything_from_then_on(
    site: Site, value: object
) -> None:
    session = flask.session

    @site.app.post("/begin")
    def begin() -> str:
        session["x"] = value
        return "begun"

    @site.app.post("/read")
    def read() -> str:
        assert session["x"] == session["x"] == value
        return "read"

    @site.app.post("/other")
    def other() -> str:
        assert session["x"] == value
        session["x"] = [session["x"]]
        assert session["x"] == [value]
        return "other"

    @site.app.post("/again")
    def again() -> str:
        kept = session.pop("x")
        assert "x" not in session
        assert session.setdefault("x", "new") == "new"
        session["x"] = kept[0]
        return "again"

    @site.app.post("/gone")
    def gone() -> str:
        assert session["x"] == value
        del session["x"]
        assert session.get("x") is None
        return "gone"

    asked, browser = Asked(site), site.client()
    browser.post("/begin")
    for path, is_written in (
        *[("/read", False), ("/other", True), ("/again", True), ("/read", False)],
        *[("/gone", True)],
    ):
        asked.take()
        assert browser.post(path).status_code == 200
        assert (len(asked.take()) > 1) == is_written, path
    assert browser.get("/").json == {}


@one_store
def test_who_it_was_is_known_after_another_was_set(site: Site) -> None:
    """What was read of a session of one user is not what it has now."""

    @site.app.post("/change/<user>")
    def change(user: str) -> str:
        before = flask.session["_user_id"]
        flask.session["_user_id"] = user
        return f"{before}, {flask.session['_user_id']}"

    @site.app.post("/end")
    def end() -> str:
        before = flask.session["_user_id"]
        site.sessions.revoke_all(before)
        return f"{before}, {flask.session.get('_user_id')}"

    browser = site.client()
    browser.post("/login/ann")
    cookie = site.cookie(browser)

    assert browser.post("/change/ben").text == "ann, ben"
    assert site.cookie(browser) != cookie
    assert site.client(cookie).get("/").json == {}
    assert browser.post("/end").text == "ben, None"
    assert browser.get("/").json == {}


@one_store
def test_what_flask_keeps_comes_back_as_it_was(site: Site) -> None:
    values = {
        "tuple": (1, (2, "x")),
        "bytes": b"\0\xff",
        "date": datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC),
        "uuid": uuid.UUID(int=5),
        "nested": {" t": [None, 1.5]},
    }
    seen: list[object] = []

    @site.app.post("/values")
    def keep() -> str:
        flask.session.update(values)
        flask.flash("hello")
        return "kept"

    @site.app.get("/values")
    def get() -> str:
        seen.append({name: flask.session[name] for name in values})
        return str(flask.get_flashed_messages())

    browser = site.client()
    browser.post("/values")

    assert browser.get("/values").text == "['hello']"
    assert browser.get("/values").text == "[]"
    assert seen == [values, values]


@one_store
def test_it_is_a_mapping(site: Site) -> None:
    @site.app.post("/mapping")
    def mapping() -> str:
        session = flask.session
        assert "a" in session
        assert len(session) == 2
        assert list(session) == ["a", "b"]
        assert session.pop("a") == "1"
        assert session.pop("a", None) is None
        assert session.get("a") is None
        with pytest.raises(KeyError):
            session["a"]
        with pytest.raises(KeyError):
            del session["a"]
        assert session.setdefault("c", []) is session["c"]
        assert session.copy() == {"b": "2", "c": []}  # type: ignore[attr-defined]  # as Flask's own has it
        assert session | {"b": "3"} == {"b": "3", "c": []}  # type: ignore[operator]  # the same
        assert not session.new
        assert "looked" not in repr(session)
        return "fine"

    browser = site.client()
    browser.post("/set?a=1&b=2")

    assert browser.post("/mapping").text == "fine"
    assert browser.get("/").json == {"b": "2", "c": []}


@one_store
def test_what_is_no_json_fails_the_request(site: Site) -> None:
    @site.app.post("/bad")
    def bad() -> str:
        flask.session["a"] = {"file": open}
        return "bad"

    site.app.testing = True
    browser = site.client()
    browser.post("/set?a=1")

    with pytest.raises(SessionValueError, match=r"session\['a'\]") as raised:
        browser.post("/bad")

    assert "To fix it" in str(raised.value)
    assert browser.get("/").json == {"a": "1"}


@one_store
@pytest.mark.parametrize("name", ["x" * 256, "a\0b", "\ud800", None, 5])
def test_a_name_that_not_all_databases_take_is_refused_where_it_is_set(
    site: Site, name: t.Any
) -> None:
    @site.app.post("/bad")
    def bad() -> str:
        with pytest.raises(SessionValueError, match=r"test_life\.py"):
            flask.session[name] = 1
        flask.session["x" * 255] = 1
        return "refused"

    assert site.client().post("/bad").text == "refused"


@one_store
def test_the_flags_of_the_cookie(site: Site) -> None:
    (cookie,) = cookies(site.client().post("/set?a=1"))

    name, _, rest = cookie.partition("=")
    value, *flags = rest.split("; ")
    assert name == "__Host-session"
    assert sorted(flags) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]
    session_id, secret = value.split(".")
    assert (len(session_id), len(secret)) == (22, 43)


@one_store
@pytest.mark.parametrize(
    ("scheme", "config", "warnings"),
    [
        ("http", {}, 1),
        ("https", {}, 0),
        ("http", {"DEBUG": True}, 0),
        ("http", {"TESTING": True}, 0),
        ("http", {"SCOPES_SESSION_SECURE": False}, 0),
    ],
)
def test_a_cookie_that_a_browser_will_not_take_is_said_once(
    site: Site,
    caplog: pytest.LogCaptureFixture,
    scheme: str,
    config: dict[str, t.Any],
    warnings: int,
) -> None:
    site.app.config.update(config)

    for _ in range(2):
        site.client().post("/set?a=1", base_url=f"{scheme}://shop.example")

    told = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert len(told) == warnings
    for text in told:
        assert "Found at the end of POST /set" in text
        assert "SCOPES_SESSION_SECURE = False" in text


@one_store
def test_in_debug_mode_it_goes_over_plain_http(site: Site) -> None:
    site.app.debug = True

    (cookie,) = cookies(site.client().post("/set?a=1"))

    assert cookie.startswith("session=")
    assert "Secure" not in cookie
    assert "HttpOnly" in cookie


@one_store
@pytest.mark.parametrize(
    ("config", "name", "flag"),
    [
        ({"SCOPES_SESSION_SECURE": False}, "session", "SameSite=Lax"),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, "__Host-session", "SameSite=Strict"),
        ({"SESSION_COOKIE_NAME": "shop"}, "__Host-shop", "Secure"),
        ({"SESSION_COOKIE_PATH": "/shop"}, "session", "Path=/shop"),
        ({"SESSION_COOKIE_DOMAIN": "example.org"}, "session", "Domain=example.org"),
        ({"SESSION_COOKIE_HTTPONLY": False}, "__Host-session", "HttpOnly"),
        ({"SESSION_COOKIE_PARTITIONED": True}, "__Host-session", "Partitioned"),
    ],
)
def test_what_the_config_says_of_it(
    site: Site, config: dict[str, t.Any], name: str, flag: str
) -> None:
    site.app.config.update(config)

    (cookie,) = cookies(site.client().post("/set?a=1"))

    assert cookie.startswith(f"{name}=")
    assert flag in cookie.split("; ")


@one_store
@pytest.mark.parametrize("path", ["/logout", "/drop/_user_id"])
def test_it_is_deleted_with_the_flags_it_was_set_with(site: Site, path: str) -> None:
    browser = site.client()
    (made,) = cookies(browser.post("/login/ann"))

    (deleted,) = cookies(browser.post(path))

    assert deleted.startswith("__Host-session=; Expires=Thu, 01 Jan 1970")
    assert set(made.split("; ")[1:]) <= set(deleted.split("; "))
    assert site.cookie(browser) == ""


@one_store
def test_a_permanent_session_stays_when_the_browser_is_closed(
    site: Site, clock: Clock
) -> None:
    @site.app.post("/permanent/<int:yes>")
    def permanent(yes: int) -> str:
        flask.session.permanent = bool(yes)
        return "permanent"

    browser = site.client()
    assert "Expires" not in cookies(browser.post("/set?a=1"))[0]

    (cookie,) = cookies(browser.post("/permanent/1"))
    ends = cookie.partition("Expires=")[2].partition(";")[0]
    moment = datetime.datetime.strptime(ends, "%a, %d %b %Y %H:%M:%S GMT")
    days = (moment - datetime.datetime.now(datetime.UTC).replace(tzinfo=None)).days
    assert 88 <= days <= 90
    assert cookies(browser.post("/set?a=2")) == []
    (cookie,) = cookies(browser.post("/permanent/0"))
    assert "Expires" not in cookie
    assert browser.get("/").json == {"a": "2", "_permanent": False}


@one_store
def test_the_answer_depends_on_the_cookie_only_if_the_session_was_read(
    site: Site,
) -> None:
    browser = site.client()

    assert "Cookie" not in browser.get("/about").vary
    assert "Cookie" in browser.get("/").vary
    assert "Cookie" in browser.post("/set?a=1").vary
    assert "Cookie" in browser.post("/fail").vary
    assert "Cookie" not in browser.get("/about").vary


class Asked:
    """What a database was asked."""

    def __init__(self, site: Site) -> None:
        self.verbs: list[str] = []
        assert isinstance(site.store, SQLStore)
        with site.app.app_context():
            engine = site.database.engine()
        sa.event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, *args: t.Any) -> None:
        self.verbs.append(args[2].split()[0])

    def take(self) -> list[str]:
        taken, self.verbs = self.verbs, []
        return taken


@one_store
def test_nobody_asks_for_what_is_not_needed(site: Site, clock: Clock) -> None:
    asked, browser = Asked(site), site.client()

    browser.get("/about")
    browser.get("/")
    assert asked.take() == []
    browser.post("/set?a=1")
    assert asked.take() == ["INSERT", "INSERT"]
    browser.get("/about")
    assert asked.take() == []
    browser.get("/")
    assert asked.take() == ["SELECT"]
    browser.post("/set?a=1")
    assert asked.take() == ["SELECT"]
    browser.post("/set?a=2")
    assert asked.take() == ["SELECT", "INSERT"]


@one_store
def test_last_use_is_noted_to_the_minute(site: Site, clock: Clock) -> None:
    asked, browser = Asked(site), site.client()
    browser.post("/login/ann")
    asked.take()

    clock.pass_by(59 * SECOND)
    browser.get("/")
    assert asked.take() == ["SELECT"]
    clock.pass_by(2 * SECOND)
    browser.get("/", headers={"User-Agent": "Other"})
    assert asked.take() == ["SELECT", "UPDATE"]
    browser.get("/")
    assert asked.take() == ["SELECT"]
    with site.app.app_context():
        (device,) = site.sessions.of("ann")
    assert (device.seen - device.created) >= 60 * SECOND
    assert device.agent == "Other"


@every_store
def test_a_session_that_is_not_used_is_over(open_site: OpenSite, clock: Clock) -> None:
    site = open_site(idle=2 * DAY, lifetime=7 * DAY)
    browser = site.client()
    browser.post("/login/ann")

    for _ in range(3):
        clock.pass_by(1.9 * DAY)
        assert browser.get("/").json == {"_user_id": "ann"}
    clock.pass_by(2.1 * DAY)
    assert browser.get("/").json == {}
    with site.app.app_context():
        assert site.sessions.of("ann") == []
        assert site.sessions.revoke_all("ann") == 0


@every_store
def test_and_one_that_is_used_all_the_time_too(
    open_site: OpenSite, clock: Clock
) -> None:
    site = open_site(idle=2 * DAY, lifetime=7 * DAY)
    browser = site.client()
    browser.post("/login/ann")

    for _ in range(6):
        clock.pass_by(DAY)
        browser.post("/rotate")
        assert browser.get("/").json == {"_user_id": "ann"}
    clock.pass_by(1.1 * DAY)
    assert browser.get("/").json == {}


@one_store
def test_a_session_that_is_over_does_not_grow_again(
    open_site: OpenSite, clock: Clock
) -> None:
    site = open_site(idle=DAY)
    browser = site.client()
    browser.post("/login/ann")
    old = site.cookie(browser)

    with site.held(browser, path="/slow") as answers:
        clock.pass_by(2 * DAY)
    assert answers[0].status_code == 200
    assert site.client(old).get("/").json == {}

    browser.post("/set?a=1")
    assert site.cookie(browser) != old
    assert browser.get("/").json == {"a": "1"}


@every_store
def test_a_new_secret_and_the_same_session(site: Site, clock: Clock) -> None:
    browser = site.client()
    browser.post("/login/ann")
    old = site.cookie(browser)

    browser.post("/rotate?a=1")

    new = site.cookie(browser)
    assert new.partition(".")[0] == old.partition(".")[0]
    assert new != old
    assert browser.get("/").json == {"_user_id": "ann", "a": "1"}
    # For those who were on their way: as it was.
    assert site.client(old).get("/").json == {"_user_id": "ann"}
    clock.pass_by(11 * SECOND)
    assert site.client(old).get("/").json == {}
    assert browser.get("/").json == {"_user_id": "ann", "a": "1"}


@every_store
def test_of_two_new_secrets_only_the_last_but_one_is_known(site: Site) -> None:
    browser = site.client()
    browser.post("/login/ann")
    first = site.cookie(browser)
    browser.post("/rotate")
    second = site.cookie(browser)
    browser.post("/rotate")

    assert site.client(first).get("/").json == {}
    assert site.client(second).get("/").json == {"_user_id": "ann"}


@every_store
def test_with_the_old_secret_what_came_later_is_not_seen(site: Site) -> None:
    browser = site.client()
    browser.post("/login/ann")
    browser.post("/set?a=1&b=1")
    old = site.cookie(browser)
    browser.post("/rotate?a=2&sudo=yes")
    browser.post("/set?c=3")

    late = site.client(old)
    assert late.get("/").json == {"_user_id": "ann", "b": "1"}
    # What it changes counts, but for a new secret.
    late.post("/set?b=2")
    assert browser.get("/").json is not None
    assert (browser.get("/").json or {})["b"] == "2"
    assert late.post("/rotate").status_code == 409
    assert (browser.get("/").json or {})["sudo"] == "yes"
    assert site.cookie(late) == old


@one_store
def test_a_grace_of_nothing(open_site: OpenSite) -> None:
    site = open_site(grace=0 * SECOND)
    browser = site.client()
    browser.post("/login/ann")
    old = site.cookie(browser)
    browser.post("/rotate")

    assert site.client(old).get("/").json == {}


@one_store
@pytest.mark.parametrize("key", ["_fresh", "role"])
def test_a_change_of_privileges_is_a_new_secret(open_site: OpenSite, key: str) -> None:
    site = open_site(privileged_keys=["_fresh", "role"])
    browser = site.client()
    browser.post("/login/ann")

    for value in ("1", "2"):
        old = site.cookie(browser)
        browser.post(f"/set?{key}={value}")
        assert site.cookie(browser) != old
    old = site.cookie(browser)
    browser.post(f"/set?{key}=2&other=1")
    assert site.cookie(browser) == old
    browser.post(f"/drop/{key}")
    assert site.cookie(browser) != old


@one_store
def test_whoever_loses_a_right_gets_no_new_secret(open_site: OpenSite) -> None:
    site = open_site()

    def doubt() -> str:
        # As Flask-Login does with whoever comes with another browser.
        flask.session["_fresh"] = False
        return "doubted"

    site.app.post("/doubt")(doubt)
    browser = site.client()
    browser.post("/login/ann")
    browser.post("/set?_fresh=1")
    old = site.cookie(browser)
    thief = site.client(old)
    thief.post("/doubt")

    assert site.cookie(thief) == old
    browser.post("/logout")
    assert thief.get("/").json == {}


@one_store
def test_another_key_for_the_user(open_site: OpenSite) -> None:
    site = open_site(user_key="who")
    browser = site.client()
    browser.post("/set?who=ann")
    with site.app.app_context():
        assert [each.agent[:8] for each in site.sessions.of("ann")] == ["Werkzeug"]


@every_store
def test_a_key_that_is_replaced_is_good_as_a_fallback(site: Site, clock: Clock) -> None:
    browser = site.client()
    browser.post("/login/ann")
    cookie = site.cookie(browser)

    site.app.secret_key = "a new key"
    assert browser.get("/").json == {}
    site.app.config["SECRET_KEY_FALLBACKS"] = ["yet another", "a key for tests"]
    assert browser.get("/").json == {"_user_id": "ann"}
    # From then on it is hashed with the new one.
    site.app.config["SECRET_KEY_FALLBACKS"] = []
    assert browser.get("/").json == {"_user_id": "ann"}
    assert site.cookie(browser) == cookie


@one_store
def test_with_a_fallback_everything_goes_on(site: Site) -> None:
    browser = site.client()
    browser.post("/login/ann")
    site.app.secret_key = b"a new key"
    site.app.config["SECRET_KEY_FALLBACKS"] = ["a key for tests"]

    browser.post("/rotate?a=1")
    browser.post("/logout")

    assert browser.get("/").json == {}


@one_store
def test_a_browser_that_only_looks_gets_no_session(site: Site) -> None:
    browser = site.client()

    assert cookies(browser.get("/")) == []
    assert cookies(browser.post("/rotate")) == []
    assert cookies(browser.post("/logout")) == []
    assert site.cookie(browser) == ""


@one_store
def test_a_test_client_may_open_it(site: Site) -> None:
    browser = site.client()

    with browser.session_transaction() as session:
        session["a"] = "1"
    with browser.session_transaction() as session:
        assert session["a"] == "1"
        session["b"] = ["2"]
    with browser.session_transaction() as session:
        session["b"].append("3")

    assert browser.get("/").json == {"a": "1", "b": ["2", "3"]}


@one_store
def test_without_a_secret_key(site: Site) -> None:
    site.app.secret_key = None
    site.app.testing = True
    browser = site.client()

    assert browser.get("/about").status_code == 200
    with pytest.raises(RuntimeError, match="secret key"):
        browser.post("/set?a=1")


@one_store
def test_session_objects_live_in_it(site: Site) -> None:
    @site.scopes.session
    def cart() -> dict[str, list[str]]:
        return {"lines": []}

    @site.app.post("/buy/<name>")
    def buy(name: str) -> str:
        cart()["lines"].append(name)
        if name == "nothing":
            flask.abort(404)
        return ",".join(cart()["lines"])

    asked, browser = Asked(site), site.client()
    browser.post("/buy/tea")
    browser.post("/buy/nothing")
    asked.take()

    assert browser.post("/buy/milk").text == "tea,milk"
    assert asked.take() == ["SELECT", "INSERT"]
    # There is no cookie that could be too large.
    assert browser.post(f"/buy/{'x' * 9000}").status_code == 200
    assert len(browser.post("/buy/end").text) > 9000


@one_store
def test_with_session_objects_too_what_is_set_is_made_text_once(site: Site) -> None:
    made: list[str] = []

    class Note:
        def __html__(self) -> str:
            made.append("text")
            return "a note"

    @site.scopes.session
    def cart() -> list[str]:
        return []

    @site.app.post("/note")
    def note() -> str:
        cart().append("tea")
        flask.session["note"] = Note()
        return "noted"

    browser = site.client()
    assert browser.post("/note").status_code == 200

    assert made == ["text"]


@one_store
def test_what_has_to_be_called_in_a_request(site: Site) -> None:
    uses: list[c.Callable[[], object]] = [
        site.sessions.rotate,
        lambda: site.sessions.current,
    ]
    for use in uses:
        with pytest.raises(OutsideScopeError, match=r"sessions\."):
            use()
    with site.app.app_context(), pytest.raises(OutsideScopeError):
        site.sessions.rotate()


@one_store
@pytest.mark.parametrize(
    "options",
    [
        {"idle": 0 * SECOND},
        {"idle": 5},
        {"lifetime": -DAY},
        {"grace": -SECOND},
        {"grace": None},
        {"lifetime": datetime.timedelta.max},
        {"user_key": None},
        {"privileged_keys": "role"},
        {"privileged_keys": [1]},
        {"on_conflict": "merge"},
        {"when_down": "ignore"},
    ],
)
def test_options_that_make_no_sense(site: Site, options: dict[str, t.Any]) -> None:
    with pytest.raises(SetupError, match=f"made so: {next(iter(options))}"):
        ServerSessions(site.scopes, site.store, **options)


@one_store
def test_the_command_that_removes_what_is_over(
    open_site: OpenSite, clock: Clock
) -> None:
    site = open_site(idle=DAY)
    site.client().post("/login/ann")
    site.client().post("/login/ben")
    clock.pass_by(2 * DAY)
    site.client().post("/login/cid")
    runner = site.app.test_cli_runner()

    done = runner.invoke(args=["scopes", "sessions", "purge"])
    assert (done.output, done.exit_code) == ("Removed 2 sessions.\n", 0)
    done = runner.invoke(args=["scopes", "sessions", "purge"])
    assert done.output == "Removed 0 sessions.\n"
    helps = runner.invoke(args=["scopes", "sessions", "purge", "--help"]).output
    assert "MongoDB and Redis do that by themselves." in " ".join(helps.split())
