"""An object for each visitor: made once, found again, saved when it has changed."""

from __future__ import annotations

import collections.abc as c
import contextvars
import threading
import typing as t

import flask
import pytest
from flask.testing import FlaskClient as Client

from flask_scopes import CommitFailed
from flask_scopes import Scopes
from flask_scopes import SessionTooLarge
from flask_scopes import SessionValueError

from .shop import Cart
from .shop import Line
from .shop import Shop


def was_written(response: t.Any) -> bool:
    return "Set-Cookie" in response.headers


def test_an_object_is_made_once_for_each_visitor(shop: Shop) -> None:
    ann, ben = shop.app.test_client(), shop.app.test_client()

    for _ in range(3):
        ann.post("/add/tea")
    ben.post("/add/milk")

    assert (ann.get("/").text, ben.get("/").text) == ("tea*3", "milk*1")
    assert shop.made == 2


def test_what_is_nested_is_noticed_and_what_has_not_changed_is_not_written(
    shop: Shop, client: Client
) -> None:
    assert was_written(client.post("/add/tea"))
    assert not was_written(client.get("/"))
    assert was_written(client.post("/add/tea"))
    assert not was_written(client.get("/"))
    assert not was_written(client.get("/about"))


def test_one_that_is_new_is_written_also_if_it_stays_as_it_is(
    shop: Shop, client: Client
) -> None:
    assert was_written(client.get("/"))
    assert not was_written(client.get("/"))
    assert shop.made == 1


def test_the_answer_depends_on_the_cookie_only_if_the_object_was_used(
    shop: Shop, client: Client
) -> None:
    assert "Cookie" not in client.get("/about").vary
    assert "Cookie" in client.get("/").vary
    assert "Cookie" in client.get("/").vary


@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_request_that_fails_changes_nothing(
    shop: Shop, client: Client, status: int
) -> None:
    client.post("/add/tea")

    response = client.post(f"/add/milk?status={status}")

    assert response.status_code == status
    assert not was_written(response)
    assert client.get("/").text == "tea*1"


def test_a_request_that_fails_makes_nothing(shop: Shop, client: Client) -> None:
    assert not was_written(client.post("/add/milk?status=400"))
    assert client.get("/").text == ""
    assert shop.made == 2


def test_an_error_that_is_handled_changes_nothing_and_its_page_sees_that(
    shop: Shop, client: Client
) -> None:
    @shop.app.errorhandler(LookupError)
    def page(error: LookupError) -> str:
        return f"still {len(shop.cart().lines)}"

    client.post("/add/tea")

    assert client.post("/add/milk?status=500").text == "still 1"
    assert client.get("/").text == "tea*1"


def test_a_doomed_request_changes_nothing(
    shop: Shop, client: Client, scopes: Scopes
) -> None:
    @shop.app.post("/doom")
    def doom() -> str:
        shop.cart().note = "?"
        scopes.doom("a test")
        return shop.cart().note

    client.post("/add/tea")

    assert client.post("/doom").text == "?"
    assert client.get("/").text == "tea*1"


def test_a_commit_that_fails_changes_nothing(
    shop: Shop, client: Client, scopes: Scopes
) -> None:
    @scopes.request
    def orders() -> c.Iterator[None]:
        yield
        raise LookupError("no")

    @shop.app.post("/buy")
    def buy() -> str:
        orders()
        shop.cart().lines.clear()
        return "bought"

    @shop.app.errorhandler(CommitFailed)
    def page(error: CommitFailed) -> tuple[str, int]:
        return f"{len(shop.cart().lines)} left", 409

    client.post("/add/tea")

    assert client.post("/buy").text == "1 left"
    assert client.get("/").text == "tea*1"


def test_a_status_that_counts_as_success_keeps_it(
    shop: Shop, client: Client, scopes: Scopes
) -> None:
    @shop.app.post("/refuse")
    @scopes.commit_on(401)
    def refuse() -> tuple[str, int]:
        shop.cart().note = "refused"
        return "no", 401

    assert was_written(client.post("/refuse"))


def test_clear_forgets_it_and_a_call_makes_it_anew(shop: Shop, client: Client) -> None:
    @shop.app.post("/anew")
    def anew() -> str:
        shop.cart().lines.append(Line("old"))
        before = shop.cart()
        shop.cart.clear()
        assert shop.cart() is not before
        shop.cart().lines.append(Line("new"))
        return "anew"

    client.post("/add/tea")
    client.post("/clear")
    with client.session_transaction() as session:
        assert not list(session)
    client.post("/anew")

    assert client.get("/").text == "new*1"


