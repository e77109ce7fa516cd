"""Slowing down those who guess, and nobody else."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import datetime
import logging
import threading
import typing as t

import pytest

from flask_scopes import SetupError
from flask_scopes.clock import now
from flask_scopes.login import Record
from flask_scopes.login import Throttle
from flask_scopes.login import TooManyAttempts
from flask_scopes.login import memory
from flask_scopes.login.memory import Memory

from ..sessions.site import Clock
from .site import KINDS
from .site import PASSWORD
from .site import OpenSite
from .site import Site

every_kind = pytest.mark.parametrize("home", KINDS, indirect=True)
ANN = "ann@example.org"
SECOND = datetime.timedelta(seconds=1)
HOUR = datetime.timedelta(hours=1)


def guess(site: Site, email: str = ANN, address: str = "10.0.0.1") -> t.Any:
    return attempt(site, email, "a guess", address)


def attempt(site: Site, email: str, password: str, address: str) -> t.Any:
    more = {"environ_base": {"REMOTE_ADDR": address}}
    return site.browser().sign_in(email, password, more=more)


@every_kind
def test_after_some_attempts_each_has_to_wait(
    open_site: OpenSite, clock: Clock
) -> None:
    site = open_site(throttle=Throttle(free_by_address=1000))
    site.register()
    for _ in range(5):
        assert guess(site).status_code == 401

    response = guess(site)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
    # Nor is the right one looked at.
    assert attempt(site, ANN, PASSWORD, "10.0.0.2").status_code == 429
    waits = []
    for _ in range(9):
        clock.pass_by(SECOND * int(response.headers["Retry-After"]))
        assert guess(site).status_code == 401
        response = guess(site)
        assert response.status_code == 429
        waits.append(int(response.headers["Retry-After"]))
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    clock.pass_by(SECOND * 60)
    assert attempt(site, ANN, PASSWORD, "10.0.0.2").status_code == 200


@every_kind
def test_a_burst_does_not_get_in_before_it_is_counted(open_site: OpenSite) -> None:
    site = open_site(throttle=Throttle(free=5, free_by_address=1000))
    site.register()
    gate = threading.Barrier(16)

    def burst(_: int) -> int:
        gate.wait(20)
        return int(guess(site).status_code)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(burst, range(16)))

    assert statuses.count(401) <= 5
    assert set(statuses) <= {401, 429}


@every_kind
def test_what_was_counted_stays_though_the_answer_is_a_failure(site: Site) -> None:
    for _ in range(5):
        guess(site)

    with site.app.app_context(), pytest.raises(TooManyAttempts) as raised:
        site.login.check(ANN, PASSWORD)

    assert 0 < raised.value.wait <= 1


def test_a_stranger_elsewhere_makes_nobody_wait_where_they_are_known(
    site: Site, clock: Clock
) -> None:
    assert attempt(site, ANN, PASSWORD, "10.0.0.9").status_code == 200
    for number in range(20):
        guess(site, address=f"10.0.1.{number}")
        clock.pass_by(SECOND)
    assert guess(site, address="10.0.2.1").status_code == 429

    assert attempt(site, ANN, PASSWORD, "10.0.0.9").status_code == 200
    # Who is known there has as many attempts as anybody.
    for _ in range(5):
        assert guess(site, address="10.0.0.9").status_code == 401
    assert guess(site, address="10.0.0.9").status_code == 429
    clock.pass_by(datetime.timedelta(days=31))
    for _ in range(5):
        guess(site)
    assert attempt(site, ANN, PASSWORD, "10.0.0.9").status_code == 429


def test_an_address_that_is_used_stays_known(site: Site, clock: Clock) -> None:
    for _ in range(3):
        assert attempt(site, ANN, PASSWORD, "10.0.0.9").status_code == 200
        clock.pass_by(datetime.timedelta(days=20))
    for _ in range(5):
        guess(site)

    assert attempt(site, ANN, PASSWORD, "10.0.0.9").status_code == 200


def test_who_guesses_does_not_fill_the_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        guess(site)
    with caplog.at_level(logging.INFO):
        assert guess(site).status_code == 429

    (record,) = [each for each in caplog.records if "429" in each.getMessage()]
    assert (record.levelname, record.exc_info) == ("INFO", None)


def test_one_address_tries_many_names(site: Site, clock: Clock) -> None:
    for number in range(20):
        assert guess(site, f"{number}@example.org").status_code == 401

    assert guess(site, "another@example.org").status_code == 429
    assert guess(site, "another@example.org", "10.0.0.2").status_code == 401
    clock.pass_by(HOUR + SECOND)
    assert guess(site, "another@example.org").status_code == 401


def test_those_who_sign_in_do_not_use_up_their_address(site: Site) -> None:
    for number in range(45):
        assert attempt(site, ANN, PASSWORD, "10.0.0.1").status_code == 200, number


def test_signing_in_as_oneself_gives_no_further_guesses(
    site: Site, clock: Clock
) -> None:
    site.register("thief@example.org")
    tried = 0
    for number in range(60):
        tried += guess(site, f"{number}@example.org").status_code == 401
        attempt(site, "thief@example.org", PASSWORD, "10.0.0.1")
    assert tried <= 21


def test_a_login_forgets_the_attempts_before_it(site: Site) -> None:
    for _ in range(3):
        for _ in range(4):
            assert guess(site).status_code == 401
        assert attempt(site, ANN, PASSWORD, "10.0.0.1").status_code == 200


def test_everything_is_forgotten_after_a_while(site: Site, clock: Clock) -> None:
    for _ in range(5):
        guess(site)
    clock.pass_by(HOUR + SECOND)

    for _ in range(5):
        assert guess(site).status_code == 401


def test_a_host_of_ipv6_has_many_addresses(site: Site) -> None:
    for number in range(20):
        assert guess(site, f"{number}@x.org", f"2001:db8::{number}").status_code == 401

    assert guess(site, "a@x.org", "2001:db8::ffff:1").status_code == 429
    assert guess(site, "a@x.org", "2001:db8:0:1::1").status_code == 401
    # The same host in both ways to write it.
    for number in range(20):
        guess(site, f"b{number}@x.org", "10.0.0.1")
    assert guess(site, "c@x.org", "::ffff:10.0.0.1").status_code == 429


@pytest.mark.parametrize("home", KINDS, indirect=True)
@pytest.mark.parametrize("address", ["unix:/socket", "x" * 5000, "\0"])
def test_an_address_that_is_none_is_one(site: Site, address: str) -> None:
    for number in range(20):
        assert guess(site, f"{number}@x.org", address).status_code == 401
    assert guess(site, "another@x.org", address).status_code == 429


def test_what_a_process_keeps_by_itself_has_a_limit(clock: Clock) -> None:
    kept = Memory()
    first = Record("0", None, {}, now() + 60)
    assert kept.add(first)
    assert not kept.add(Record("0", None, {}, 0.0))
    assert kept.swap(first, {"n": 1}, first.expires)
    assert not kept.swap(first, {"n": 2}, first.expires)
    for number in range(1, memory._MOST):
        kept.add(Record(str(number), None, {}, now() + 60))
    assert kept.get("0")
    clock.pass_by(HOUR)
    kept.add(Record("last", None, {}, now() + 60))

    assert kept.get("0") is None
    assert kept.get("last")
    assert kept.remove(["last", "unknown"]) == 1
    for number in range(memory._MOST + 1):
        kept.add(Record(str(number), None, {}, now() + 7200))
    # Also if none of them is over.
    assert kept.get("0") is None
    assert kept.get(str(memory._MOST))


def with_memory(site: Site) -> c.Callable[[str], t.Any]:
    """A function that signs in where SQLite is in use already, so that the attempt is
    counted in memory.
    """
    site.register()

    @site.app.post("/in-memory/<password>")
    def in_memory(password: str) -> str:
        assert site.login.users.find(ANN)
        return str(site.login.sign_in(ANN, password))

    address = {"REMOTE_ADDR": "10.0.0.1"}
    return lambda password: site.browser().client.post(
        f"/in-memory/{password}", environ_base=address
    )


def test_no_guess_is_taken_back_by_an_attempt_that_was_counted_elsewhere(
    open_site: OpenSite,
) -> None:
    site = open_site(throttle=Throttle(free_by_address=3))
    attempt_in_memory = with_memory(site)

    for number in range(3):
        assert guess(site, f"{number}@example.org").status_code == 401
        assert attempt_in_memory(PASSWORD).text == "True"

    assert guess(site, "4@example.org").status_code == 429


def test_who_gets_in_has_all_attempts_again_also_in_memory(open_site: OpenSite) -> None:
    attempt_in_memory = with_memory(open_site())
    # From then on it is known there, and counted apart.
    assert attempt_in_memory(PASSWORD).text == "True"
    for _ in range(4):
        assert attempt_in_memory("a guess").text == "False"
    assert attempt_in_memory(PASSWORD).text == "True"

    for _ in range(5):
        assert attempt_in_memory("a guess").text == "False"
    assert attempt_in_memory(PASSWORD).status_code == 429


def test_where_a_server_says_no_address_names_are_counted(site: Site) -> None:
    for number in range(25):
        assert guess(site, f"{number}@x.org", "").status_code == 401
    for _ in range(4):
        assert guess(site, "1@x.org", "").status_code == 401
    assert guess(site, "1@x.org", "").status_code == 429


@pytest.mark.parametrize("email", ["", "\0", "\ud800@x.org", "x" * 100_000, "a b"])
@every_kind
def test_a_name_that_is_none_is_counted(site: Site, email: str) -> None:
    with site.app.app_context():
        for _ in range(5):
            assert site.login.check(email, PASSWORD) is None
        with pytest.raises(TooManyAttempts):
            site.login.check(email, PASSWORD)


def test_what_was_typed_is_not_kept(site: Site) -> None:
    # A password in the wrong field.
    guess(site, "battery staple")
    sql = site.parts.records._connections

    with site.app.app_context():
        kept = repr(sql.read(site.parts.records._records.select()))

    assert "attempts:sign-in" in kept
    assert "battery" not in kept


def test_more_may_be_allowed(open_site: OpenSite) -> None:
    site = open_site(throttle=Throttle(free=50, free_by_address=50))
    site.register()
    for _ in range(50):
        assert guess(site).status_code == 401
    assert guess(site).status_code == 429


def test_without_records_nobody_is_slowed_down(open_site: OpenSite) -> None:
    site = open_site(records=None)
    site.register()
    for _ in range(30):
        assert guess(site).status_code == 401


@pytest.mark.parametrize(
    "throttle",
    [
        Throttle(free=0),
        Throttle(free_by_address=0),
        Throttle(longest=datetime.timedelta()),
        Throttle(longest=HOUR * 2),
    ],
)
def test_numbers_that_cannot_be(open_site: OpenSite, throttle: Throttle) -> None:
    with pytest.raises(SetupError, match="Throttle"):
        open_site(throttle=throttle)
