"""Passwords: how they are kept, and how much it costs to look at one."""

from __future__ import annotations

import concurrent.futures
import datetime
import os
import threading
import typing as t
import warnings

import argon2
import flask
import pytest
from werkzeug.security import generate_password_hash

from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes.login import Passwords
from flask_scopes.login import TooBusy

from .site import KINDS
from .site import PASSWORD
from .site import QUICK
from .site import OpenSite
from .site import Site

every_kind = pytest.mark.parametrize("home", KINDS, indirect=True)
ANN = "ann@example.org"


@pytest.fixture
def passwords(scopes: Scopes, app: flask.Flask) -> t.Iterator[Passwords]:
    with app.app_context():
        yield Passwords(scopes, hasher=QUICK)


def test_the_parameters_are_those_of_the_standard(
    scopes: Scopes, app: flask.Flask
) -> None:
    passwords = Passwords(scopes)
    with app.app_context():
        hashed = passwords.hash(PASSWORD)

        # RFC 9106, 4, the second one: 2 ** 16 KiB, three passes, four lanes.
        assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        assert passwords.verify(hashed, PASSWORD)
        assert not passwords.verify(hashed, PASSWORD.upper())
        assert not passwords.needs_rehash(hashed)


def test_each_hash_is_another(passwords: Passwords) -> None:
    assert passwords.hash(PASSWORD) != passwords.hash(PASSWORD)


@pytest.mark.parametrize(
    "password", ["", "\0", "\ud800", "\u00e9" * 70, "x" * 100_000, "\U0001f511"]
)
def test_any_text_is_one(passwords: Passwords, password: str) -> None:
    hashed = passwords.hash(password)

    assert passwords.verify(hashed, password)
    assert not passwords.verify(hashed, password + "x")


@pytest.mark.parametrize("method", ["scrypt:1024:8:1", "pbkdf2:sha256:1"])
def test_those_of_werkzeug_are_still_good(passwords: Passwords, method: str) -> None:
    hashed = generate_password_hash(PASSWORD, method)

    assert passwords.verify(hashed, PASSWORD)
    assert not passwords.verify(hashed, "a guess")
    assert passwords.needs_rehash(hashed)


NO_HASHES = ["x", "$argon2id$", "$argon2id$\u00e9", "$2b$12$abc", PASSWORD, "scrypt"]
NO_HASHES += ["scrypt:x:y:z$s$h", "pbkdf2:nope:1$s$h"]


def test_half_a_character_is_no_password_of_werkzeugs(passwords: Passwords) -> None:
    hashed = generate_password_hash(PASSWORD, "pbkdf2:sha256:1")

    assert not passwords.verify(hashed, "\ud800")


