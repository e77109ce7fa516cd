"""What BSON has and JSON has not, in answers."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import datetime
import decimal
import gc
import re
import typing as t
import uuid
import weakref

import bson
import flask
import pytest
from bson.binary import Binary
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from flask.json.provider import DefaultJSONProvider
from flask.json.provider import JSONProvider

from flask_scopes import Scopes
from flask_scopes.mongo import Mongo

from .apps import Shop

pytestmark = pytest.mark.mongo

ID = bson.ObjectId("65a1" * 6)
UUID = uuid.UUID(int=7)
NOON = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)


@pytest.fixture
def shop(mongo_uri: str) -> c.Iterator[Shop]:
    with Shop(mongo_uri) as shop:
        yield shop


class Upper:
    pass


def set_up(app: flask.Flask) -> None:
    scopes = Scopes()
    Mongo(scopes)
    scopes.init_app(app)


def answer(app: flask.Flask, value: object) -> t.Any:
    app.add_url_rule("/", view_func=lambda: flask.jsonify(value))
    app.testing = True
    return app.test_client().get("/").json


STORED: list[tuple[object, object]] = [
    (ID, "65a1" * 6),
    (bson.Decimal128("1.10"), "1.10"),
    (NOON, "Fri, 27 Nov 2026 12:00:00 GMT"),
    (Binary.from_uuid(UUID), str(UUID)),
    (b"\x00\xff", "AP8="),
    (Binary(b"\x00\xff", 128), "AP8="),
    (Binary.from_uuid(UUID, UuidRepresentation.PYTHON_LEGACY), "A" * 20 + "Bw=="),
    (bson.Int64(2**60), 2**60),
    (
        re.compile("^a", re.I),
        {"$regularExpression": {"pattern": "^a", "options": "iu"}},
    ),
    (bson.Timestamp(1, 2), {"$timestamp": {"t": 1, "i": 2}}),
    (bson.DBRef("posts", 1), {"$ref": "posts", "$id": 1}),
    (bson.DBRef("posts", ID), {"$ref": "posts", "$id": {"$oid": "65a1" * 6}}),
    (bson.MinKey(), {"$minKey": 1}),
    (bson.MaxKey(), {"$maxKey": 1}),
    (bson.Code("x => x", {"id": ID}), "x => x"),
]


@pytest.mark.parametrize(("value", "expected"), STORED)
def test_what_was_read_can_be_sent(shop: Shop, value: object, expected: object) -> None:
    shop.outside[shop.name].things.insert_one({"_id": 1, "value": value})
    shop.view(lambda: t.cast(t.Any, shop.database().things.find_one()))

    assert shop.post().json == {"_id": 1, "value": expected}


def test_it_can_be_in_lists_in_templates_and_deep_down(shop: Shop) -> None:
    rows = [{"_id": ID, "in": {"more": [{"of": bson.Decimal128("2")}]}}]
    shop.outside[shop.name].things.insert_many(rows)
    shop.app.add_url_rule(
        "/rows", view_func=lambda: list(shop.database().things.find())
    )
    page = "{{ rows|tojson }}"
    shop.app.add_url_rule(
        "/page", "page", lambda: flask.render_template_string(page, rows=rows)
    )

    expected = [{"_id": "65a1" * 6, "in": {"more": [{"of": "2"}]}}]
    assert shop.app.test_client().get("/rows").json == expected
    assert flask.json.loads(shop.app.test_client().get("/page").text) == expected


def test_documents_of_other_classes_can_be_sent(shop: Shop) -> None:
    shop.outside[shop.name].things.insert_one({"_id": ID, "in": {"a": ID}})
    raw = CodecOptions(document_class=RawBSONDocument)
    things = shop.outside[shop.name].get_collection("things", codec_options=raw)
    shop.view(lambda: flask.jsonify(things.find_one()))

    assert shop.post().json == {"_id": "65a1" * 6, "in": {"a": "65a1" * 6}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (DatetimeMS(0), "Thu, 01 Jan 1970 00:00:00 GMT"),
        (DatetimeMS(2**60), {"$date": {"$numberLong": f"{2**60}"}}),
    ],
)
def test_times_that_python_does_not_know(value: object, expected: object) -> None:
    app = flask.Flask("shop")
    set_up(app)

    assert answer(app, value) == expected


def test_what_flask_writes_stays_as_it_is() -> None:
    @dataclasses.dataclass
    class Point:
        x: int

    app = flask.Flask("shop")
    set_up(app)
    value = [UUID, decimal.Decimal("1.1"), Point(1), NOON.date()]

    expected = [str(UUID), "1.1", {"x": 1}, "Fri, 27 Nov 2026 00:00:00 GMT"]
    assert answer(app, value) == expected


def test_what_nobody_knows_is_flasks_error() -> None:
    app = flask.Flask("shop")
    set_up(app)

    with pytest.raises(TypeError, match="Object of type Upper is not JSON serializ"):
        answer(app, Upper())


class Own(DefaultJSONProvider):
    sort_keys = False

    def default(self, o: t.Any) -> t.Any:  # pyright: ignore[reportIncompatibleVariableOverride]  # as Flask's documentation has it
        if isinstance(o, bson.ObjectId):
            return {"id": str(o)}
        if isinstance(o, datetime.datetime):
            return o.isoformat()
        return super().default(o)


class WithOwn(flask.Flask):
    json_provider_class = Own


def test_the_users_provider_has_the_first_word() -> None:
    app = WithOwn("shop")
    set_up(app)

    assert isinstance(app.json, Own)
    value = {"b": ID, "a": bson.Decimal128("1"), "t": DatetimeMS(0), "u": UUID}
    assert answer(app, value) == {
        "b": {"id": "65a1" * 6},
        "a": "1",
        "t": "1970-01-01T00:00:00",
        "u": str(UUID),
    }


def test_a_default_that_was_set_on_the_provider_has_it_as_well() -> None:
    app = flask.Flask("shop")
    provider: t.Any = app.json
    provider.default = lambda value: f"<{value}>"
    set_up(app)

    assert answer(app, ID) == f"<{ID}>"


def test_a_provider_of_another_kind_is_left_alone() -> None:
    class Plain(JSONProvider):
        def dumps(self, obj: t.Any, **kwargs: t.Any) -> str:
            return '"plain"'

        def loads(self, s: str | bytes, **kwargs: t.Any) -> t.Any:
            return "plain"

    app = flask.Flask("shop")
    app.json = Plain(app)
    set_up(app)

    assert answer(app, ID) == "plain"
    assert not hasattr(app.json, "default")


def test_it_is_done_once() -> None:
    app = flask.Flask("shop")
    set_up(app)
    provider: t.Any = app.json
    before = provider.default
    scopes = Scopes()
    Mongo(scopes)
    Mongo(scopes)
    scopes.init_app(app)

    assert provider.default is before


@pytest.mark.parametrize(
    "sent", [{"$oid": "65a1" * 6}, {"$where": "1"}, {"$date": 0}, {"$binary": {}}]
)
def test_nothing_that_a_client_sends_is_read_as_bson(sent: dict[str, t.Any]) -> None:
    app = flask.Flask("shop")
    set_up(app)
    seen: list[object] = []

    @app.post("/")
    def index() -> str:
        seen.append(flask.request.get_json())
        return ""

    app.test_client().post("/", json={"filter": sent})

    assert seen == [{"filter": sent}]


@pytest.mark.parametrize("make", [flask.Flask, WithOwn])
def test_an_app_and_its_provider_are_gone_at_once(
    make: type[flask.Flask],
) -> None:
    app = make("shop")
    set_up(app)
    # With ids of documents, at least once.
    with app.app_context():
        flask.json.dumps(ID)
    app_there, provider_there = weakref.ref(app), weakref.ref(app.json)
    gc.collect()
    gc.disable()
    try:
        del app
        gone = app_there() is None, provider_there() is None
    finally:
        gc.enable()
    assert gone == (True, True)
