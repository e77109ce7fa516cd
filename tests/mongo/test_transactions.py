"""Transactions that are committed in the finish, and tell the truth."""

from __future__ import annotations

import collections.abc as c
import contextlib
import contextvars
import logging
import threading
import time
import typing as t

import flask
import pymongo
import pytest
from pymongo import IndexModel
from pymongo import MongoClient
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError
from pymongo.errors import DuplicateKeyError
from pymongo.errors import OperationFailure
from pymongo.errors import PyMongoError

from flask_scopes import CommitFailed
from flask_scopes import SetupError
from flask_scopes.mongo import Mongo
from flask_scopes.mongo.monitor import monitor_of
from flask_scopes.transient import is_transient

from .apps import OpenShop
from .apps import Shop
from .replica_set import replica_set

pytestmark = pytest.mark.mongo


@pytest.fixture(scope="module")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> c.Iterator[str]:
    """One that can be told to fail, by its own means for tests of drivers."""
    folder = tmp_path_factory.mktemp("stumbling")
    with replica_set(folder, 1, "--setParameter", "enableTestCommands=1") as one:
        yield one.uri


@pytest.fixture
def shop(mongo_uri: str) -> c.Iterator[Shop]:
    with Shop(mongo_uri) as shop:
        shop.outside[shop.name].create_collection("orders")
        shop.outside[shop.name].create_collection("counts")
        yield shop


def insert(shop: Shop, row: object, **options: t.Any) -> None:
    shop.database().orders.insert_one({"_id": row}, **options)


def cause_of(record: logging.LogRecord) -> Exception:
    assert record.exc_info
    error = record.exc_info[1]
    assert isinstance(error, CommitFailed)
    return error.cause


@pytest.fixture(params=["session=", "transactional"])
def order(shop: Shop, request: pytest.FixtureRequest) -> c.Callable[..., t.Any]:
    """Make ``/`` insert some rows in one of the two ways, and then do what is given."""
    explicit = request.param == "session="

    def make(*rows: object, then: t.Any = None, wraps: t.Any = ()) -> None:
        def view() -> t.Any:
            for row in rows:
                options = {"session": shop.mongo.session()} if explicit else {}
                insert(shop, row, **options)
            return "done" if then is None else then()

        shop.view(view, *wraps, *([] if explicit else [shop.mongo.transactional]))

    return make


def test_it_is_committed_before_the_response_leaves(
    shop: Shop, order: c.Callable[..., t.Any]
) -> None:
    order(1, 2, then=lambda: str(shop.rows()))

    assert shop.post().text == "[]"
    assert shop.rows() == [1, 2]


@pytest.mark.parametrize("way", ["status", "abort", "raised", "handled", "doomed"])
def test_it_is_rolled_back_when_the_request_fails(
    shop: Shop, order: c.Callable[..., t.Any], way: str
) -> None:
    shop.app.register_error_handler(LookupError, lambda error: "handled")

    def fail() -> t.Any:
        if way == "abort":
            flask.abort(404)
        if way == "raised":
            raise ZeroDivisionError
        if way == "handled":
            raise LookupError
        if way == "doomed":
            shop.scopes.doom("why")
        return "no", 400 if way == "status" else 200

    order(1, then=fail)

    shop.post()
    assert shop.rows() == []
    # And at once: nobody has to wait for its locks.
    with pymongo.timeout(1):
        shop.outside[shop.name].orders.insert_one({"_id": 1})


def test_an_async_view_joins(shop: Shop) -> None:
    async def view() -> str:
        insert(shop, 1)
        return str(shop.rows())

    shop.view(view, shop.mongo.transactional)

    assert shop.post().text == "[]"
    assert shop.rows() == [1]


