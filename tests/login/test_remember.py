"""Devices that are remembered, and what becomes of a cookie that two have."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import datetime
import threading
import typing as t

import flask
import flask_login  # type: ignore[import-untyped]  # it has no types
import pytest

from flask_scopes import SetupError
from flask_scopes.login import loader
from flask_scopes.sessions import ServerSessions

from ..sessions.site import Clock
from .site import KINDS
from .site import Browser
from .site import OpenSite
from .site import Site
from .site import new_cookies

every_kind = pytest.mark.parametrize("home", KINDS, indirect=True)
ANN = "ann@example.org"
NAME = "remember_token"
GRACE = datetime.timedelta(seconds=11)


def remembered(site: Site) -> Browser:
    browser = site.browser(ANN, remember="1")
    assert browser.remembered
    return browser


def devices_of(site: Site) -> list[str]:
    with site.app.app_context():
        account = site.login.users.find(ANN)
        assert account
        return [each.id for each in site.login.devices(account.id)]


@every_kind
def test_it_signs_in_again_and_is_another_cookie_then(site: Site) -> None:
    browser = remembered(site)
    first = browser.remembered
    assert browser.who == ANN
    assert browser.remembered == first

    browser.restart()
    assert browser.who == ANN

    assert browser.remembered != first
    assert browser.who == ANN


@every_kind
def test_a_cookie_that_two_have_signs_out_both(
    site: Site, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    owner, thief = remembered(site), site.browser()
    thief.remembered = str(owner.remembered)
    assert thief.who == ANN
    # The answer has arrived.
    assert thief.who == ANN
    clock.pass_by(GRACE)

    owner.restart()
    assert owner.who == "nobody"

    assert owner.remembered is None
    assert thief.who == "nobody"
    thief.restart()
    assert thief.who == "nobody"
    assert "used twice" in caplog.text
    assert devices_of(site) == []


@every_kind
def test_requests_at_once_are_no_theft(site: Site) -> None:
    @site.scopes.retry(50)
    def again() -> str:
        # SQLite has room for one that writes: others begin anew.
        user = site.current_user()
        return user.email if user else "nobody"

    site.view("/again", again)
    browser = remembered(site)
    gate = threading.Barrier(8)

    def ask(_: int) -> tuple[str, str | None]:
        another = site.browser()
        another.remembered = str(browser.remembered)
        gate.wait(20)
        return str(another.get("/again").text), another.remembered

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))

    assert {who for who, _ in found} == {ANN}
    # One has got the next; the others keep what they have, for a moment.
    assert len({cookie for _, cookie in found}) == 2
    (newest,) = {cookie for _, cookie in found} - {browser.remembered}
    last = site.browser()
    last.remembered = str(newest)
    assert last.who == ANN


@pytest.mark.parametrize("status", [404, 500])
def test_a_request_that_fails_tells_the_next_cookie(
    site: Site, status: int, clock: Clock
) -> None:
    def fail() -> t.NoReturn:
        assert site.current_user()
        if status == 500:
            raise LookupError
        flask.abort(404)

    site.view("/fail", fail)
    browser = remembered(site)
    browser.restart()
    before = browser.remembered

    assert browser.get("/fail").status_code == status
    assert browser.remembered != before
    clock.pass_by(GRACE)
    browser.restart()
    assert browser.who == ANN


def test_a_commit_that_fails_tells_the_next_cookie(site: Site, clock: Clock) -> None:
    @site.scopes.request
    def fails() -> c.Iterator[None]:
        yield
        raise LookupError

    def fail() -> str:
        assert site.current_user()
        fails()
        return "kept"

    site.view("/fail", fail)
    browser = remembered(site)
    browser.restart()

    assert browser.get("/fail").status_code == 500
    clock.pass_by(GRACE)
    browser.restart()
    assert browser.who == ANN


@pytest.mark.parametrize("last_looks", [True, False])
def test_a_request_that_begins_anew_tells_the_next_cookie(
    site: Site, clock: Clock, last_looks: bool
) -> None:
    tries: list[int] = []

    @site.scopes.retry(3, on=LookupError)
    def thrice() -> str:
        tries.append(1)
        is_last = len(tries) == 3
        if last_looks or not is_last:
            assert site.current_user()
        if not is_last:
            raise LookupError
        return "done"

    site.view("/thrice", thrice)
    browser = remembered(site)
    browser.restart()
    before = browser.remembered

    assert browser.get("/thrice").text == "done"
    assert browser.remembered != before
    clock.pass_by(GRACE)
    browser.restart()
    assert browser.who == ANN


def test_a_login_that_fails_is_not_remembered(site: Site) -> None:
    def fail() -> t.NoReturn:
        assert site.login.sign_in(ANN, "correct horse", remember=True)
        raise LookupError

    site.view("/fail", fail, methods=["POST"])
    browser = site.browser()

    response = browser.post("/fail")

    assert NAME not in new_cookies(response)
    assert devices_of(site) == []


def test_signing_out_forgets_the_device(site: Site) -> None:
    browser = remembered(site)
    copied = str(browser.remembered)

    browser.post("/sign-out")

    assert browser.remembered is None
    thief = site.browser()
    thief.remembered = copied
    assert thief.who == "nobody"


def test_signing_out_with_flask_logins_own_function_does_too(site: Site) -> None:
    site.view("/out", lambda: str(flask_login.logout_user()), methods=["POST"])
    browser = remembered(site)
    copied = str(browser.remembered)

    browser.post("/out")

    assert browser.remembered is None
    thief = site.browser()
    thief.remembered = copied
    assert thief.who == "nobody"


def test_what_is_made_up_is_nobodys_and_ends_nothing(site: Site) -> None:
    browser = remembered(site)
    good = str(browser.remembered)
    payload, _, signature = good.partition("|")
    device, _, secret = payload.partition(".")
    with site.app.test_request_context():
        old_kind = flask_login.encode_cookie("1")
    for cookie in [
        "x",
        "",
        "|",
        "1|abc",
        old_kind,
        f"{device}.{secret[::-1]}|{signature}",
        f"{device[::-1]}.{secret}|{signature}",
        f"{payload}|{signature[::-1]}",
        good[:-1],
        "\u00e9|\u00e9",
        "a" * 4000,
    ]:
        thief = site.browser()
        thief.remembered = cookie
        assert thief.who == "nobody"

    browser.restart()
    assert browser.who == ANN


def test_it_is_over_when_it_was_said_to_be(site: Site, clock: Clock) -> None:
    site.app.config["REMEMBER_COOKIE_DURATION"] = datetime.timedelta(days=20)
    browser = remembered(site)
    copied = str(browser.remembered)

    clock.pass_by(datetime.timedelta(days=19))
    browser.restart()
    assert browser.who == ANN
    assert browser.remembered != copied

    clock.pass_by(datetime.timedelta(days=2))
    browser.restart()
    # Though somebody has kept it.
    browser.remembered = str(browser.remembered)
    assert browser.who == "nobody"


def test_of_flasks_own_session_it_has_a_flag_that_is_missing(
    open_site: OpenSite,
) -> None:
    site = open_site(server=False)
    site.register()

    lines = site.browser().sign_in(ANN, remember="1").headers.getlist("Set-Cookie")
    (session,) = [line for line in lines if line.startswith("session=")]
    (ours,) = [line for line in lines if line.startswith(NAME)]
    assert "SameSite" not in session
    assert "SameSite=Lax" in ours


def test_a_login_may_say_how_long(site: Site, clock: Clock) -> None:
    def sign_in() -> str:
        account = site.login.users.find(ANN)
        assert account
        hours = datetime.timedelta(hours=int(flask.request.args["hours"]))
        flask_login.login_user(site.load(account.id), remember=True, duration=hours)
        return "in"

    site.view("/in", sign_in, methods=["POST"])
    # There is a last date that can be written.
    assert site.browser().post("/in?hours=99999999").text == "in"
    browser = site.browser()
    browser.post("/in?hours=1")
    clock.pass_by(datetime.timedelta(hours=2))
    browser.restart()

    assert browser.who == "nobody"


def test_the_cookie_is_kept_from_scripts_and_other_sites(site: Site) -> None:
    response = site.browser().sign_in(ANN, remember="1")
    (line,) = [
        each for each in response.headers.getlist("Set-Cookie") if each.startswith(NAME)
    ]

    for flag in ("HttpOnly", "SameSite=Lax", "Path=/", "Expires="):
        assert flag in line
    site.app.config["SESSION_COOKIE_SAMESITE"] = "Strict"
    assert "SameSite=Strict" in str(site.browser().sign_in(ANN, remember="1").headers)
    site.app.config["REMEMBER_COOKIE_SAMESITE"] = "None"
    assert "SameSite=None" in str(site.browser().sign_in(ANN, remember="1").headers)
    assert "Secure" not in line
    site.app.config["SCOPES_SESSION_SECURE"] = True
    response = site.browser().sign_in(ANN, remember="1")
    (line,) = [
        each for each in response.headers.getlist("Set-Cookie") if each.startswith(NAME)
    ]
    assert "Secure" in line


def test_an_older_key_is_still_good(site: Site) -> None:
    browser = remembered(site)
    site.app.config["SECRET_KEY_FALLBACKS"] = [site.app.secret_key]
    site.app.secret_key = "a newer key"
    browser.restart()

    assert browser.who == ANN

    site.app.config["SECRET_KEY_FALLBACKS"] = []
    browser.restart()
    # It was signed with the newer one then.
    assert browser.who == ANN


def test_signing_in_anew_on_a_device_is_one_device(site: Site) -> None:
    browser = remembered(site)
    browser.sign_in(ANN, remember="1")

    assert len(devices_of(site)) == 1


def test_a_device_that_comes_back_is_one_device(site: Site, clock: Clock) -> None:
    browser = remembered(site)
    for _ in range(2):
        clock.pass_by(GRACE)
        browser.restart()
        assert browser.who == ANN
        assert len(devices_of(site)) == 1


def test_it_is_not_fresh(site: Site) -> None:
    site.view("/fresh", lambda: str(flask_login.login_fresh()))
    browser = remembered(site)
    assert browser.get("/fresh").text == "True"
    browser.restart()
    assert browser.who == ANN

    assert browser.get("/fresh").text == "False"


def test_flask_login_knows_that_somebody_is_remembered(site: Site) -> None:
    site.view("/is", lambda: str(flask_login.login_remembered()))

    assert remembered(site).get("/is").text == "True"
    assert site.browser(ANN).get("/is").text == "False"


def test_somebody_who_is_gone_is_not_remembered(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = remembered(site)
    browser.restart()
    monkeypatch.setattr(site.login.users, "get", lambda user_id: None)

    assert browser.who == "nobody"
    assert browser.remembered is None


def test_without_records_it_cannot_be(open_site: OpenSite) -> None:
    site = open_site(records=None)
    site.register()
    site.app.testing = True

    with pytest.raises(SetupError, match="records"):
        site.browser().sign_in(ANN, remember="1")
    assert site.browser(ANN).who == ANN


def test_where_sqlite_is_in_use_it_stays_as_it_is(site: Site, clock: Clock) -> None:
    """Two connections would wait for one another."""

    def page() -> str:
        sql = site.parts.records._connections._sql
        sql.session().connection().exec_driver_sql("SELECT 1 FROM users")
        user = site.current_user()
        if "fail" in flask.request.args:
            flask.abort(409)
        return user.email if user else "nobody"

    site.view("/page", page)
    browser = remembered(site)
    before = browser.remembered
    for path in ("/page", "/page?fail=1", "/page"):
        browser.restart()
        assert browser.get(path).status_code in (200, 409)
        assert browser.remembered == before
        clock.pass_by(GRACE)
    browser.restart()
    assert browser.who == ANN
    assert browser.remembered != before


@pytest.mark.parametrize(("asks", "status"), [("?fail=1", 409), ("", 200)])
def test_a_theft_is_ended_as_soon_as_there_is_room(
    site: Site, clock: Clock, asks: str, status: int
) -> None:
    def page() -> str:
        # SQLite is in use then.
        assert site.login.users.find(ANN)
        assert site.current_user() is None
        return "no" if not flask.request.args else flask.abort(409)

    site.view("/page", page)
    browser, thief = remembered(site), site.browser()
    thief.remembered = str(browser.remembered)
    browser.restart()
    assert browser.who == ANN
    assert browser.who == ANN
    clock.pass_by(GRACE)

    assert thief.get(f"/page{asks}").status_code == status
    assert browser.who == "nobody"
    assert devices_of(site) == []


def test_a_request_that_does_not_write_is_no_matter(
    open_site: OpenSite, clock: Clock
) -> None:
    site = open_site()
    site.register()
    site.app.config["SCOPES_READ_ONLY_GET"] = True
    browser = remembered(site)
    for _ in range(3):
        browser.restart()
        assert browser.who == ANN
        assert browser.who == ANN
        clock.pass_by(GRACE)


# ---- An answer that is lost, or comes too late


def test_an_answer_that_was_lost_signs_nobody_out(site: Site, clock: Clock) -> None:
    browser = remembered(site)
    before = str(browser.remembered)
    browser.restart()
    for _ in range(3):
        assert browser.who == ANN
        # It never arrives.
        browser.restart()
        browser.remembered = before
        clock.pass_by(GRACE)

    assert browser.who == ANN
    assert browser.who == ANN


def test_a_body_that_looks_first_signs_nobody_out(site: Site, clock: Clock) -> None:
    site.view(
        "/stream",
        lambda: flask.Response(
            flask.stream_template_string("{{ current_user.email }}")
        ),
    )
    browser = remembered(site)
    browser.restart()

    assert browser.get("/stream").text == ANN
    clock.pass_by(GRACE)
    browser.restart()
    assert browser.who == ANN
    assert browser.get("/stream").text == ANN


def test_a_late_look_signs_nobody_out(open_site: OpenSite, clock: Clock) -> None:
    looks: list[bool] = []

    def look(response: flask.Response) -> flask.Response:
        if looks:
            assert site.current_user()
        return response

    site = open_site()
    site.register()
    # First of all, and so called last.
    site.app.after_request_funcs[None].insert(0, look)
    browser = remembered(site)
    browser.restart()
    looks.append(True)

    browser.get("/about")
    looks.clear()
    for _ in range(2):
        clock.pass_by(GRACE)
        assert browser.who == ANN
        browser.restart()
    assert browser.who == ANN


def test_a_loader_that_fails_once_signs_nobody_out(
    site: Site, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = remembered(site)
    browser.restart()
    with monkeypatch.context() as patch:
        patch.setattr(site, "is_inactive", lambda account: 1 / 0)
        assert browser.get("/").status_code == 500
    for _ in range(2):
        clock.pass_by(GRACE)
        assert browser.who == ANN
        browser.restart()


def test_two_that_fail_in_a_moment_sign_nobody_out(site: Site, clock: Clock) -> None:
    site.view("/fail", lambda: flask.abort(404 if site.current_user() else 500))
    browser = remembered(site)
    browser.restart()
    late = str(browser.remembered)
    for _ in range(2):
        assert browser.get("/fail").status_code == 404
        browser.restart()

    another = site.browser()
    another.remembered = late
    assert another.who == ANN
    clock.pass_by(GRACE)
    assert browser.who == ANN


# ---- Other passwords, other people


def test_another_one_who_signs_in_is_not_the_one_before(site: Site) -> None:
    site.register("ben@example.org")
    browser = remembered(site)
    browser.restart()
    browser.sign_in("ben@example.org")
    assert browser.who == "ben@example.org"
    assert browser.remembered is None

    browser.restart()
    assert browser.who == "nobody"
    assert devices_of(site) == [devices_of(site)[0]]


def test_another_one_who_is_remembered_is_that_one(site: Site) -> None:
    site.register("ben@example.org")
    browser = remembered(site)
    browser.sign_in("ben@example.org", remember="1")
    browser.restart()

    assert browser.who == "ben@example.org"
    with site.app.app_context():
        assert site.login.users.find(ANN)
    assert not [each for each in devices_of(site) if each.startswith("device:")]


def test_who_signs_in_again_stays_remembered(site: Site) -> None:
    browser = remembered(site)
    browser.sign_in(ANN)
    browser.restart()

    assert browser.who == ANN


def test_signing_out_ends_what_was_begun_by_a_copy(site: Site) -> None:
    browser, thief = remembered(site), site.browser()
    thief.remembered = str(browser.remembered)
    assert thief.who == ANN

    browser.post("/sign-out")

    assert thief.who == "nobody"
    assert devices_of(site) == []


def test_a_request_on_its_way_gets_no_session_after_all_were_ended(
    site: Site, clock: Clock
) -> None:
    def slow() -> str:
        user = site.current_user()
        assert user
        site.login.sign_out_everywhere(user.id)
        return "done"

    site.view("/slow", slow)
    browser = remembered(site)
    browser.restart()

    assert browser.get("/slow").text == "done"
    assert browser.who == "nobody"


@pytest.mark.parametrize("home", KINDS, indirect=True)
def test_another_password_makes_copies_worthless(site: Site, clock: Clock) -> None:
    def change() -> str:
        account = site.login.users.find(ANN)
        assert account
        assert site.login.set_password(account, "battery staple")
        return "changed"

    site.view("/change", change, methods=["POST"])
    browser, thief = remembered(site), site.browser()
    cookie = browser.client.get_cookie("session")
    assert cookie
    thief.client.set_cookie("session", cookie.value)
    thief.remembered = str(browser.remembered)
    assert browser.post("/change").text == "changed"

    clock.pass_by(GRACE)
    assert thief.who == "nobody"
    assert browser.who == ANN
    browser.restart()
    assert browser.who == ANN


def test_so_many_answers_are_not_lost(site: Site, clock: Clock) -> None:
    thief = site.browser()
    before = str(remembered(site).remembered)
    seen = []
    for _ in range(8):
        thief.remembered = before
        seen.append(thief.who)
        thief.restart()
        clock.pass_by(GRACE)

    assert seen == [ANN] * 6 + ["nobody"] * 2


def test_answers_that_were_lost_are_forgotten_when_one_arrives(
    site: Site, clock: Clock
) -> None:
    browser = remembered(site)
    for _ in range(2):
        before = str(browser.remembered)
        for _ in range(4):
            browser.restart()
            browser.remembered = before
            assert browser.who == ANN
            clock.pass_by(GRACE)
        # With what the last of them has brought.
        assert browser.who == ANN


def test_that_it_arrived_is_noted_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    devices: t.Any = site.login._devices
    note = devices.note_that_it_arrived

    def noting(device: str) -> bool:
        asked.append(device)
        return bool(note(device))

    monkeypatch.setattr(devices, "note_that_it_arrived", noting)
    monkeypatch.setattr(loader, "_MOST_NOTED", 2)
    browsers = [remembered(site) for _ in range(5)]
    for browser in browsers:
        browser.restart()
        for _ in range(4):
            assert browser.who == ANN

    assert len(asked) == 5
    # And what a process has of it does not grow.
    with site.app.app_context():
        assert len(site.login._noted()) <= 2


def test_one_that_was_used_in_a_moment_has_arrived(site: Site, clock: Clock) -> None:
    browser = remembered(site)
    before = str(browser.remembered)
    for _ in range(2):
        browser.restart()
        assert browser.who == ANN
    clock.pass_by(GRACE)

    thief = site.browser()
    thief.remembered = before
    assert thief.who == "nobody"
    assert devices_of(site) == []


@pytest.mark.mongo
@pytest.mark.parametrize("home", ["mongo"], indirect=True)
def test_who_has_come_in_by_the_old_password_goes_with_it(site: Site) -> None:
    late = site.browser()

    def sign_in() -> str:
        # Whose password was looked at before.
        account = site.login.users.find(ANN)
        return str(site.login.sign_in_as(account, remember=True))

    def change() -> str:
        account = site.login.users.find(ANN)
        assert account
        assert site.login.set_password(account, "battery staple")
        assert late.post("/in").text == "True"
        return "changed"

    site.view("/in", sign_in, methods=["POST"])
    site.view("/change", change, methods=["POST"])
    browser = remembered(site)

    assert browser.post("/change").text == "changed"
    assert late.who == "nobody"
    late.restart()
    assert late.who == "nobody"
    assert browser.who == ANN
    browser.restart()
    assert browser.who == ANN


def test_a_request_that_is_slow_to_look_is_no_thief(site: Site, clock: Clock) -> None:
    browser = remembered(site)
    browser.restart()
    late = str(browser.remembered)

    def slow() -> str:
        # Meanwhile, the same browser has got another, and used it.
        assert browser.who == ANN
        assert browser.who == ANN
        clock.pass_by(GRACE)
        user = site.current_user()
        return user.email if user else "nobody"

    site.app.view_functions["about"] = slow
    another = site.browser()
    another.remembered = late

    assert another.get("/about").text == ANN
    assert browser.who == ANN


def test_two_at_once_are_no_conflict(open_site: OpenSite, clock: Clock) -> None:
    site = open_site(server=False)
    sessions = ServerSessions(site.scopes, site.parts.sessions, on_conflict="error")
    site.sessions = sessions
    site.register()
    gate = threading.Barrier(2)

    def both() -> str:
        user = site.current_user()
        gate.wait(20)
        return user.email if user else "nobody"

    site.app.view_functions["about"] = both
    browser = remembered(site)
    browser.restart()
    assert browser.who == ANN
    session = browser.client.get_cookie("session")
    assert session

    def ask(_: int) -> str:
        another = site.browser()
        another.client.set_cookie("session", session.value)
        return str(another.get("/about").text)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, range(2))) == [ANN, ANN]


@pytest.mark.parametrize("home", KINDS, indirect=True)
def test_a_login_that_cannot_be_committed_remembers_nothing(site: Site) -> None:
    @site.scopes.request
    def fails() -> c.Iterator[None]:
        yield
        raise LookupError

    def sign_in() -> str:
        assert site.login.sign_in(ANN, "correct horse", remember=True)
        # Built last, and so ended first.
        fails()
        return "in"

    site.view("/in", sign_in, methods=["POST"])
    browser = site.browser()

    assert browser.post("/in").status_code == 500
    assert browser.remembered is None
    assert devices_of(site) == []


def test_the_first_page_after_a_restart_knows_its_device(site: Site) -> None:
    def page() -> str:
        user = site.current_user()
        assert user
        (device,) = site.login.devices(user.id)
        return str(device.current)

    site.view("/page", page)
    browser = remembered(site)
    browser.restart()

    assert browser.get("/page").text == "True"
    assert browser.get("/page").text == "True"
