"""Links in letters: who gets one, what it is good for, and how often."""

from __future__ import annotations

import concurrent.futures
import datetime
import threading
import time
import typing as t

import flask
import pytest

from flask_scopes import SetupError
from flask_scopes.login import Account

from .site import KINDS
from .site import PASSWORD
from .site import OpenSite
from .site import Site

every_kind = pytest.mark.parametrize("home", KINDS, indirect=True)
ANN = "ann@example.org"


def add_views(site: Site) -> None:
    def send(account: Account, text: str) -> None:
        site.letters.append((account.email, text))

    @site.app.post("/forgotten")
    def forgotten() -> str:
        site.login.send_reset(flask.request.form["email"], send)
        if "fail" in flask.request.form:
            flask.abort(409)
        return "sent"

    @site.app.post("/ask")
    def ask() -> str:
        account = site.login.users.find(flask.request.form["email"])
        assert account
        site.login.send_confirmation(account, send)
        return "sent"

    @site.app.post("/reset")
    @site.scopes.retry(50)
    def reset() -> tuple[str, int]:
        form = flask.request.form
        done = site.login.reset_password(form["text"], form["password"])
        return (done.email, 200) if done else ("no", 410)

    @site.app.post("/confirm-address")
    def confirm_address() -> tuple[str, int]:
        done = site.login.confirm_email(flask.request.form["text"])
        return (done.email, 200) if done else ("no", 410)


@pytest.fixture
def with_letters(open_site: OpenSite) -> Site:
    site = open_site()
    site.register()
    add_views(site)
    return site


def reset(site: Site, text: str, password: str = "battery staple") -> int:
    form = {"text": text, "password": password}
    return int(site.browser().post("/reset", data=form).status_code)


def ask_for_reset(site: Site, email: str = ANN) -> str:
    site.browser().post("/forgotten", data={"email": email})
    ((to, text),) = site.letters
    site.letters.clear()
    assert to == ANN
    return text


@every_kind
def test_a_link_gives_another_password_once(with_letters: Site) -> None:
    site = with_letters
    devices = [site.browser(ANN, remember="1") for _ in range(2)]
    text = ask_for_reset(site, " ANN@Example.org")

    assert reset(site, text) == 200
    assert reset(site, text, "another one") == 410
    for device in devices:
        assert device.who == "nobody"
        device.restart()
        assert device.who == "nobody"
    assert site.browser().sign_in(ANN, PASSWORD).status_code == 401
    assert site.browser().sign_in(ANN, "battery staple").status_code == 200


def test_a_reset_ends_tokens(with_letters: Site) -> None:
    site = with_letters

    def tokens() -> int:
        with site.app.app_context():
            account = site.login.users.find(ANN)
            assert account
            return len(site.login.tokens.of(account.id))

    with site.app.app_context():
        account = site.login.users.find(ANN)
        assert account
        site.login.tokens.create(account.id, "a thief's")
    assert tokens() == 1
    with site.app.app_context():
        site.login.sign_out_everywhere(account.id)
    assert tokens() == 1

    assert reset(site, ask_for_reset(site)) == 200
    assert tokens() == 0
    with site.app.app_context():
        site.login.tokens.create(account.id, "another")
        site.login.sign_out_everywhere(account.id, tokens=True)
    assert tokens() == 0


def test_whoever_resets_is_signed_out_as_well(with_letters: Site) -> None:
    browser = with_letters.browser(ANN, remember="1")
    text = ask_for_reset(with_letters)

    browser.post("/reset", data={"text": text, "password": "battery staple"})

    assert browser.who == "nobody"
    browser.restart()
    assert browser.who == "nobody"


@every_kind
def test_a_link_confirms_an_address_once(with_letters: Site) -> None:
    site = with_letters
    site.browser().post("/ask", data={"email": ANN})
    ((_, text),) = site.letters
    form = {"text": text}

    with site.app.app_context():
        account = site.login.users.find(ANN)
        assert account
        assert not account.is_confirmed
    assert site.browser().post("/confirm-address", data=form).text == ANN
    assert site.browser().post("/confirm-address", data=form).status_code == 410
    with site.app.app_context():
        account = site.login.users.find(ANN)
        assert account
        assert account.is_confirmed