def test_nothing_is_asked_if_nothing_is_done_in_it(shop: Shop) -> None:
    def view() -> str:
        shop.mongo.session()
        before = shop.mongo.request_stats().commands
        shop.scopes.after_commit(lambda: None)
        return str(before)

    with shop.app.app_context():
        shop.mongo.client().admin.command("ping")
        before = shop.mongo.stats().commands
    shop.view(view, shop.mongo.transactional)

    assert shop.post().text == "0"
    with shop.app.app_context():
        assert shop.mongo.stats().commands == before


def test_it_reads_what_it_wrote_and_others_do_not(shop: Shop) -> None:
    def view() -> str:
        insert(shop, 1)
        own = shop.database().orders.count_documents({})
        return f"{own} {len(shop.rows())}"

    shop.view(view, shop.mongo.transactional)

    assert shop.post().text == "1 0"


def test_it_is_confirmed_by_a_majority_unless_the_client_was_told_otherwise(
    open_shop: OpenShop,
    mongo_uri: str,
) -> None:
    shop = open_shop(mongo_uri, MONGO_BINDS={"told": mongo_uri + "&w=1"})
    with shop.app.app_context():
        concerns = [
            t.cast(t.Any, shop.mongo.session(bind))._transaction.opts.write_concern
            for bind in ("", "told")
        ]
    assert [concern.document for concern in concerns] == [{"w": "majority"}, {"w": 1}]


# ---- Errors that nobody lets out -----------------------------------------------


def swallow(shop: Shop, row: object) -> str:
    with contextlib.suppress(DuplicateKeyError):
        insert(shop, row, session=shop.mongo.session())
    return "all is well"


def test_a_swallowed_error_is_what_the_unit_fails_with(
    shop: Shop, order: c.Callable[..., t.Any], caplog: pytest.LogCaptureFixture
) -> None:
    shop.outside[shop.name].orders.insert_one({"_id": 1})
    order(2, then=lambda: swallow(shop, 1))

    assert shop.post().status_code == 500

    assert shop.rows() == [1]
    (record,) = caplog.records
    cause = cause_of(record)
    assert type(cause) is DuplicateKeyError
    assert cause.code == 11000
    assert cause.details is not None
    assert cause.details["keyValue"] == {"_id": 1}
    assert any("upsert=True" in note for note in cause.__notes__)


@pytest.mark.parametrize("mode", ["secondaryPreferred", "secondary", "nearest"])
def test_it_reads_from_the_primary_whatever_the_address_says(
    open_shop: OpenShop, mongo_uri: str, mode: str
) -> None:
    shop = open_shop(mongo_uri)
    shop.outside[shop.name].orders.insert_one({"_id": 1})
    # There is no secondary: where one must be asked, nobody answers.
    shop.app.config["MONGO_URI"] = f"{mongo_uri}&readPreference={mode}"

    def find() -> list[object]:
        orders, session = shop.database().orders, shop.mongo.session()
        assert orders.find_one({"_id": 1}, session=session)
        return [each["_id"] for each in orders.find(session=session)]

    def view() -> str:
        insert(shop, 2)
        assert shop.database().orders.count_documents({}) == 2
        return str(find())

    with shop.app.app_context():
        assert shop.mongo.client().read_preference != ReadPreference.PRIMARY
        with shop.scopes.unit():
            assert find() == [1]
    shop.view(view, shop.mongo.transactional)
    assert shop.post().text == "[1, 2]"
    assert shop.rows() == [1, 2]


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_swallowed_error_is_never_tried_again(
    shop: Shop, goes_on: bool, caplog: pytest.LogCaptureFixture
) -> None:
    shop.outside[shop.name].orders.insert_one({"_id": 1})
    attempts: list[int] = []

    def view() -> str:
        attempts.append(1)
        swallow(shop, 1)
        if goes_on:
            # MongoDB says "no such transaction": a conflict, by its label.
            insert(shop, 2, session=shop.mongo.session())
        return "all is well"

    shop.view(view, shop.scopes.retry(5))

    assert shop.post().status_code == 500
    assert len(attempts) == 1
    assert shop.rows() == [1]
    (record,) = caplog.records
    assert record.exc_info
    if goes_on:
        error = record.exc_info[1]
        assert isinstance(error, OperationFailure)
        assert is_transient(error)
        (note,) = error.__notes__
        assert "as the unit failed before: DuplicateKeyError: E11000" in note
    else:
        assert isinstance(cause_of(record), DuplicateKeyError)


