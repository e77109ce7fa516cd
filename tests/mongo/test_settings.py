"""What the config says of MongoDB, and what stands for what it does not say."""

from __future__ import annotations

import typing as t

import pytest

from flask_scopes import SetupError
from flask_scopes.mongo.settings import Settings
from flask_scopes.mongo.settings import request_seconds
from flask_scopes.mongo.settings import settings_of
from flask_scopes.mongo.settings import slow_seconds

SINGLE = "mongodb://localhost:27017/shop"
SETS = [
    "mongodb://localhost:27017/shop?replicaSet=rs0",
    "mongodb://localhost:27017/?REPLICASET=rs0",
    "mongodb://a:1,b:2,c:3/shop",
    "a,b",
    "mongodb://ann:secret@a:1,b:2/?w=1",
    "mongodb+srv://cluster.example.org/shop",
    "mongodb://localhost/?loadBalanced=true",
]


def test_a_single_server_has_five_seconds_for_each_operation() -> None:
    assert Settings(SINGLE, {}).defaults() == {"timeoutMS": 5000}
    assert request_seconds({"MONGO_URI": SINGLE}, debug=False) == 5


@pytest.mark.parametrize("uri", SETS)
def test_a_replica_set_has_the_time_of_an_election(uri: str) -> None:
    assert Settings(uri, {}).defaults() == {"timeoutMS": 15000}
    assert request_seconds({"MONGO_URI": uri}, debug=False) == 15


@pytest.mark.parametrize(
    "uri", ["mongodb://a,b@c/x", "mongodb://a:p,w@localhost/x", "c"]
)
def test_a_comma_in_a_password_is_no_second_server(uri: str) -> None:
    assert Settings(uri, {}).is_single()


def test_a_replica_set_may_be_said_by_an_option() -> None:
    assert not Settings(SINGLE, {"replicaSet": "rs0"}).is_single()


def test_the_longest_limit_of_all_clients_is_that_of_a_request() -> None:
    config = {"MONGO_URI": SINGLE, "MONGO_BINDS": {"logs": SETS[0]}}

    assert request_seconds(config, debug=False) == 15


@pytest.mark.parametrize(
    ("said", "added"),
    [
        ("timeoutMS", []),
        ("timeoutms", []),
        ("serverSelectionTimeoutMS", ["socketTimeoutMS"]),
        ("socketTimeoutMS", ["serverSelectionTimeoutMS"]),
        ("connectTimeoutMS", ["serverSelectionTimeoutMS", "socketTimeoutMS"]),
        ("waitQueueTimeoutMS", ["serverSelectionTimeoutMS", "socketTimeoutMS"]),
        ("wTimeoutMS", ["serverSelectionTimeoutMS", "socketTimeoutMS"]),
    ],
)
def test_what_is_said_of_time_is_believed(said: str, added: list[str]) -> None:
    in_uri = Settings(f"{SINGLE}?w=1&{said}=70", {})
    beside_it = Settings(SINGLE, {said: 70})

    for settings in (in_uri, beside_it):
        assert list(settings.defaults()) == added
        assert set(settings.defaults().values()) <= {5000}
    for config in (
        {"MONGO_URI": in_uri.uri},
        {"MONGO_URI": SINGLE, "MONGO_OPTIONS": {said: 70}},
        {"MONGO_URI": SINGLE, "MONGO_BINDS": {"logs": in_uri.uri}},
    ):
        assert request_seconds(config, debug=False) is None


def test_a_limit_for_requests_may_be_said_as_well() -> None:
    config = {"MONGO_URI": f"{SINGLE}?timeoutMS=70", "MONGO_REQUEST_TIMEOUT": 2}
    assert request_seconds(config, debug=False) == 2
    assert request_seconds(config, debug=True) == 2
    config["MONGO_REQUEST_TIMEOUT"] = None
    assert request_seconds(config, debug=False) is None


def test_a_breakpoint_may_take_its_time() -> None:
    assert request_seconds({"MONGO_URI": SINGLE}, debug=True) is None


def test_an_app_whose_clients_are_handed_in_has_a_limit_for_requests() -> None:
    assert request_seconds({}, debug=False) == 15


def test_binds_are_addresses_or_have_options_of_their_own() -> None:
    config = {
        "MONGO_URI": SINGLE,
        "MONGO_OPTIONS": {"tz_aware": True, "appname": "shop"},
        "MONGO_BINDS": {
            "logs": "mongodb://logs/x",
            "old": {"uri": "mongodb://old/x", "tz_aware": False},
        },
    }

    logs, old = settings_of(config, "logs"), settings_of(config, "old")

    assert logs.uri == "mongodb://logs/x"
    assert logs.options == {"tz_aware": True, "appname": "shop"}
    assert old.uri == "mongodb://old/x"
    assert old.options == {"tz_aware": False, "appname": "shop"}


def test_slow_is_a_tenth_of_a_second_or_as_said() -> None:
    assert slow_seconds({}) == 0.1
    assert slow_seconds({"MONGO_SLOW_MS": 20}) == 0.02
    assert slow_seconds({"MONGO_SLOW_MS": 0}) == 0
    assert slow_seconds({"MONGO_SLOW_MS": None}) is None


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({}, "there is no MONGO_URI"),
        ({"MONGO_URI": ""}, "there is no MONGO_URI"),
        ({"MONGO_URI": 27017}, "MONGO_URI"),
        ({"MONGO_URI": SINGLE, "MONGO_OPTIONS": ["tls"]}, "MONGO_OPTIONS"),
        ({"MONGO_URI": SINGLE, "MONGO_OPTIONS": {1: 2}}, "MONGO_OPTIONS"),
    ],
)
def test_what_makes_no_sense_is_refused(config: dict[str, t.Any], name: str) -> None:
    with pytest.raises(SetupError) as raised:
        settings_of(config, "")

    text = str(raised.value)
    assert name in text.partition("\n")[0]
    assert "To fix it, " in text


@pytest.mark.parametrize(
    ("binds", "text"),
    [
        (["mongodb://x"], "MONGO_BINDS in the app's config is not"),
        ({"": SINGLE}, "MONGO_BINDS in the app's config is not"),
        ({}, "MONGO_BINDS has none"),
        ({"other": SINGLE}, "MONGO_BINDS has 'other'"),
        ({"logs": None}, "MONGO_BINDS['logs'] in the app's config is not"),
        ({"logs": {"url": SINGLE}}, "MONGO_BINDS['logs'] in the app's config is not"),
    ],
)
def test_a_bind_that_makes_no_sense_is_refused(binds: object, text: str) -> None:
    with pytest.raises(SetupError) as raised:
        settings_of({"MONGO_URI": SINGLE, "MONGO_BINDS": binds}, "logs")

    assert text in str(raised.value)


@pytest.mark.parametrize("value", ["soon", -1, 0, True, False, [1], float("nan")])
def test_a_time_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(SetupError, match=r"^MONGO_REQUEST_TIMEOUT"):
        request_seconds({"MONGO_REQUEST_TIMEOUT": value}, debug=False)
    if value != 0 or value is False:
        with pytest.raises(SetupError, match=r"^MONGO_SLOW_MS"):
            slow_seconds({"MONGO_SLOW_MS": value})


def test_an_address_is_not_shown() -> None:
    settings = Settings("mongodb://ann:secret@localhost/x", {"password": "secret"})

    assert "secret" not in repr(settings)
