"""A session commits when its unit succeeds, and never otherwise."""

from __future__ import annotations

import collections.abc as c
import contextlib
import gc
import threading
import typing as t
import weakref
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from flask_scopes import ClosedError
from flask_scopes.sqlalchemy import CommitRefused

from .shop import Item
from .shop import OpenShop
from .shop import Order
from .shop import Shop
from .shop import failures


def test_what_a_request_adds_is_committed_before_its_answer(shop: Shop) -> None:
    @shop.view
    def buy() -> str:
        shop.sql.session().add(Item(name="apple"))
        assert shop.names() == []
        return "bought"

    assert shop.client.post("/").text == "bought"
    assert shop.names() == ["apple"]


def _doom(shop: Shop) -> str:
    shop.scopes.doom("why")
    return "ok"


ENDS: dict[str, c.Callable[[Shop], t.Any]] = {
    "a status": lambda shop: ("no", 422),
    "an abort": lambda shop: flask.abort(403),
    "an error": lambda shop: 1 / 0,
    "a doom": _doom,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_request_that_fails_is_rolled_back(shop: Shop, end: str) -> None:
    @shop.view
    def buy() -> t.Any:
        shop.sql.session().add(Item(name="apple"))
        shop.sql.session().flush()
        return ENDS[end](shop)

    shop.client.post("/")
    assert shop.names() == []


def test_one_session_for_each_unit_and_thread_of_it(shop: Shop) -> None:
    seen: list[Session] = []

    @shop.view
    def look() -> str:
        seen.extend([shop.sql.session(), shop.sql.session("")])
        with shop.scopes.unit():
            seen.append(shop.sql.session())
        return ""

    shop.client.get("/")
    shop.client.get("/")
    first, again, own, next_first, _, next_own = seen
    assert first is again
    assert len({first, own, next_first, next_own}) == 4


def test_a_unit_of_its_own_is_kept_though_the_request_fails(shop: Shop) -> None:
    @shop.view
    def buy() -> t.NoReturn:
        with shop.scopes.unit():
            shop.sql.session().add(Item(name="kept"))
        shop.sql.session().add(Item(name="dropped"))
        flask.abort(409)

    assert shop.client.post("/").status_code == 409
    assert shop.names() == ["kept"]


@pytest.mark.parametrize("read_first", [False, True])
def test_a_unit_that_writes_in_one_that_has_read(
    open_shop: OpenShop, tmp_path: Path, read_first: bool
) -> None:
    """To SQLite they are two; one has read what the other has changed since."""
    shop = open_shop(f"sqlite:///{tmp_path}/shop.db")
    shop.create()

    @shop.view
    def buy() -> str:
        if read_first:
            shop.sql.session().scalars(sa.select(Item)).all()
        with shop.scopes.unit():
            shop.sql.session().add(Item(name="inner"))
        shop.sql.session().add(Item(name="outer"))
        return "bought"

    assert shop.client.post("/").status_code == (500 if read_first else 200)
    assert shop.names() == (["inner"] if read_first else ["inner", "outer"])


def test_a_block_and_a_command_are_units(shop: Shop) -> None:
    @shop.app.cli.command("buy")
    def buy() -> None:
        shop.sql.session().add(Item(name="by command"))

    with shop.app.app_context():
        shop.sql.session().add(Item(name="by block"))
    shop.app.test_cli_runner().invoke(args=["buy"], catch_exceptions=False)
    with pytest.raises(ZeroDivisionError), shop.app.app_context():
        shop.sql.session().add(Item(name="not"))
        1 / 0  # noqa: B018  # raises

    assert shop.names() == ["by block", "by command"]


def test_what_a_constraint_refuses_at_the_end_is_no_success(shop: Shop) -> None:
    seen = failures(shop.app)

    @shop.view
    def buy() -> str:
        shop.sql.session().add(Item(name="apple"))
        return "bought"

    assert shop.client.post("/").text == "bought"
    assert shop.client.post("/").text == "not kept"
    assert isinstance(seen[0].cause, IntegrityError)
    assert seen[0].resource == "sql.session"
    assert shop.names() == ["apple"]


def test_what_only_the_commit_finds_is_no_success_either(shop: Shop) -> None:
    @shop.view
    def buy() -> str:
        shop.sql.session().add(Order(item=99))
        shop.sql.session().flush()
        return "bought"

    assert shop.client.post("/").status_code == 500
    with shop.app.app_context():
        assert shop.sql.session().scalars(sa.select(Order)).all() == []


def test_a_savepoint_takes_back_what_is_in_it(shop: Shop) -> None:
    @shop.view
    def buy() -> str:
        session = shop.sql.session()
        for name in ["apple", "pear", "apple", "plum"]:
            try:
                with session.begin_nested():
                    session.add(Item(name=name))
            except IntegrityError:
                continue
        return "bought"

    assert shop.client.post("/").text == "bought"
    assert shop.names() == ["apple", "pear", "plum"]


def test_a_savepoint_that_comes_first_is_part_of_the_unit(shop: Shop) -> None:
    @shop.view
    def buy() -> t.NoReturn:
        with shop.sql.session().begin_nested():
            shop.sql.session().add(Item(name="apple"))
        flask.abort(400)

    shop.client.post("/")
    assert shop.names() == []


def _twice(session: Session) -> None:
    session.execute(sa.insert(Item).values(name="apple"))


def _twice_by_flush(session: Session) -> None:
    session.add(Item(name="apple"))
    session.flush()


@pytest.mark.parametrize("fail", [_twice, _twice_by_flush])
def test_an_error_that_the_view_swallows_is_no_silent_loss(
    shop: Shop, fail: c.Callable[[Session], None]
) -> None:
    """PostgreSQL answers the COMMIT of such a one with "ROLLBACK", and no driver
    finds anything wrong with it.
    """
    seen = failures(shop.app)
    shop.stock(Item(name="apple"))

    @shop.view
    def buy() -> str:
        session = shop.sql.session()
        session.execute(sa.insert(Item).values(name="pear"))
        with contextlib.suppress(IntegrityError):
            fail(session)
        return "bought"

    response = shop.client.post("/")
    assert (response.text == "bought") == ("pear" in shop.names())
    if seen:
        assert isinstance(seen[0].cause, IntegrityError)
        (note,) = [n for n in seen[0].cause.__notes__ if "To fix it" in n]
        assert "begin_nested()" in note


def test_a_statement_that_failed_is_of_no_account_where_the_rest_stands(
    open_shop: OpenShop,
) -> None:
    shop = open_shop("sqlite://")
    shop.create()

    @shop.view
    def buy() -> str:
        session = shop.sql.session()
        session.execute(sa.insert(Item).values(name="pear"))
        with pytest.raises(IntegrityError):
            session.execute(sa.insert(Item).values(name="pear"))
        return "bought"

    assert shop.client.post("/").text == "bought"
    assert shop.names() == ["pear"]


def test_a_transaction_that_sqlite_has_rolled_back_is_no_silent_loss(
    open_shop: OpenShop,
) -> None:
    """The next statement begins another one, which would be committed alone."""
    shop = open_shop("sqlite://")
    shop.create()
    seen = failures(shop.app)
    shop.stock(Item(name="apple"))

    @shop.view
    def buy() -> str:
        session = shop.sql.session()
        session.execute(sa.insert(Item).values(name="pear"))
        with contextlib.suppress(IntegrityError):
            session.execute(
                sa.insert(Item).prefix_with("OR ROLLBACK").values(name="apple")
            )
        session.execute(sa.insert(Item).values(name="plum"))
        return "bought"

    assert shop.client.post("/").text == "not kept"
    assert isinstance(seen[0].cause, IntegrityError)
    assert shop.names() == ["apple"]


def test_a_rollback_by_hand_makes_good_for_it(open_shop: OpenShop) -> None:
    shop = open_shop("sqlite://")
    shop.create()
    shop.stock(Item(name="apple"))

    @shop.view
    def buy() -> str:
        session = shop.sql.session()
        with contextlib.suppress(IntegrityError):
            session.execute(
                sa.insert(Item).prefix_with("OR ROLLBACK").values(name="apple")
            )
        session.rollback()
        session.add(Item(name="plum"))
        return "bought"

    assert shop.client.post("/").text == "bought"
    assert shop.names() == ["apple", "plum"]


def test_the_error_that_counts_is_told_and_not_one_that_a_savepoint_took_back(
    open_shop: OpenShop, new_database: c.Callable[[], str]
) -> None:
    shop = open_shop(new_database())
    shop.create()
    seen = failures(shop.app)

    @shop.view
    def buy() -> str:
        session = shop.sql.session()
        session.add(Item(id=1, name="apple"))
        session.flush()
        with contextlib.suppress(IntegrityError), session.begin_nested():
            session.execute(sa.insert(Item).values(name="apple"))
        with contextlib.suppress(DBAPIError):
            session.execute(sa.text("SELECT 1 / 0"))
        with contextlib.suppress(DBAPIError):
            session.execute(sa.insert(Item).values(name="plum"))
        return "bought"

    assert shop.client.post("/").text == "not kept"
    assert "division by zero" in str(seen[0].cause)
    assert shop.names() == []


def test_a_connection_that_the_server_has_cut_is_no_silent_loss(
    open_shop: OpenShop, new_database: c.Callable[[], str]
) -> None:
    shop = open_shop(new_database())
    shop.create()
    when: list[str] = []
    seen = failures(shop.app)

    @shop.view
    def buy() -> str:
        session = shop.sql.session()
        session.execute(sa.insert(Item).values(name="apple"))
        pid = session.scalar(sa.text("SELECT pg_backend_pid()"))
        with shop.scopes.unit():
            cut = sa.text("SELECT pg_terminate_backend(:pid)")
            shop.sql.session().execute(cut, {"pid": pid})
        if when[-1] == "in the middle":
            with contextlib.suppress(DBAPIError):
                session.execute(sa.insert(Item).values(name="pear"))
        return "bought"

    for each in ("in the middle", "at the end"):
        when.append(each)
        assert shop.client.post("/").text == "not kept"
        assert isinstance(seen[-1].cause, OperationalError)
    assert shop.names() == []


def test_after_a_rollback_by_hand_the_rest_is_committed(shop: Shop) -> None:
    shop.stock(Item(name="apple"))

    @shop.view
    def buy() -> str:
        session = shop.sql.session()
        try:
            _twice(session)
        except IntegrityError:
            session.rollback()
        session.add(Item(name="pear"))
        return "bought"

    assert shop.client.post("/").text == "bought"
    assert shop.names() == ["apple", "pear"]


@pytest.mark.parametrize("block", [False, True])
def test_a_commit_by_hand_is_refused(shop: Shop, block: bool) -> None:
    @shop.view
    def buy() -> str:
        session = shop.sql.session()
        with pytest.raises(CommitRefused, match=r"test_sessions\.py:"):
            if block:
                with session.begin():
                    session.add(Item(name="apple"))
            else:
                session.add(Item(name="apple"))
                session.commit()
        return "bought"

    shop.client.post("/")
    # What had been added is part of the unit, unless `begin` has dropped it.
    assert shop.names() == ([] if block else ["apple"])


def test_a_session_that_the_view_closed_is_no_success(shop: Shop) -> None:
    seen = failures(shop.app)

    @shop.view
    def buy() -> str:
        with shop.sql.session() as session:
            session.add(Item(name="apple"))
        return "bought"

    assert shop.client.post("/").status_code == 500
    assert "`with` around the session" in "".join(seen[0].cause.__notes__)


def test_after_the_finish_a_session_is_of_no_use(shop: Shop) -> None:
    errors: list[Exception] = []

    @shop.view
    def stream() -> flask.Response:
        session = shop.sql.session()

        def body() -> c.Iterator[str]:
            for use in (
                lambda: shop.sql.session(),
                lambda: session.add(Item(name="late")),
                lambda: session.execute(sa.select(Item)),
                lambda: session.commit(),
            ):
                try:
                    use()
                except Exception as error:
                    errors.append(error)
            yield "done"

        return flask.Response(flask.stream_with_context(body()))

    assert shop.client.get("/").text == "done"
    assert [type(error) for error in errors] == [
        ClosedError,
        *3 * [InvalidRequestError],
    ]
    assert shop.names() == []


def test_objects_can_be_read_after_the_commit(shop: Shop) -> None:
    names: list[str] = []

    @shop.view
    def buy() -> str:
        item = Item(name="apple")
        shop.sql.session().add(item)
        shop.scopes.after_commit(lambda: names.append(f"{item.id}: {item.name}"))
        return "bought"

    shop.client.post("/")
    assert names == ["1: apple"]


def test_nothing_waits_for_the_collector(shop: Shop) -> None:
    kept: list[weakref.ref[t.Any]] = []

    @shop.view
    def buy() -> str:
        session = shop.sql.session()
        kept.extend([weakref.ref(session), weakref.ref(session.connection())])
        session.add(Item(name=f"{len(kept)}"))
        with session.begin_nested():
            session.execute(sa.insert(Item).values(name=f"{len(kept)} more"))
        return "bought"

    shop.client.post("/")  # compiles statements
    gc.collect()
    gc.disable()
    try:
        assert shop.client.post("/").text == "bought"
        assert [each() for each in kept[-2:]] == [None, None]
    finally:
        gc.enable()


def test_sessions_are_made_as_their_maker_says(open_shop: OpenShop) -> None:
    class Own(Session):
        pass

    shop = open_shop(
        "sqlite://", sessionmaker=sessionmaker(class_=Own, autoflush=False)
    )
    shop.create()
    with shop.app.app_context():
        session = shop.sql.session()
        assert isinstance(session, Own)
        assert not session.autoflush
        assert session.get_bind() is shop.sql.engine()
        session.add(Item(name="apple"))
    assert shop.names() == ["apple"]


def test_a_maker_with_an_engine_keeps_it(open_shop: OpenShop) -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    maker = sessionmaker(engine)
    shop = open_shop("", {"other": "sqlite://"}, sessionmaker=maker)
    with shop.app.app_context():
        assert shop.sql.session().get_bind() is engine
        assert shop.sql.session("other").get_bind() is shop.sql.engine("other")
    # Others that it makes are nobody's part.
    with maker() as session:
        session.execute(sa.text("CREATE TABLE t (n)"))
        session.commit()
    engine.dispose()


def test_threads_at_once_have_a_session_each(shop: Shop) -> None:
    together = threading.Barrier(4, timeout=10)
    shop.app.add_url_rule("/<name>", view_func=lambda name: buy(name), methods=["POST"])

    def buy(name: str) -> str:
        session = shop.sql.session()
        session.execute(sa.select(Item)).all()
        session.rollback()  # or SQLite would refuse to write after others have
        together.wait()
        session.add(Item(name=name))
        return name

    def ask(number: int) -> None:
        shop.app.test_client().post(f"/{number}")

    threads = [threading.Thread(target=ask, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert shop.names() == ["0", "1", "2", "3"]


def test_an_override_takes_its_place(shop: Shop) -> None:
    @shop.view
    def buy() -> str:
        shop.sql.session().add(Item(name="apple"))
        return "bought"

    with shop.app.app_context():
        engine = shop.sql.engine()
    with Session(engine) as session, shop.sql.session.override(session):
        shop.client.post("/")
        assert shop.names() == []
        session.rollback()
    assert shop.names() == []