def test_a_swallowed_error_that_is_answered_with_a_failure_is_no_second_one(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.outside[shop.name].orders.insert_one({"_id": 1})
    shop.view(lambda: (swallow(shop, 1), 409))

    assert shop.post().status_code == 409
    assert caplog.records == []


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (
            lambda rows, s: rows.update_one({"_id": 1}, {"$inc": {"x": 1}}, session=s),
            14,
        ),
        (lambda rows, s: rows.find_one({"$bad": 1}, session=s), 2),
        (
            lambda rows, s: rows.find_one_and_update(
                {"_id": 1}, {"$set": {"_id": 2}}, session=s
            ),
            66,
        ),
        (
            lambda rows, s: rows.find_one_and_update(
                {"_id": 7}, {"$set": {"email": "a"}}, upsert=True, session=s
            ),
            11000,
        ),
        (lambda rows, s: rows.insert_many([{"_id": 1}, {"_id": 3}], session=s), 11000),
    ],
)
def test_any_command_that_failed_is_noticed(
    shop: Shop, spoil: t.Any, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    orders = shop.outside[shop.name].orders
    orders.insert_one({"_id": 1, "x": "text", "email": "a"})
    orders.create_index("email", unique=True, sparse=True)

    caught: list[PyMongoError] = []

    def view() -> str:
        with pytest.raises(PyMongoError) as raised:
            spoil(shop.database().orders, shop.mongo.session())
        caught.append(raised.value)
        return "all is well"

    shop.view(view)

    assert shop.post().status_code == 500
    (record,) = caplog.records
    cause = cause_of(record)
    assert isinstance(cause, OperationFailure)
    assert cause.code == code
    assert isinstance(cause, DuplicateKeyError) == (code == 11000)
    # It is as PyMongo has raised it; of several, the first.
    assert type(cause) is type(caught[0]) or isinstance(caught[0], BulkWriteError)


def test_an_error_outside_of_the_transaction_spoils_nothing(shop: Shop) -> None:
    shop.outside[shop.name].orders.insert_one({"_id": 1})

    def view() -> str:
        insert(shop, 2, session=shop.mongo.session())
        with pytest.raises(DuplicateKeyError):
            insert(shop, 1)
        return "done"

    shop.view(view)

    assert shop.post().status_code == 200
    assert shop.rows() == [1, 2]


# ---- Conflicts ----------------------------------------------------------------


def test_a_conflict_is_tried_again(shop: Shop) -> None:
    counts = shop.outside[shop.name].counts
    counts.insert_one({"_id": "n", "value": 0})
    together = threading.Barrier(4)
    first = contextvars.ContextVar("first", default=True)

    def view() -> str:
        rows = shop.database().counts
        row = rows.find_one("n")
        assert row
        if first.get():
            # All have read before any of them writes.
            first.set(False)
            together.wait(20)
        rows.update_one({"_id": "n"}, {"$set": {"value": row["value"] + 1}})
        return "done"

    shop.view(view, shop.scopes.retry(20), shop.mongo.transactional)
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(shop.post().status_code))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert answers == [200] * 4
    assert counts.find_one("n") == {"_id": "n", "value": 4}