@every_kind
def test_of_two_at_once_one_is_the_first(with_letters: Site) -> None:
    site = with_letters
    text = ask_for_reset(site)
    gate = threading.Barrier(6)

    def use(number: int) -> int:
        gate.wait(20)
        return reset(site, text, f"password {number}")

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(use, range(6)))

    assert sorted(statuses) == [200, 410, 410, 410, 410, 410]
    number = statuses.index(200)
    assert site.browser().sign_in(ANN, f"password {number}").status_code == 200


def test_a_letter_for_one_thing_is_not_good_for_another(with_letters: Site) -> None:
    site = with_letters
    text = ask_for_reset(site)
    assert (
        site.browser().post("/confirm-address", data={"text": text}).status_code == 410
    )

    site.browser().post("/ask", data={"email": ANN})
    ((_, text),) = site.letters
    assert reset(site, text) == 410


def test_another_password_ends_older_letters(with_letters: Site) -> None:
    older = ask_for_reset(with_letters)
    newer = ask_for_reset(with_letters)

    assert reset(with_letters, newer) == 200
    assert reset(with_letters, older) == 410


def test_a_login_ends_no_letter(with_letters: Site) -> None:
    text = ask_for_reset(with_letters)
    with_letters.browser(ANN)

    assert reset(with_letters, text) == 200


def test_a_letter_is_good_for_an_hour(
    with_letters: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = ask_for_reset(with_letters)
    now = time.time
    for ahead, status in ((3700, 410), (3500, 200)):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda by=ahead: now() + by)
            assert reset(with_letters, text) == status


@pytest.mark.parametrize(
    "text",
    ["", "x", ".", "a.b.c", "\u00e9", "\ud800", "x" * 5000, "eyJpZCI6IjEifQ.x.y"],
)
def test_what_is_made_up_is_good_for_nothing(with_letters: Site, text: str) -> None:
    with with_letters.app.test_request_context():
        assert with_letters.login.links.to_reset(text) is None
        assert with_letters.login.links.to_confirm(text) is None
        assert with_letters.login.reset_password(text, "x") is None
        assert with_letters.login.confirm_email(text) is None


def test_an_older_key_is_still_good(with_letters: Site) -> None:
    site = with_letters
    older = ask_for_reset(site)
    site.app.config["SECRET_KEY_FALLBACKS"] = [site.app.secret_key]
    site.app.secret_key = "a newer key"
    newer = ask_for_reset(site)

    with site.app.app_context():
        assert site.login.links.to_reset(older)
        site.app.config["SECRET_KEY_FALLBACKS"] = []
        assert site.login.links.to_reset(older) is None
        assert site.login.links.to_reset(newer)


def test_nobody_is_told_who_is_here(with_letters: Site) -> None:
    site = with_letters
    answers = [
        site.browser().post("/forgotten", data={"email": email})
        for email in (ANN, "nobody@example.org", "x", "\0")
    ]

    assert {(each.status_code, each.text) for each in answers} == {(200, "sent")}
    assert [to for to, _ in site.letters] == [ANN]


def test_letters_are_sent_when_all_was_kept(with_letters: Site) -> None:
    site = with_letters
    site.browser().post("/forgotten", data={"email": ANN, "fail": "1"})

    assert site.letters == []


def test_asking_for_letters_is_slowed_down(with_letters: Site) -> None:
    statuses = [
        with_letters.browser().post("/forgotten", data={"email": ANN}).status_code
        for _ in range(7)
    ]

    assert statuses == [200] * 5 + [429] * 2
    # It is not what signing in is.
    assert with_letters.browser().sign_in(ANN).status_code == 200


@pytest.mark.parametrize("email", ["\u212aim@example.org", "\uff4bim@example.org"])
def test_a_letter_goes_where_it_was_registered(with_letters: Site, email: str) -> None:
    """Not to an address that only looks like it, and may be somebody else's."""
    site = with_letters
    site.register("kim@example.org")
    site.browser().post("/forgotten", data={"email": email})

    assert [to for to, _ in site.letters] == ["kim@example.org"]


@pytest.mark.parametrize("name", ["reset_within", "confirm_within"])
def test_times_that_cannot_be(open_site: OpenSite, name: str) -> None:
    options: dict[str, t.Any] = {name: datetime.timedelta()}
    with pytest.raises(SetupError, match="_within"):
        open_site(**options)
