"""Accounts and records in each database."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import datetime
import pathlib
import threading
import typing as t

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes import clock
from flask_scopes.login import EmailTaken
from flask_scopes.login import Record
from flask_scopes.login import email_key
from flask_scopes.login import is_address
from flask_scopes.login.sql import SQLUsers
from flask_scopes.sqlalchemy import SQL

from ..sessions.site import Clock
from .site import KINDS
from .site import OpenSite
from .site import Site

every_kind = pytest.mark.parametrize("home", KINDS, indirect=True)
ANN = "ann@example.org"


@pytest.fixture
def within(site: Site) -> c.Iterator[Site]:
    with site.app.app_context():
        yield site


# ---- Accounts


@every_kind
def test_an_account_is_found_by_id_and_by_address(within: Site) -> None:
    users = within.login.users
    account = users.find("ANN@EXAMPLE.ORG ")

    assert account
    assert account.email == ANN
    assert users.get(account.id) == account
    assert users.find("another@example.org") is None


@every_kind
@pytest.mark.parametrize(
    "user_id", ["", "x", "0", "-1", "9" * 30, " 1", "1.0", "\u0661", "\0", "a" * 24]
)
def test_any_text_may_be_asked_for(within: Site, user_id: str) -> None:
    assert within.login.users.get(user_id) is None


@every_kind
@pytest.mark.parametrize("email", [ANN, "Ann@Example.Org", " ANN@example.org\n"])
def test_an_address_is_taken_once(within: Site, email: str) -> None:
    with pytest.raises(EmailTaken, match="Another account"):
        within.login.users.add(email, None)


@every_kind
def test_of_two_who_register_at_once_one_is_the_first(site: Site) -> None:
    gate = threading.Barrier(6)

    def register(number: int) -> str:
        gate.wait(20)
        try:
            with site.scopes.unit(site.app):
                site.login.users.add("ben@example.org", str(number))
        except EmailTaken:
            return "taken"
        except sa.exc.OperationalError:
            # SQLite has room for one that writes.
            return "taken"
        return "first"

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        said = list(pool.map(register, range(6)))

    assert said.count("first") == 1
    with site.app.app_context():
        account = site.login.users.find("ben@example.org")
        assert account
        assert account.password == str(said.index("first"))


@every_kind
def test_a_password_is_changed_by_who_has_read_the_last_one(within: Site) -> None:
    users = within.login.users
    account = users.find(ANN)
    assert account

    assert users.set_password(account, "one")
    assert not users.set_password(account, "two")
    changed = users.get(account.id)
    assert changed
    assert changed.password == "one"
    assert users.set_password(changed, "two")
    nobody = users.add("gone@example.org", None)
    assert nobody.password is None
    assert users.set_password(nobody, "three")


@every_kind
def test_an_address_is_confirmed_once(within: Site) -> None:
    users = within.login.users
    account = users.find(ANN)
    assert account

    assert users.confirm(account)
    assert not users.confirm(account)
    assert users.get(account.id) != account


@every_kind
def test_what_is_added_goes_with_the_request(open_site: OpenSite) -> None:
    site = open_site()

    def register() -> str:
        site.login.users.add("ben@example.org", None)
        flask.abort(409)

    site.view("/register", register, methods=["POST"])
    site.browser().post("/register")

    with site.app.app_context():
        is_sql = site.app.config["MONGO_URI"].startswith(("sqlite", "postgresql"))
        found = site.login.users.find("ben@example.org")
        # In MongoDB there was no transaction to be part of.
        assert (found is None) is is_sql


def test_a_field_that_is_misspelt_is_an_error(within: Site) -> None:
    with pytest.raises(TypeError, match="acitve"):
        within.login.users.add("ben@example.org", None, acitve=True)


@every_kind
def test_what_is_ours_is_no_field(within: Site) -> None:
    with pytest.raises(TypeError, match="confirmed"):
        within.login.users.add("ben@example.org", None, confirmed=True)
    assert within.login.users.find("ben@example.org") is None


def test_a_model_that_lacks_something_is_refused(scopes: Scopes) -> None:
    class Base(DeclarativeBase):
        pass

    class Person(Base):
        __tablename__ = "people"
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str]

    with pytest.raises(SetupError, match="Person has to have"):
        SQLUsers(SQL(scopes), Person)


@pytest.mark.parametrize(
    ("email", "same"),
    [
        ("Ann@Example.org", "ann@example.org"),
        (" ann@example.org\t", "ann@example.org"),
        ("STRASSE@example.org", "stra\u00dfe@example.org"),
        ("\uff21nn@example.org", "ann@example.org"),
        ("e\u0301@example.org", "\u00e9@example.org"),
    ],
)
def test_addresses_are_compared_without_case(email: str, same: str) -> None:
    assert email_key(email) == email_key(same)


def test_addresses_that_differ_are_two() -> None:
    # A dotless i, and a letter of another alphabet.
    assert len({email_key(f"{each}@x.org") for each in "i\u0131\u0456"}) == 3


def test_a_long_address_takes_no_time() -> None:
    # Half a million: sorted by Unicode's rules, it would be minutes.
    assert len(email_key("a" + "\u0301\u0316" * 250_000)) <= 600


@pytest.mark.parametrize(
    "email",
    ["", "x", "a@b\0", "a@b\ud800", "a@b\n", "a@" + "b" * 300, "\ufdfa" * 250 + "@x"],
)
def test_what_is_no_address(email: str) -> None:
    assert not is_address(email)


@pytest.mark.parametrize(
    "email", ["a@b", "\u00e9@x.org", "a b@c", "a" * 240 + "@b.org"]
)
def test_what_may_be_an_address(email: str) -> None:
    assert is_address(email)


# ---- Records


def record(name: str = "kind:a", owner: str | None = "1", **data: t.Any) -> Record:
    return Record(name, owner, {"n": 1, **data}, clock.now() + 60)


@every_kind
def test_a_record_is_kept_as_it_was(within: Site) -> None:
    records = within.records
    data: dict[str, t.Any] = {
        "text": "\u00e9",
        "list": ["a"],
        "none": None,
        "real": 1.5,
        "yes": True,
    }
    made = record(**data)

    assert records.get("kind:a") is None
    assert records.add(made)
    assert records.get("kind:a") == made
    assert not records.add(record(text="another"))
    assert records.get("kind:a") == made


@every_kind
def test_a_record_is_changed_by_who_has_read_it_last(within: Site) -> None:
    records = within.records
    made = record()
    records.add(made)

    assert records.swap(made, {"n": 2}, made.expires + 1)
    assert not records.swap(made, {"n": 3}, made.expires)
    found = records.get("kind:a")
    assert found
    assert (found.data["n"], found.version, found.owner) == (2, 1, "1")
    assert found.expires == made.expires + 1
    assert records.swap(found, {"n": 3}, found.expires)
    assert not records.swap(record("kind:unknown"), {}, 1.0)


@every_kind
def test_records_are_removed_and_listed(within: Site) -> None:
    records = within.records
    made = [record(f"{kind}:{n}", owner) for kind in ("a", "ab") for n, owner in PAIRS]
    for each in made:
        records.add(each)

    assert {each.id for each in records.of("a", "1")} == {"a:1", "a:2"}
    assert records.remove(["a:1", "a:unknown"]) == 1
    assert records.remove([]) == 0
    assert {each.id for each in records.of("a", "1")} == {"a:2"}
    assert {each.id for each in records.of("ab", "1")} == {"ab:1", "ab:2"}
    assert records.of("%", "1") == []


PAIRS = [(1, "1"), (2, "1"), (3, "2"), (4, None)]


@every_kind
def test_of_two_who_add_at_once_one_is_the_first(site: Site) -> None:
    gate = threading.Barrier(8)

    def add(number: int) -> bool:
        with site.scopes.unit(site.app):
            gate.wait(20)
            return site.records.add(record(n=number))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = list(pool.map(add, range(8)))

    assert done.count(True) == 1
    with site.app.app_context():
        found = site.records.get("kind:a")
        assert found
        assert found.data["n"] == done.index(True)


@every_kind
@pytest.mark.parametrize("looks", [False, True])
def test_what_is_written_apart_stays(site: Site, looks: bool) -> None:
    said: list[bool] = []

    def fail() -> str:
        if looks:
            site.login.users.find(ANN)
        with site.records.apart() as stays:
            said.append(stays)
            if stays:
                site.records.add(record("apart:a"))
        site.records.add(record("with:a"))
        site.login.users.find(ANN)
        flask.abort(409)

    site.view("/fail", fail, methods=["POST"])
    site.browser().post("/fail")

    # SQLite has room for one that writes.
    is_sqlite = site.app.config["MONGO_URI"].startswith("sqlite")
    assert said == [not (looks and is_sqlite)]
    with site.app.app_context():
        assert (site.records.get("apart:a") is not None) is said[0]


def test_another_sqlite_that_is_in_use_is_no_matter(
    open_site: OpenSite, tmp_path: pathlib.Path
) -> None:
    site = open_site()
    sql = site.parts.records._connections._sql
    site.app.config["SQLALCHEMY_BINDS"] = {"other": f"sqlite:///{tmp_path}/other.db"}

    with site.app.app_context():
        sql.session("other").execute(sa.text("SELECT 1"))
        with site.records.apart() as stays:
            assert stays
        sql.session().execute(sa.text("SELECT 1"))
        with site.records.apart() as stays:
            assert not stays


def test_what_is_over_is_removed_by_a_command(site: Site, clock: Clock) -> None:
    with site.app.app_context():
        for each in ("a", "b"):
            site.records.add(record(f"kind:{each}"))
    run = site.app.test_cli_runner().invoke

    assert "Removed 0 records." in run(args=["scopes", "login", "purge"]).output
    clock.pass_by(datetime.timedelta(minutes=2))
    assert "Removed 2 records." in run(args=["scopes", "login", "purge"]).output


def test_without_records_there_is_nothing_to_remove(open_site: OpenSite) -> None:
    site = open_site(records=None)
    with site.app.app_context():
        for ask in (site.login.purge, lambda: site.login.tokens):
            with pytest.raises(SetupError, match="records"):
                ask()


@pytest.mark.mongo
@pytest.mark.parametrize("home", ["mongo"], indirect=True)
def test_mongodb_removes_what_is_over_by_itself(within: Site) -> None:
    records: t.Any = within.records
    collection = records.database().login
    made = record()
    records.add(made)

    indexes = collection.index_information()
    assert indexes["ends_1"]["expireAfterSeconds"] == 0
    (found,) = collection.find()
    ends = found["ends"].replace(tzinfo=datetime.UTC).timestamp()
    assert abs(ends - made.expires) < 1
    assert records.purge(made.expires + 1) == 0
    users: t.Any = within.login.users
    assert users.database().users.index_information()["email_key_1"]["unique"]