def test_a_conflict_that_was_swallowed_is_tried_again(shop: Shop) -> None:
    counts = shop.outside[shop.name].counts
    counts.insert_one({"_id": "n", "value": 0})
    attempts: list[int] = []

    def view() -> str:
        attempts.append(1)
        rows, session = shop.database().counts, shop.mongo.session()
        rows.find_one("n", session=session)
        if len(attempts) == 1:
            counts.update_one({"_id": "n"}, {"$inc": {"value": 10}})
        with contextlib.suppress(OperationFailure):
            rows.update_one({"_id": "n"}, {"$inc": {"value": 1}}, session=session)
        return "done"

    shop.view(view, shop.scopes.retry(3))

    assert shop.post().status_code == 200
    assert len(attempts) == 2
    assert counts.find_one("n") == {"_id": "n", "value": 11}


@pytest.fixture
def stumbling(mongo_uri: str) -> c.Iterator[c.Callable[..., None]]:
    """Lets the server itself fail, by its own means for tests of drivers."""
    client: MongoClient[dict[str, t.Any]] = MongoClient(mongo_uri)
    point = {"configureFailPoint": "failCommand"}

    def stumble(command: str, mode: t.Any = 1, **how: t.Any) -> None:
        data = {"failCommands": [command], **how}
        times = {"times": mode} if isinstance(mode, int) else mode
        client.admin.command({**point, "mode": times, "data": data})

    yield stumble
    client.admin.command({**point, "mode": "off"})
    # What never reached the server would keep its locks for a minute.
    client.admin.command("killAllSessions", [])
    client.close()


@pytest.mark.parametrize("options", [{}, {"socketTimeoutMS": 15_000}])
def test_a_commit_whose_outcome_is_unknown_is_asked_for_again(
    shop: Shop, order: c.Callable[..., t.Any], stumbling: t.Any, options: t.Any
) -> None:
    # With `timeoutMS` PyMongo itself does so, until the time is up; else it does once.
    shop.app.config["MONGO_OPTIONS"] = options
    order(1)
    concern = {"code": 262, "errmsg": "Exceeded the time limit"}
    stumbling("commitTransaction", 3, writeConcernError=concern)

    assert shop.post().status_code == 200
    assert shop.rows() == [1]


def test_a_lost_connection_during_a_commit_is_no_failure(
    shop: Shop, order: c.Callable[..., t.Any], stumbling: t.Any
) -> None:
    order(1)
    stumbling("commitTransaction", 2, closeConnection=True)

    assert shop.post().status_code == 200
    assert shop.rows() == [1]