@pytest.mark.parametrize("hashed", NO_HASHES)
def test_what_is_no_hash_is_nobodys(
    passwords: Passwords, hashed: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not passwords.verify(hashed, hashed)
    assert not passwords.verify(hashed, PASSWORD)
    assert "neither Argon2's nor Werkzeug's" in caplog.text
    assert passwords.needs_rehash(hashed)


class Counting(argon2.PasswordHasher):
    """Counts how often it works, and how many do so at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.calls: list[str] = []
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def verify(self, hashed: str | bytes, password: str | bytes) -> t.Literal[True]:
        self.calls.append(str(hashed))
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            threading.Event().wait(0.02)
            return super().verify(hashed, password)
        finally:
            with self.lock:
                self.inside -= 1


def test_an_unknown_address_is_as_much_work(open_site: OpenSite) -> None:
    counting = Counting()
    site = open_site()
    site.login.passwords = Passwords(site.scopes, hasher=counting)
    site.register()
    with site.app.app_context():
        site.login.users.add("no-password@example.org", None)

    unknown = ["nobody@example.org", "no-password@example.org", "\0", "x" * 999]
    for email in [ANN, *unknown]:
        counting.calls.clear()
        assert site.browser().sign_in(email, "a guess").status_code == 401
        (hashed,) = counting.calls
        assert argon2.extract_parameters(hashed) == argon2.extract_parameters(
            counting.hash("x")
        )


def test_a_few_are_hashed_at_once(scopes: Scopes, app: flask.Flask) -> None:
    counting = Counting()
    passwords = Passwords(scopes, hasher=counting, at_once=2)

    def verify(_: int) -> bool:
        with app.app_context():
            return passwords.verify(None, PASSWORD)

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert list(pool.map(verify, range(24))) == [False] * 24

    assert counting.most == 2


def test_whoever_waits_too_long_is_told(open_site: OpenSite) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(argon2.PasswordHasher):
        def verify(self, hashed: str | bytes, password: str | bytes) -> t.Literal[True]:
            entered.set()
            assert go_on.wait(20)
            return super().verify(hashed, password)

    site = open_site()
    slow = Slow(time_cost=1, memory_cost=8, parallelism=1)
    patience = datetime.timedelta(milliseconds=50)
    site.login.passwords = Passwords(
        site.scopes, hasher=slow, at_once=1, patience=patience
    )
    site.register()
    first = threading.Thread(target=site.browser().sign_in, args=[ANN])
    first.start()
    assert entered.wait(20)

    response = site.browser().sign_in(ANN)

    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    go_on.set()
    first.join(20)
    assert site.browser().sign_in(ANN).status_code == 200


def test_a_turn_that_is_taken_is_not_handed_down(
    scopes: Scopes, app: flask.Flask
) -> None:
    """A fork may come while another thread hashes."""
    entered, go_on = threading.Event(), threading.Event()

    class Slow(argon2.PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            if threading.current_thread() is not threading.main_thread():
                entered.set()
                assert go_on.wait(20)
            return super().hash(password, salt=salt)

    slow = Slow(time_cost=1, memory_cost=8, parallelism=1)
    patience = datetime.timedelta(seconds=1)
    passwords = Passwords(scopes, hasher=slow, at_once=1, patience=patience)

    def hash_one() -> None:
        with app.app_context():
            passwords.hash(PASSWORD)

    thread = threading.Thread(target=hash_one)
    thread.start()
    assert entered.wait(20)
    pid = os.fork()
    if not pid:
        # The child must not come back into the test, whatever happens.
        status = 1
        try:
            with app.app_context(), warnings.catch_warnings():
                # That there was a fork, which is the point.
                warnings.simplefilter("ignore")
                passwords.hash(PASSWORD)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with app.app_context(), pytest.raises(TooBusy):
        passwords.hash(PASSWORD)
    go_on.set()
    thread.join(20)


@every_kind
@pytest.mark.parametrize("old", ["werkzeug", "weaker"])
def test_a_hash_is_made_better_with_a_login(open_site: OpenSite, old: str) -> None:
    site = open_site()
    weaker = argon2.PasswordHasher(time_cost=1, memory_cost=16, parallelism=1)
    hashed = weaker.hash(PASSWORD)
    if old == "werkzeug":
        hashed = generate_password_hash(PASSWORD, "pbkdf2:sha256:1")
    with site.app.app_context():
        site.login.users.add(ANN, hashed)

    assert site.browser().sign_in(ANN, "a guess").status_code == 401
    with site.app.app_context():
        account = site.login.users.find(ANN)
        assert account
        assert account.password == hashed
    site.browser(ANN)

    with site.app.app_context():
        account = site.login.users.find(ANN)
        assert account
        assert account.password
        assert not site.login.passwords.needs_rehash(account.password)
    site.browser(ANN)


@pytest.mark.parametrize(
    "options",
    [{"at_once": 0}, {"at_once": -1}, {"patience": datetime.timedelta()}],
)
def test_options_that_cannot_be(scopes: Scopes, options: dict[str, t.Any]) -> None:
    with pytest.raises(SetupError, match="at_once"):
        Passwords(scopes, **options)


def test_without_users_there_are_no_passwords(open_site: OpenSite) -> None:
    site: Site = open_site(users=None)
    with site.app.app_context():
        for ask in (
            lambda: site.login.check(ANN, PASSWORD),
            lambda: site.login.links,
            lambda: site.login.users,
        ):
            with pytest.raises(SetupError, match="users"):
                ask()
