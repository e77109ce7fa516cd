"""What every store does: one suite for all, against real servers."""

from __future__ import annotations

import collections.abc as c
import concurrent.futures
import time
import typing as t

import pytest

from flask_scopes.clock import date_of
from flask_scopes.sessions import Change
from flask_scopes.sessions import Head
from flask_scopes.sessions import Row
from flask_scopes.sessions import Store
from flask_scopes.sessions.mongo import MongoStore
from flask_scopes.sessions.redis import RedisStore
from flask_scopes.sessions.sql import SQLStore

from .site import KINDS
from .site import Site

pytestmark = pytest.mark.parametrize("home", [*KINDS, "mariadb"], indirect=True)

ID = "a" * 22
OTHER = "b" * 22


@pytest.fixture
def store(site: Site) -> c.Iterator[Store]:
    with site.app.app_context():
        yield site.store


def head(session_id: str = ID, **fields: t.Any) -> Head:
    now = time.time()
    known: dict[str, t.Any] = {
        "digest": "d" * 64,
        "user": "ann",
        "created": now,
        "seen": now,
        "expires": now + 100,
        "limit": now + 1000,
    }
    return Head(session_id, **{**known, **fields})


def test_what_is_added_is_found_as_it_was(store: Store) -> None:
    added = head(agent="Firefox \N{SNOWMAN}", address="::1", old_until=0.1)
    texts = {"a": '"\\u2603"', "": "1", "b:c.$d": '{"e": "f"}', "\N{SNOWMAN}": "[]"}
    texts |= {"A": "2", "\N{LATIN SMALL LETTER A WITH ACUTE}": "3"}

    store.add(added, texts)
    stored = store.load(ID)

    assert stored is not None
    assert stored.head == added
    assert stored.rows == {name: Row(text, 0) for name, text in texts.items()}


def test_one_without_a_user_and_without_values(store: Store) -> None:
    store.add(head(user=None), {})

    stored = store.load(ID)

    assert stored is not None
    assert stored.head.user is None
    assert stored.rows == {}
    assert store.of("None") == store.of("null") == []


@pytest.mark.parametrize("other", [OTHER, "", "aaaa", ID + "a", ID[:-1], "*", "%", "$"])
def test_what_is_not_there(store: Store, other: str) -> None:
    store.add(head(), {"a": "1"})

    assert store.load(other) is None
    assert store.remove([other]) == 0
    assert store.update(other, "d" * 64, {"seen": 5.0}) is False
    assert store.load(ID) is not None


def test_long_values(store: Store) -> None:
    text = '"' + "x" * 200_000 + '"'
    store.add(head(), {"a": text})
    store.write(head(), 0, {"b": Change(None, text)}, check=False)

    stored = store.load(ID)

    assert stored is not None
    assert {row.text for row in stored.rows.values()} == {text}


@pytest.mark.parametrize("check", [False, True])
def test_values_are_changed_added_and_removed(store: Store, check: bool) -> None:
    store.add(head(), {"a": "1", "b": "2", "c": "3"})
    changes = {"a": Change("1", "10"), "b": Change("2", None), "d": Change(None, "4")}

    assert store.write(head(), 7, changes, check=check)

    stored = store.load(ID)
    assert stored is not None
    assert stored.rows == {"a": Row("10", 7), "c": Row("3", 0), "d": Row("4", 7)}


@pytest.mark.parametrize(
    ("now", "change"),
    [
        ("9", Change("1", "2")),
        ("9", Change("1", None)),
        ("9", Change(None, "2")),
        (None, Change("1", "2")),
        (None, Change("1", None)),
    ],
)
def test_what_is_not_what_it_was_is_left(
    store: Store, now: str | None, change: Change
) -> None:
    store.add(head(), {} if now is None else {"a": now})

    assert not store.write(head(), 0, {"a": change}, check=True)

    stored = store.load(ID)
    assert stored is not None
    assert stored.rows == ({} if now is None else {"a": Row(now, 0)})


def test_without_a_check_the_last_one_wins(store: Store) -> None:
    store.add(head(), {"a": "9"})

    for change in (Change("1", "2"), Change(None, "3"), Change("1", "3")):
        assert store.write(head(), 0, {"a": change}, check=False)
    assert store.write(head(), 0, {"gone": Change("1", None)}, check=False)

    stored = store.load(ID)
    assert stored is not None
    assert stored.rows == {"a": Row("3", 0)}


def test_fields_are_changed_if_nobody_else_was_faster(store: Store) -> None:
    store.add(head(), {"a": "1"})
    fields = {"digest": "e" * 64, "old_digest": "d" * 64, "old_until": 5.5}
    fields |= {"generation": 1, "seen": 6.5, "agent": "x", "address": "y"}

    assert store.update(ID, "d" * 64, fields)
    assert not store.update(ID, "d" * 64, {"generation": 2})

    stored = store.load(ID)
    assert stored is not None
    assert {name: getattr(stored.head, name) for name in fields} == fields
    assert stored.rows == {"a": Row("1", 0)}


def test_the_end_can_be_brought_forward(store: Store) -> None:
    store.add(head(), {"a": "1"})
    soon = time.time() + 50

    assert store.update(ID, "d" * 64, {"expires": soon, "digest": ""})

    stored = store.load(ID)
    assert stored is not None
    assert (stored.head.expires, stored.head.is_ending) == (soon, True)
    assert stored.rows == {"a": Row("1", 0)}