def test_a_commit_that_is_refused_is_not_asked_for_again(
    shop: Shop,
    order: c.Callable[..., t.Any],
    stumbling: t.Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    order(1)
    stumbling("commitTransaction", 1, errorCode=8000)

    assert shop.post().status_code == 500
    (record,) = caplog.records
    cause = cause_of(record)
    assert isinstance(cause, OperationFailure)
    assert cause.code == 8000
    assert shop.rows() == []


def test_what_stays_unknown_ends_in_time_and_says_so(
    shop: Shop,
    order: c.Callable[..., t.Any],
    stumbling: t.Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop.app.config["MONGO_REQUEST_TIMEOUT"] = 1
    order(1)
    stumbling("commitTransaction", 10_000, closeConnection=True)

    before = time.monotonic()
    assert shop.post().status_code == 504
    assert time.monotonic() - before < 8
    (record,) = caplog.records
    cause = cause_of(record)
    assert isinstance(cause, PyMongoError)
    assert cause.has_error_label("UnknownTransactionCommitResult")


# ---- With and without session= ---------------------------------------------------


def test_what_needs_no_transaction_stands_in_a_unit_of_its_own(shop: Shop) -> None:
    def view() -> t.Any:
        insert(shop, 1)
        with shop.scopes.unit():
            insert(shop, "kept")
            shop.database().orders.estimated_document_count()
            assert shop.database().list_collection_names()
            insert(shop, "kept, too", session=shop.mongo.session())
        insert(shop, 2)
        return "no", 409

    shop.view(view, shop.mongo.transactional)

    assert shop.post().status_code == 409
    assert shop.rows() == ["kept", "kept, too"]


def test_what_follows_the_commit_is_no_part_of_it(shop: Shop) -> None:
    def view() -> str:
        insert(shop, 1)
        shop.scopes.after_commit(lambda: insert(shop, 2))
        return "done"

    shop.view(view, shop.mongo.transactional)

    assert shop.post().status_code == 200
    assert shop.rows() == [1, 2]


def test_a_binding_ends_with_the_view(shop: Shop) -> None:
    def after(response: flask.Response) -> flask.Response:
        insert(shop, "after")
        return response

    shop.app.after_request(after)

    def view() -> t.Any:
        insert(shop, 1)
        return "no", 409

    shop.view(view, shop.mongo.transactional)

    shop.post()
    assert shop.rows() == ["after"]


def test_a_view_can_be_part_of_the_transaction_of_another_client(
    open_shop: OpenShop,
    mongo_uri: str,
) -> None:
    shop = open_shop(mongo_uri, MONGO_BINDS={"logs": mongo_uri + "&appname=logs"})
    logs = shop.mongo.database(shop.name, bind="logs")

    def view() -> t.Any:
        logs().orders.insert_one({"_id": 1})
        return "no", 409

    shop.view(view, shop.mongo.transactional(bind="logs"))
    shop.post()

    assert shop.rows() == []


def test_binds_with_one_client_have_one_transaction(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    shop = open_shop(mongo_uri, MONGO_BINDS={"logs": mongo_uri, "more": mongo_uri})

    def view() -> t.Any:
        assert shop.mongo.session("logs") is shop.mongo.session()
        assert shop.mongo.session("more") is shop.mongo.session()
        insert(shop, 1, session=shop.mongo.session())
        insert(shop, 2, session=shop.mongo.session("logs"))
        return "no" if flask.request.args else ("no", 409)

    shop.view(view)
    shop.post()
    assert shop.rows() == []
    assert shop.app.test_client().post("/?kept=1").status_code == 200
    assert shop.rows() == [1, 2]


def test_which_binds_have_one_client_is_what_the_config_says_then(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    binds: dict[str, t.Any] = {"logs": mongo_uri, "more": {"uri": mongo_uri}}
    shop = open_shop(mongo_uri, MONGO_BINDS=binds)
    session = shop.mongo.session

    def same() -> list[bool]:
        with shop.app.app_context():
            return [session(bind) is session() for bind in ("logs", "more")]

    assert same() == [True, True]
    binds["logs"] += "&appname=logs"
    assert same() == [False, True]
    binds["more"]["appname"] = "more"
    assert same() == [False, False]
    shop.app.config["MONGO_BINDS"] = {**binds, "logs": mongo_uri}
    assert same() == [True, False]
    del shop.app.config["MONGO_BINDS"]
    with shop.app.app_context(), pytest.raises(SetupError, match="'logs'"):
        session("logs")


def test_each_app_says_which_binds_have_one_client(
    open_shop: OpenShop, mongo_uri: str
) -> None:
    shop = open_shop(mongo_uri, MONGO_BINDS={"logs": mongo_uri})
    second = flask.Flask("second")
    logs = mongo_uri + "&appname=logs"
    second.config.update(MONGO_URI=mongo_uri, MONGO_BINDS={"logs": logs})
    shop.scopes.init_app(second)
    found: list[bool] = []
    for app in (shop.app, second, shop.app, second):
        with app.app_context():
            found.append(shop.mongo.session("logs") is shop.mongo.session())
    shop.scopes.close(second)

    assert found == [True, False, True, False]


def test_a_second_name_of_a_transaction_is_none_that_was_committed(
    open_shop: OpenShop, mongo_uri: str, stumbling: t.Any
) -> None:
    shop = open_shop(mongo_uri, MONGO_BINDS={"logs": mongo_uri})
    shop.outside[shop.name].create_collection("orders")
    attempts: list[int] = []

    def view() -> str:
        attempts.append(1)
        insert(shop, 1, session=shop.mongo.session())
        insert(shop, 2, session=shop.mongo.session("logs"))
        return "done"

    shop.view(view, shop.scopes.retry(3))
    transient = ["TransientTransactionError"]
    stumbling("commitTransaction", 1, errorCode=8000, errorLabels=transient)

    # Had a part of it been kept, it could not be tried again.
    assert shop.post().status_code == 200
    assert len(attempts) == 2
    assert shop.rows() == [1, 2]


def test_a_second_client_needs_its_own_session_and_the_error_says_so(
    open_shop: OpenShop,
    mongo_uri: str,
) -> None:
    shop = open_shop(mongo_uri, MONGO_BINDS={"logs": mongo_uri + "&appname=logs"})
    shop.outside[shop.name].create_collection("orders")
    logs = shop.mongo.database(shop.name, bind="logs")
    explicit = True

    def view() -> t.Any:
        insert(shop, 1)
        session = shop.mongo.session("logs") if explicit else None
        logs().orders.insert_one({"_id": 2}, session=session)
        return "done"

    shop.view(view, shop.mongo.transactional)
    assert shop.post().status_code == 200
    assert shop.rows() == [1, 2]

    shop.outside[shop.name].orders.delete_many({})
    explicit, shop.app.testing = False, True
    with pytest.raises(PyMongoError) as raised:
        shop.post()
    (note,) = raised.value.__notes__
    assert 'session=mongo.session("its bind")' in note


@pytest.mark.parametrize(
    "step",
    [
        lambda db: db.orders.estimated_document_count(),
        lambda db: db.list_collection_names(),
        lambda db: list(db.orders.aggregate([{"$out": "copy"}])),
        lambda db: db.orders.watch(),
        lambda db: db.orders.create_index("x"),
    ],
)
def test_what_mongodb_cannot_do_in_a_transaction_is_said(
    shop: Shop, step: t.Any, caplog: pytest.LogCaptureFixture
) -> None:
    def view() -> str:
        insert(shop, 1)
        step(shop.database())
        return "done"

    shop.view(view, shop.mongo.transactional)

    assert shop.post().status_code == 500
    (record,) = caplog.records
    assert record.exc_info
    error = t.cast(t.Any, record.exc_info[1])
    (note,) = error.__notes__
    assert "apps.py:" in note
    assert note.endswith("do it outside of the transaction:  with scopes.unit(): ...")
    # In the log as well, which is written before the unit ends.
    assert note in caplog.text


def test_it_is_said_in_a_command_as_well(shop: Shop) -> None:
    with pytest.raises(OperationFailure) as raised, shop.scopes.unit(shop.app):
        shop.database().command("count", "orders", session=shop.mongo.session())

    (note,) = raised.value.__notes__
    assert "with scopes.unit()" in note


def test_a_single_server_has_no_transactions_and_the_error_says_so(
    open_shop: OpenShop,
    standalone_uri: str,
) -> None:
    shop = open_shop(standalone_uri)
    shop.app.testing = True
    shop.view(lambda: insert(shop, 1), shop.mongo.transactional)

    with pytest.raises(OperationFailure) as raised:
        shop.post()
    (note,) = raised.value.__notes__
    assert "To fix it, start it with --replSet" in note


def test_indexes_can_be_made_in_such_a_view(shop: Shop) -> None:
    indexes = {"others": [IndexModel("item")]}
    database = shop.mongo.database(shop.name, indexes=indexes)

    def view() -> str:
        insert(shop, 1)
        shop.mongo.create_indexes(database)
        return "done"

    shop.view(view, shop.mongo.transactional)

    assert shop.post().status_code == 200
    assert "item_1" in shop.outside[shop.name].others.index_information()


# ---- The unit ------------------------------------------------------------------


def test_each_unit_has_one_and_a_block_has_its_own(shop: Shop) -> None:
    with shop.app.app_context():
        session = shop.mongo.session()
        assert shop.mongo.session() is session
        assert session.in_transaction
        with shop.scopes.unit():
            assert shop.mongo.session() is not session
        assert session.in_transaction


def test_a_command_is_a_unit(shop: Shop) -> None:
    @shop.app.cli.command("order")
    def order() -> None:
        insert(shop, 1, session=shop.mongo.session())
        assert shop.rows() == []

    result = shop.app.test_cli_runner().invoke(args=["order"])

    assert result.exit_code == 0
    assert shop.rows() == [1]


def test_two_clients_are_committed_one_after_the_other_and_it_is_said_which(
    open_shop: OpenShop,
    mongo_uri: str,
    stumbling: t.Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = open_shop(mongo_uri, MONGO_BINDS={"logs": mongo_uri + "&appname=logs"})
    logs = shop.mongo.database(shop.name, bind="logs")

    def view() -> str:
        insert(shop, 1, session=shop.mongo.session())
        logs().orders.insert_one({"_id": 2}, session=shop.mongo.session("logs"))
        return "done"

    shop.view(view)
    stumbling("commitTransaction", 1, errorCode=8000, appName="logs")
    assert shop.post().status_code == 500
    assert shop.rows() == []

    # Built first, so committed last: what was committed before it stays.
    caplog.clear()
    stumbling("commitTransaction", {"skip": 1}, errorCode=8000)
    assert shop.post().status_code == 500
    assert shop.rows() == [2]
    (record,) = caplog.records
    assert record.exc_info
    error = record.exc_info[1]
    assert isinstance(error, CommitFailed)
    assert error.committed == ("mongo.session",)


def test_a_transaction_that_the_view_has_ended_itself_is_left_alone(
    shop: Shop,
) -> None:
    def view() -> str:
        insert(shop, 1, session=shop.mongo.session())
        shop.mongo.session().commit_transaction()
        return "done"

    shop.view(view)

    assert shop.post().status_code == 200
    assert shop.rows() == [1]


def test_locks_are_let_go_at_once_although_the_time_of_the_request_is_up(
    shop: Shop,
) -> None:
    shop.app.config["MONGO_REQUEST_TIMEOUT"] = 0.5
    shop.connect()

    def view() -> str:
        insert(shop, 1)
        time.sleep(0.6)
        return "no"[2]

    shop.view(view, shop.mongo.transactional)

    assert shop.post().status_code == 500
    with pymongo.timeout(1):
        shop.outside[shop.name].orders.insert_one({"_id": 1})


def test_sessions_are_not_kept(shop: Shop, order: c.Callable[..., t.Any]) -> None:
    order(1)
    seen: list[ClientSession] = []

    @shop.app.after_request
    def look(response: flask.Response) -> flask.Response:
        seen.append(shop.mongo.session())
        return response

    shop.post()

    assert seen[0].has_ended
    with shop.app.app_context():
        monitor = monitor_of(shop.mongo.client())
        assert monitor is not None
        assert monitor.transactions == {}


def test_without_a_listener_it_works_but_hears_of_no_swallowed_error(
    open_shop: OpenShop,
    mongo_uri: str,
) -> None:
    theirs: MongoClient[dict[str, t.Any]] = MongoClient(mongo_uri)
    shop = open_shop(mongo_uri)
    mongo = Mongo(shop.scopes, client=theirs)
    rows = theirs[shop.name].orders
    rows.insert_one({"_id": 1})

    def view() -> str:
        rows.insert_one({"_id": 2}, session=mongo.session())
        if flask.request.args:
            with pytest.raises(DuplicateKeyError):
                rows.insert_one({"_id": 1}, session=mongo.session())
        return "done"

    shop.view(view)

    assert shop.app.test_client().post("/").status_code == 200
    assert shop.app.test_client().post("/?again=1").status_code == 500
    assert shop.rows() == [1, 2]
    theirs.close()