def test_clear_is_undone_when_the_request_fails(shop: Shop, client: Client) -> None:
    @shop.app.post("/forget")
    def forget() -> t.NoReturn:
        shop.cart.clear()
        flask.abort(409)

    client.post("/add/tea")
    client.post("/forget")

    assert client.get("/").text == "tea*1"


def test_clear_of_what_is_not_there(shop: Shop, client: Client) -> None:
    assert client.post("/clear").status_code == 200
    assert client.get("/").text == ""


def test_a_session_that_is_cleared_by_hand_takes_it_along(
    shop: Shop, client: Client
) -> None:
    @shop.app.post("/out")
    def out() -> str:
        shop.cart().lines.append(Line("late"))
        flask.session.clear()
        return "out"

    client.post("/add/tea")
    client.post("/out")

    assert client.get("/").text == ""


def test_set_puts_another_in_its_place(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    @scopes.session
    def visits() -> int:
        return 0

    @app.post("/")
    def visit() -> str:
        visits.set(visits() + 1)
        return str(visits())

    assert [client.post("/").text for _ in range(3)] == ["1", "2", "3"]


def test_set_before_it_was_made(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    @scopes.session
    def theme() -> str:
        raise AssertionError("not asked for")

    @app.get("/<name>")
    def choose(name: str) -> str:
        theme.set(name)
        return theme()

    @app.get("/")
    def show() -> str:
        return theme()

    assert client.get("/dark").text == "dark"
    assert client.get("/").text == "dark"


def test_one_for_each_of_its_arguments(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    @scopes.session
    def cart(shop: str, floor: int = 0) -> Cart:
        return Cart(note=f"{shop}{floor}")

    @app.post("/<shop>/<int:floor>")
    def add(shop: str, floor: int) -> str:
        cart(shop, floor=floor).lines.append(Line("tea"))
        assert cart(shop, floor) is cart(shop=shop, floor=floor)
        return "added"

    @app.get("/<shop>")
    def show(shop: str) -> str:
        return f"{cart(shop).note}:{len(cart(shop).lines)}"

    @app.delete("/<shop>")
    def clear(shop: str) -> str:
        cart.clear(shop)
        return "cleared"

    client.post("/a/0")
    client.post("/a/0")
    client.post("/b/0")
    client.post("/a/1")
    client.delete("/b")

    assert client.get("/a").text == "a0:2"
    assert client.get("/b").text == "b0:0"


def test_a_request_object_may_use_it(
    shop: Shop, client: Client, scopes: Scopes
) -> None:
    @scopes.request
    def total() -> int:
        return sum(each.count for each in shop.cart().lines)

    @shop.app.get("/total")
    def count() -> str:
        return str(total())

    client.post("/add/tea")
    client.post("/add/tea")

    assert client.get("/total").text == "2"


def test_a_unit_inside_of_a_request_has_its_visitor(
    shop: Shop, client: Client, scopes: Scopes
) -> None:
    if not hasattr(flask.globals, "_cv_request"):
        pytest.skip("since Flask 3.2 there is no session in a nested context either")

    @shop.app.post("/nested")
    def nested() -> str:
        with scopes.unit():
            shop.cart().lines.append(Line("inner"))
            inner = shop.cart()
        assert shop.cart() is inner
        with pytest.raises(ZeroDivisionError), scopes.unit():
            shop.cart().lines.append(Line("also"))
            raise ZeroDivisionError
        return "done"

    client.post("/nested")

    assert client.get("/").text == "inner*1,also*1"


def test_an_override_is_not_kept(shop: Shop, client: Client) -> None:
    client.post("/add/tea")
    given = Cart([Line("given")])

    with shop.cart.override(given):
        assert client.get("/").text == "given*1"
        assert not was_written(client.post("/add/more"))
    with shop.cart.override(factory=lambda: Cart([Line("made")])):
        assert client.get("/").text == "made*1"
        assert not was_written(client.post("/add/more"))
        assert client.get("/").text == "made*1"

    assert [each.name for each in given.lines] == ["given", "more"]
    assert client.get("/").text == "tea*1"
    assert shop.made == 1


def test_a_request_that_is_repeated_begins_with_what_was_there(
    shop: Shop, client: Client, scopes: Scopes
) -> None:
    attempts: list[str] = []

    @shop.app.post("/retry")
    @scopes.retry(3, on=LookupError)
    def retry() -> str:
        shop.cart().lines.append(Line("tea"))
        attempts.append(shop.cart().lines[-1].name)
        if len(attempts) < 3:
            raise LookupError
        return "done"

    client.post("/retry")

    assert len(attempts) == 3
    assert client.get("/").text == "tea*1"


def test_threads_of_a_request_share_it(shop: Shop, client: Client) -> None:
    @shop.app.post("/threads")
    def threads() -> str:
        found: list[Cart] = []
        together = threading.Barrier(4)

        def work() -> None:
            together.wait(10)
            found.append(shop.cart())

        workers = [
            threading.Thread(target=contextvars.copy_context().run, args=[work])
            for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(10)
        return str(len({id(each) for each in found}))

    assert client.post("/threads").text == "1"
    assert shop.made == 1


def test_each_request_of_a_client_in_an_app_context_has_its_own(shop: Shop) -> None:
    with shop.app.app_context():
        ann, ben = shop.app.test_client(), shop.app.test_client()
        ann.post("/add/tea")
        assert ben.get("/").text == ""
        assert ann.get("/").text == "tea*1"


def test_a_request_within_a_request(shop: Shop, client: Client) -> None:
    @shop.app.post("/inner")
    def inner() -> str:
        shop.cart().note = "outer"
        other = shop.app.test_client().post("/add/tea").text
        return f"{other} {shop.cart().note}"

    assert client.post("/inner").text == "added outer"
    assert client.get("/").text == ""


def test_an_async_view(shop: Shop, client: Client) -> None:
    @shop.app.post("/async")
    async def later() -> str:
        shop.cart().lines.append(Line("later"))
        return "done"

    client.post("/async")

    assert client.get("/").text == "later*1"


def test_what_has_become_impossible_to_keep_fails_the_request(
    shop: Shop, client: Client, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def orders() -> c.Iterator[None]:
        try:
            yield
        except BaseException as error:
            log.append(type(error).__name__)
            raise
        log.append("committed")

    @shop.app.post("/spoil")
    def spoil() -> str:
        orders()
        shop.cart().note = t.cast("t.Any", 5)
        return "spoilt"

    @shop.app.errorhandler(SessionValueError)
    def page(error: SessionValueError) -> tuple[str, int]:
        return str(error), 422

    client.post("/add/tea")
    response = client.post("/spoil")

    assert response.status_code == 422
    assert "Expected `str`, got `int` - at `$.note`" in response.text
    assert log == ["SessionValueError"]
    assert client.get("/").text == "tea*1"


@pytest.fixture
def large(shop: Shop, scopes: Scopes, log: list[str]) -> Shop:
    @scopes.request
    def orders() -> c.Iterator[None]:
        yield
        log.append("committed")

    @shop.app.post("/large")
    def fill() -> str:
        orders()
        # What cannot be compressed.
        noise = "".join(chr(0x4E00 + (at * 7919) % 20000) for at in range(1500))
        shop.cart().note = noise
        return "filled"

    @shop.app.post("/plain")
    def plain() -> str:
        noise = "".join(chr(0x4E00 + (at * 7919) % 20000) for at in range(1500))
        flask.session["noise"] = noise
        return "filled"

    return shop


def test_a_cookie_that_browsers_would_drop_is_an_error_in_debug_mode(
    large: Shop, client: Client, log: list[str]
) -> None:
    large.app.debug = True
    client.post("/add/tea")

    with pytest.raises(SessionTooLarge) as raised:
        client.post("/large")

    assert raised.value.size > raised.value.limit == 4093
    assert "scopes:cart" in str(raised.value)
    assert log == []
    assert client.get("/").text == "tea*1"


@pytest.mark.parametrize("path", ["/large", "/plain"])
def test_and_a_logged_refusal_otherwise(
    large: Shop,
    client: Client,
    log: list[str],
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    client.post("/add/tea")

    response = client.post(path)

    assert response.status_code == 200
    assert not was_written(response)
    assert "browsers drop what is over 4093" in caplog.text
    assert log == (["committed"] if path == "/large" else [])
    assert client.get("/").text == "tea*1"
    with client.session_transaction() as session:
        assert list(session) == ["scopes:cart"]


def test_the_limit_is_the_one_of_the_app(large: Shop, client: Client) -> None:
    large.app.config["MAX_COOKIE_SIZE"] = 0

    assert was_written(client.post("/large"))
    assert len(client.get("/").text) == 0


def test_an_app_without_session_objects_gets_the_warning_of_werkzeug() -> None:
    app = flask.Flask("plain")
    app.secret_key = "a key for tests"
    Scopes(app)

    @app.get("/")
    def fill() -> str:
        flask.session["noise"] = "".join(chr(0x4E00 + at * 7) for at in range(2000))
        return "filled"

    with pytest.warns(UserWarning, match="cookie is too large"):
        assert was_written(app.test_client().get("/"))