def test_what_is_removed_does_not_come_back(store: Store) -> None:
    store.add(head(), {"a": "1"})
    store.add(head(OTHER), {"a": "2"})

    assert store.remove([ID, "c" * 22]) == 1
    for check in (False, True):
        store.write(head(), 0, {"a": Change("1", "3")}, check=check)
        store.write(head(), 0, {"b": Change(None, "3")}, check=check)
    store.update(ID, "d" * 64, {"seen": 5.0, "expires": time.time() + 100})

    assert store.load(ID) is None
    assert [each.id for each in store.of("ann")] == [OTHER]
    other = store.load(OTHER)
    assert other is not None
    assert other.rows == {"a": Row("2", 0)}


def test_those_of_a_user(store: Store) -> None:
    known = [head(), head(OTHER), head("c" * 22, user="ben"), head("d" * 22, user=None)]
    for each in known:
        store.add(each, {"a": "1"})

    assert sorted(store.of("ann"), key=lambda each: each.id) == known[:2]
    assert store.of("ben") == known[2:3]
    assert store.of("an") == store.of("*") == store.of("") == store.of("Ann") == []


def test_a_short_session_hides_no_other(store: Store) -> None:
    if not isinstance(store, RedisStore):
        pytest.skip("the others find them by their user")
    for name, seconds in [(ID, 500), (OTHER, 1000), ("c" * 22, 1)]:
        store.add(head(name, limit=time.time() + seconds), {"a": "1"})

    client: t.Any = store.client()
    assert client.ttl("sessions:user:ann") > 900


def test_what_is_over_goes(store: Store, site: Site) -> None:
    now = time.time()
    store.add(head(expires=now + 0.5), {"a": "1"})
    store.add(head(OTHER, expires=now + 100), {"a": "2"})
    if isinstance(store, MongoStore):
        # It looks once a minute: see that it will find what it looks for.
        indexes = store.database().sessions.index_information()
        assert indexes["ends_1"]["expireAfterSeconds"] == 0
        ends = {each["_id"]: each["ends"] for each in store.database().sessions.find()}
        assert len(ends) == 4
        store.database().sessions.delete_many({"ends": {"$lt": date_of(now + 1)}})
    if isinstance(store, SQLStore):
        time.sleep(0.5)
        store.write(head("c" * 22), 0, {"a": Change(None, "1")}, check=False)
        assert site.sessions.purge() == 1
        with store._connections._sql.engine().connect() as connection:
            rows = connection.execute(store._values.select()).all()
        assert [row.session_id for row in rows] == [OTHER]
    else:
        assert site.sessions.purge() == 0
    until = time.monotonic() + 20
    while store.load(ID) is not None:
        assert time.monotonic() < until
        time.sleep(0.05)

    assert [each.id for each in store.of("ann")] == [OTHER]


def test_it_is_found_by_an_index(store: Store) -> None:
    if not isinstance(store, MongoStore):
        pytest.skip("a question about MongoDB")
    store.add(head(), {"a": "1"})
    collection = store.database().sessions

    for query in ({"_id": {"$gte": f"{ID}:", "$lt": f"{ID};"}}, {"user": "ann"}):
        plan = str(collection.find(query).explain()["queryPlanner"]["winningPlan"])
        assert "IXSCAN" in plan
        assert "COLLSCAN" not in plan


def test_there_is_no_pickle_and_no_secret(store: Store, site: Site) -> None:
    browser = site.client()
    browser.post("/set?a=1")
    secret = site.cookie(browser).partition(".")[2]

    everything = dump(store)

    assert secret
    assert '"1"' in everything
    assert secret not in everything
    assert "\\x80" not in everything


def dump(store: Store) -> str:
    """All that is in the database, as text."""
    if isinstance(store, MongoStore):
        return str(list(store.database().sessions.find()))
    if isinstance(store, RedisStore):
        client: t.Any = store.client()
        return str(
            [
                client.hgetall(key)
                for key in client.keys("sessions:*")
                if "user" not in key
            ]
        )
    assert isinstance(store, SQLStore)
    with store._connections._sql.engine().connect() as connection:
        tables = [store._heads, store._values]
        return str([connection.execute(each.select()).all() for each in tables])


def test_many_at_once_change_what_is_theirs(store: Store, site: Site) -> None:
    store.add(head(), {})
    names = [f"name{at}" for at in range(24)]

    def work(name: str) -> None:
        with site.app.app_context():
            for check in (False, True):
                change = Change(str(int(check)) if check else None, str(int(check) + 1))
                assert store.write(head(), 0, {name: change}, check=check)

    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        list(executor.map(work, names))

    stored = store.load(ID)
    assert stored is not None
    assert stored.rows == {name: Row("2", 0) for name in names}


def test_of_many_that_check_one_is_the_first(store: Store, site: Site) -> None:
    store.add(head(), {"a": "0"})

    def work(at: int) -> bool:
        with site.app.app_context():
            one = store.write(head(), 0, {"a": Change("0", str(at))}, check=True)
            two = store.write(head(), 0, {"b": Change(None, str(at))}, check=True)
            return one is two is True or (one, two)[0]

    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        won = list(executor.map(work, range(1, 25)))

    assert won.count(True) == 1
