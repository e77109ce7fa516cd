"""The database of whoever a unit is for."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import secrets
import threading
import typing as t
import uuid

import flask
import pytest
from bson import ObjectId

from flask_scopes import OutsideScopeError
from flask_scopes import ScopeMismatchError
from flask_scopes import SetupError
from flask_scopes.mongo import TenantError

from .apps import OpenShop
from .apps import Shop

pytestmark = pytest.mark.mongo

PREFIX = f"shop_{secrets.token_hex(3)}_"


@dataclasses.dataclass
class Person:
    id: object


@pytest.fixture
def shop(open_shop: OpenShop, mongo_uri: str) -> c.Iterator[Shop]:
    shop = open_shop(mongo_uri)
    yield shop
    for name in shop.outside.list_database_names():
        if name.startswith(PREFIX):
            shop.outside.drop_database(name)


ANN = ObjectId("0" * 23 + "1")


@pytest.mark.parametrize(
    ("tenant", "suffix"),
    [
        (ANN, str(ANN)),
        (uuid.UUID(int=11), "0" * 31 + "b"),
        (0, "0"),
        (2**63, "9223372036854775808"),
        (Person(ANN), str(ANN)),
        (Person(7), "7"),
        (Person("acme"), "acme"),
        ("acme", "acme"),
    ],
)
def test_it_is_named_after_its_id(shop: Shop, tenant: object, suffix: str) -> None:
    database = shop.mongo.tenant(lambda: tenant, PREFIX, allow=("acme",))

    with shop.app.app_context():
        assert database().name == PREFIX + suffix
        assert database().client is shop.mongo.client()


@pytest.mark.parametrize(
    "tenant",
    [
        *("initech", "", "../admin", "admin", "ACME", "acme\0"),
        *(-1, 10**32, True, 1.5, b"acme", ("acme",), object()),
        *(Person(None), Person("admin"), Person(Person(1))),
    ],
)
def test_anything_else_names_no_database(shop: Shop, tenant: object) -> None:
    database = shop.mongo.tenant(lambda: tenant, PREFIX, allow=("acme",))

    with shop.app.app_context(), pytest.raises(TenantError) as raised:
        database()

    text = str(raised.value)
    assert f"mongo.tenant(prefix='{PREFIX}')" in text
    assert "test_tenants.py:" in text
    for value in ("initech", "admin"):
        assert value not in text


def test_text_that_a_client_sends_chooses_nothing(shop: Shop) -> None:
    database = shop.mongo.tenant(lambda: flask.request.args["who"], PREFIX)
    shop.view(lambda: database().name)

    assert shop.app.test_client().get(f"/?who={ANN}").status_code == 500


def test_for_nobody_there_is_none(shop: Shop) -> None:
    database = shop.mongo.tenant(lambda: None, PREFIX)
    shop.view(lambda: database().name)

    assert shop.post().status_code == 401


def test_it_stays_the_same_until_the_unit_is_finished(shop: Shop) -> None:
    who = [1, 2, 3]
    database = shop.mongo.tenant(lambda: who.pop(0), PREFIX)

    def view() -> str:
        names = [database().name, database().name]
        with shop.scopes.unit():
            names.append(database().name)
        return " ".join([*names, database().name]).replace(PREFIX, "")

    shop.view(view)

    # Whoever is somebody else needs another unit.
    assert shop.post().text == "1 1 2 1"
    assert who == [3]


def test_what_is_found_out_can_be_a_resource(shop: Shop) -> None:
    @shop.scopes.request
    def current_user() -> Person:
        return Person(flask.request.args.get("id", type=int))

    database = shop.mongo.tenant(current_user, PREFIX)

    def view() -> str:
        notes = database().notes
        notes.insert_one({"of": flask.request.args["id"]})
        return ",".join(note["of"] for note in notes.find())

    shop.view(view)
    together = threading.Barrier(8)
    seen: dict[int, str] = {}

    def ask(number: int) -> None:
        together.wait(10)
        seen[number] = shop.app.test_client().get(f"/?id={number}").text

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert seen == {n: str(n) for n in range(8)}
    assert shop.app.test_client().get("/?id=3").text == "3,3"


def test_an_object_of_the_application_cannot_hold_it(shop: Shop) -> None:
    database = shop.mongo.tenant(lambda: 1, PREFIX)

    @shop.scopes.application
    def cache() -> object:
        return database()

    with (
        shop.app.app_context(),
        pytest.raises(ScopeMismatchError, match=r"mongo\.tenant"),
    ):
        cache()


def test_outside_of_a_unit_there_is_none(shop: Shop) -> None:
    with pytest.raises(OutsideScopeError, match=r"mongo\.tenant\(prefix="):
        shop.mongo.tenant(lambda: 1, PREFIX)()


def test_it_can_be_on_another_client(open_shop: OpenShop, mongo_uri: str) -> None:
    shop = open_shop(mongo_uri, MONGO_BINDS={"logs": mongo_uri + "&appname=logs"})
    database = shop.mongo.tenant(lambda: 1, PREFIX, bind="logs")

    with shop.app.app_context():
        assert database().client is shop.mongo.client("logs")


def test_it_can_be_overridden(shop: Shop) -> None:
    database = shop.mongo.tenant(lambda: None, PREFIX)
    with shop.app.app_context(), database.override(shop.database()):
        assert database().name == shop.name


@pytest.mark.parametrize(
    "prefix", ["", "_a", "7a", "a.b", "a b", "$a", "a/", "ä", "a" * 32, "a\n", None, 7]
)
def test_a_prefix_that_no_name_can_begin_with_is_refused_at_once(
    shop: Shop, prefix: t.Any
) -> None:
    with pytest.raises(SetupError, match="cannot begin with"):
        shop.mongo.tenant(lambda: 1, prefix)


@pytest.mark.parametrize("text", ["a/b", "a.b", "a b", "a" * 60])
def test_what_is_allowed_has_to_be_part_of_a_name(shop: Shop, text: str) -> None:
    with pytest.raises(SetupError, match="cannot be the name of a database"):
        shop.mongo.tenant(lambda: 1, "shop_", allow=(text,))
