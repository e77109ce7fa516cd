"""What a session can keep, and what it refuses, where and with which words."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import datetime
import decimal
import enum
import io
import logging
import sys
import threading
import typing as t
import uuid

import attrs
import flask
import msgspec
import pytest
from flask.testing import FlaskClient as Client

from flask_scopes import ArgumentsError
from flask_scopes import ClosedError
from flask_scopes import OutsideScopeError
from flask_scopes import ScopeMismatchError
from flask_scopes import Scopes
from flask_scopes import SessionValueError
from flask_scopes import SetupError

from .shop import Cart
from .shop import Shop


class Colour(enum.Enum):
    RED = "red"


class Struct(msgspec.Struct):
    names: set[str] = msgspec.field(default_factory=set)


@attrs.define
class Attrs:
    when: datetime.datetime | None = None


class Typed(t.TypedDict, total=False):
    price: str


class Pair(t.NamedTuple):
    left: int
    right: str


@dataclasses.dataclass
class Tree:
    name: str
    parts: list[Tree] = dataclasses.field(default_factory=list["Tree"])


@dataclasses.dataclass(frozen=True)
class Frozen:
    prices: dict[int, decimal.Decimal]
    data: bytes


NOON = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)
VALUES: list[tuple[t.Any, object]] = [
    (Struct, Struct({"a", "b"})),
    (Attrs, Attrs(NOON)),
    (Typed, {"price": "1"}),
    (Pair, Pair(1, "one")),
    (Tree, Tree("root", [Tree("leaf")])),
    (Frozen, Frozen({1: decimal.Decimal("1.10")}, b"\0\xff")),
    (int, 2**70),
    (float, 0.1),
    (str, "\N{SNOWMAN} \0"),
    (bool, True),
    (None | int, None),
    (list[int], [1, 2]),
    (tuple[int, str], (1, "a")),
    (dict[str, list[Struct]], {"a": [Struct({"x"})]}),
    (frozenset[int], frozenset({1, 2})),
    (uuid.UUID, uuid.UUID(int=7)),
    (datetime.timedelta, datetime.timedelta(minutes=3)),
    (Colour, Colour.RED),
    (t.Annotated[int, msgspec.Meta(ge=0)], 3),
    (t.Any, {"a": [1, None]}),
]


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_what_is_plain_comes_back_as_it_was(
    app: flask.Flask, client: Client, scopes: Scopes, kind: t.Any, value: object
) -> None:
    def factory() -> t.Any:
        return value

    factory.__annotations__["return"] = kind
    kept = scopes.session(factory)
    seen: list[object] = []

    @app.get("/")
    def index() -> str:
        seen.append(kept())
        return "seen"

    for _ in range(3):
        client.get("/")

    assert seen[1:] == [value, value]
    assert type(seen[1]) is type(value)
    if isinstance(value, Struct | Attrs | Tree | Frozen | dict):
        assert seen[1] is not value


def test_a_class_may_be_the_factory(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    cart = scopes.session(Cart)

    @app.get("/")
    def index() -> str:
        cart().note += "x"
        return cart().note

    assert [client.get("/").text for _ in range(3)] == ["x", "xx", "xxx"]


def test_a_type_that_is_defined_later(
    app: flask.Flask, client: Client, scopes: Scopes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later() -> t.Any:
        return vars(module)["Later"]("x")

    later.__annotations__["return"] = "Later"

    module = sys.modules[__name__]
    kept = scopes.session(later)

    @dataclasses.dataclass
    class Later:
        name: str

    monkeypatch.setattr(module, "Later", Later, raising=False)

    @app.get("/")
    def index() -> str:
        return str(kept().name)

    assert client.get("/").text == client.get("/").text == "x"


class Connection:
    """Stands for whatever is no data: it has no fields that anybody knows."""


def lock() -> threading.Lock:
    return threading.Lock()


def function() -> c.Callable[[], int]:
    return lambda: 5


def file() -> io.TextIOWrapper:
    raise AssertionError


def connection() -> Connection:
    return Connection()


def nested() -> dict[str, list[Connection]]:
    return {}


@attrs.define
class Private:
    name: str = ""
    _count: int = 0


def private() -> list[Private]:
    return []


def typo() -> Never_defined:  # type: ignore[name-defined]  # noqa: F821  # that is the test
    return 1


@pytest.mark.parametrize("factory", [function, file, connection, nested, private])
def test_what_is_no_data_is_refused_where_the_factory_is_decorated(
    scopes: Scopes, factory: c.Callable[[], object]
) -> None:
    with pytest.raises(SetupError) as raised:
        scopes.session(factory)

    text = str(raised.value)
    assert factory.__name__ in text
    assert "test_plain_data.py:" in text
    assert "@scopes.application" in text
    assert "@scopes.request" in text


def test_a_lock_too(scopes: Scopes) -> None:
    # What `threading.Lock` is depends on the Python: a function, before 3.13.
    with pytest.raises(SetupError, match="cannot be session scoped"):
        scopes.session(lock)


def test_a_type_that_is_never_defined(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    kept = scopes.session(typo)

    @app.get("/")
    def index() -> str:
        with pytest.raises(SetupError, match="Never_defined"):
            kept()
        return "refused"

    assert client.get("/").text == "refused"


def test_a_factory_has_to_say_what_it_returns(scopes: Scopes) -> None:
    def cart():  # type: ignore[no-untyped-def]  # that is the test
        return {}

    with pytest.raises(SetupError, match="does not say what it returns"):
        scopes.session(cart)


def test_a_generator_is_refused(scopes: Scopes) -> None:
    def cart() -> c.Iterator[Cart]:
        yield Cart()

    with pytest.raises(SetupError, match="nobody tears down"):
        scopes.session(cart)


def test_what_others_refuse_is_refused(scopes: Scopes) -> None:
    async def cart() -> Cart:
        return Cart()

    with pytest.raises(SetupError, match="async"):
        scopes.session(cart)
    with pytest.raises(SetupError, match="not a function"):
        scopes.session(t.cast("t.Any", 5))


def test_two_of_one_name_would_be_one_object(scopes: Scopes) -> None:
    def cart() -> Cart:
        return Cart()

    first = scopes.session(cart)
    with pytest.raises(SetupError, match="would be one object"):
        scopes.session(cart)

    other = scopes.session(name="basket")(cart)
    assert first is not other
    # Elsewhere it is another matter.
    Scopes().session(cart)


def test_a_name_that_stays_when_the_function_is_renamed(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    @scopes.session(name="cart")
    def basket() -> Cart:
        return Cart()

    @app.get("/")
    def index() -> str:
        return str(len(basket().lines))

    client.get("/")

    with client.session_transaction() as session:
        assert list(session) == ["scopes:cart"]


@dataclasses.dataclass
class Old:
    name: str = ""


@dataclasses.dataclass
class Bigger(Old):
    price: int = 0


REFUSED: list[tuple[t.Any, object, str]] = [
    (t.Any, threading.Lock(), "lock"),
    (t.Any, {"file": lambda: 1}, "function"),
    (t.Any, Cart(), "a Cart would come back as a dict"),
    (t.Any, (1, 2), "a tuple would come back as a list"),
    (dict[str, int], {(1, 2): 3}, "Only dicts with str-like"),
    (Old, Bigger("x", 5), "a Bigger would come back as a Old"),
    (list[Old], [Bigger("x", 5)], "of another type than annotated"),
    (int, "5", "Expected `int`, got `str`"),
    (float, float("nan"), "Expected `float`, got `null`"),
    (str, "\ud800", "surrogates not allowed"),
]


@pytest.mark.parametrize(("kind", "value", "why"), REFUSED)
def test_a_value_that_would_not_come_back_is_refused_where_it_is_made(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    kind: t.Any,
    value: object,
    why: str,
) -> None:
    def thing() -> t.Any:
        return value

    thing.__annotations__["return"] = kind
    kept = scopes.session(thing)

    @app.get("/")
    def index() -> str:
        with pytest.raises(SessionValueError) as raised:
            kept()
        assert "'thing'" in str(raised.value)
        assert "test_plain_data.py:" in str(raised.value)
        assert why in str(raised.value)
        with pytest.raises(SessionValueError):
            kept.set(value)
        return "refused"

    response = client.get("/")

    assert response.text == "refused"
    assert "Set-Cookie" not in response.headers


def test_what_refers_to_itself(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    @scopes.session
    def tree() -> Tree:
        root = Tree("root")
        root.parts.append(root)
        return root

    @app.get("/")
    def index() -> str:
        with pytest.raises(SessionValueError):
            tree()
        return "refused"

    assert client.get("/").text == "refused"


def test_an_old_shape_starts_anew_and_says_so_once(
    app: flask.Flask, scopes: Scopes, caplog: pytest.LogCaptureFixture
) -> None:
    @scopes.session
    def cart() -> Cart:
        return Cart(note="new")

    @app.get("/")
    def index() -> str:
        return cart().note

    for stored in ('{"lines": 5}', "no json", '{"note": null}', 17, b"x"):
        client = app.test_client()
        with client.session_transaction() as session:
            session["scopes:cart"] = stored
        assert [client.get("/").text for _ in range(2)] == ["new", "new"]

    said = [each for each in caplog.records if "no longer fits" in each.getMessage()]
    assert [each.levelno for each in said] == [logging.WARNING]
    assert "test_plain_data.py:" in said[0].getMessage()


@dataclasses.dataclass
class Strict:
    price: int = 5

    def __post_init__(self) -> None:
        # What a new version may do, and no part of a library knows of.
        assert self.price < 10
        {5: "five", 7: "seven"}[self.price]


def test_what_a_new_version_refuses_starts_anew(
    app: flask.Flask, scopes: Scopes
) -> None:
    scopes.session(name="strict")(Strict)
    strict = scopes.session(name="other")(Strict)

    @app.get("/")
    def index() -> str:
        return str(strict().price)

    for price in (6, 50):
        client = app.test_client()
        with client.session_transaction() as session:
            session["scopes:other"] = f'{{"price": {price}}}'
        assert [client.get("/").text for _ in range(2)] == ["5", "5"]


def test_arguments_of_one_name_are_one_object(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    @scopes.session
    def wishes(friend: object) -> list[str]:
        return []

    @app.get("/")
    def index() -> str:
        one, other = uuid.UUID(int=5), str(uuid.UUID(int=5))
        wishes(one).append("tea")
        wishes(other).append("milk")
        assert wishes(one) is wishes(other)
        return ",".join(wishes(other))

    @app.post("/clear")
    def clear() -> str:
        one, other = uuid.UUID(int=5), str(uuid.UUID(int=5))
        assert wishes(one) is wishes(other)
        wishes.clear(other)
        assert wishes(one) == []
        assert wishes(other) is wishes(one)
        return "cleared"

    assert client.get("/").text == "tea,milk"
    assert client.get("/").text == "tea,milk,tea,milk"
    assert client.post("/clear").text == "cleared"
    assert client.get("/").text == "tea,milk"


def test_a_shape_that_has_grown_is_read(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    @scopes.session
    def cart() -> Cart:
        return Cart(note="new")

    @app.get("/")
    def index() -> str:
        return f"{len(cart().lines)} {cart().note}"

    with client.session_transaction() as session:
        session["scopes:cart"] = '{"lines": [{"name": "tea"}], "gone": 1}'

    response = client.get("/")

    assert response.text == "1 "
    # Nothing was changed.
    assert "Set-Cookie" not in response.headers


def test_arguments_that_have_no_name(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    @scopes.session
    def cart(shop: object) -> Cart:
        return Cart()

    @app.get("/")
    def index() -> str:
        with pytest.raises(ArgumentsError, match="no plain data"):
            cart(object())
        with pytest.raises(ArgumentsError, match="hashable"):
            cart([])
        return "refused"

    assert client.get("/").text == "refused"


def test_an_application_object_may_not_use_it(
    shop: Shop, client: Client, scopes: Scopes
) -> None:
    @scopes.application
    def prices() -> Cart:
        return shop.cart()

    @shop.app.get("/prices")
    def list_them() -> str:
        with pytest.raises(ScopeMismatchError) as raised:
            prices()
        assert raised.value.path == ("prices", "cart")
        assert "make 'prices' request scoped" in str(raised.value)
        return "refused"

    assert client.get("/prices").text == "refused"


@pytest.mark.parametrize("until", [None, "sent"])
def test_it_may_not_use_what_lives_for_one_request(
    app: flask.Flask, client: Client, scopes: Scopes, until: str | None
) -> None:
    def user() -> str:
        return "ann"

    asked = scopes.request(until="sent")(user) if until else scopes.request(user)

    @scopes.session
    def cart() -> str:
        return asked()

    @app.get("/")
    def index() -> str:
        asked()
        with pytest.raises(ScopeMismatchError) as raised:
            cart()
        assert raised.value.path == ("cart", "user")
        return "refused"

    assert client.get("/").text == "refused"


def test_it_may_use_application_and_session_objects_and_the_request(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    @scopes.application
    def house() -> str:
        return "house"

    @scopes.session
    def language() -> str:
        return flask.request.headers["Accept-Language"]

    @scopes.session
    def greeting() -> str:
        return f"{house()} {language()}"

    @app.get("/")
    def index() -> str:
        return greeting()

    assert client.get("/", headers={"Accept-Language": "de"}).text == "house de"
    assert client.get("/", headers={"Accept-Language": "en"}).text == "house de"


def test_what_lives_until_the_response_was_sent_may_use_it(
    shop: Shop, client: Client, scopes: Scopes
) -> None:
    @scopes.request(until="sent")
    def note() -> str:
        return shop.cart().note

    @shop.app.get("/stream")
    def stream() -> flask.Response:
        note()

        def body() -> c.Iterator[str]:
            yield f"[{note()}]"
            with pytest.raises(ClosedError, match="session is saved"):
                shop.cart()
            with pytest.raises(ClosedError):
                shop.cart.set(Cart())
            with pytest.raises(ClosedError):
                shop.cart.clear()
            yield "end"

        return flask.Response(flask.stream_with_context(body()))

    assert client.get("/stream").text == "[]end"


def test_outside_of_a_request(shop: Shop) -> None:
    uses: list[c.Callable[[], object]] = [
        shop.cart,
        shop.cart.clear,
        lambda: shop.cart.set(Cart()),
    ]
    for use in uses:
        with pytest.raises(OutsideScopeError, match="'cart'"):
            use()
        with shop.app.app_context(), pytest.raises(OutsideScopeError) as raised:
            use()
        assert "no request here" in str(raised.value)
    with shop.app.test_request_context():
        assert shop.cart() is shop.cart()


def test_in_a_request_of_another_app(
    shop: Shop, client: Client, scopes: Scopes
) -> None:
    other = flask.Flask("other")
    other.secret_key = "another"
    scopes.init_app(other)

    @shop.app.get("/other")
    def ask() -> str:
        with other.app_context(), pytest.raises(OutsideScopeError):
            shop.cart()
        return "refused"

    assert client.get("/other").text == "refused"


def test_an_app_that_does_not_know_it(shop: Shop) -> None:
    other = flask.Flask("other")
    other.secret_key = "another"
    Scopes(other)
    with other.test_request_context(), pytest.raises(OutsideScopeError):
        shop.cart()
    with other.test_request_context(), pytest.raises(OutsideScopeError):
        shop.cart.clear()


def test_without_a_secret_key(shop: Shop) -> None:
    shop.app.secret_key = None
    with shop.app.test_request_context():
        for use in (shop.cart, shop.cart.clear):
            with pytest.raises(SetupError, match="no secret key"):
                use()


def test_a_factory_that_fails_leaves_nothing(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    @scopes.session
    def cart() -> Cart:
        if "fail" in flask.request.args:
            raise LookupError
        return Cart()

    @app.get("/")
    def index() -> str:
        with pytest.raises(LookupError):
            cart()
        return "failed"

    assert "Set-Cookie" not in client.get("/?fail=1").headers
