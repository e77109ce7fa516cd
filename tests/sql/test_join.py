"""An app on Flask-SQLAlchemy joins by one line."""

from __future__ import annotations

import collections.abc as c
import contextlib
import pathlib
import typing as t

import flask
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import Session
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_scopes import ClosedError
from flask_scopes import CommitFailed
from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes.sqlalchemy import SQL

from .shop import failures


class Base(DeclarativeBase):
    pass


class Store:
    """An app as Flask-SQLAlchemy's documentation makes it, and the one line."""

    def __init__(self, url: str, *, late: bool = False) -> None:
        class Base(DeclarativeBase):
            pass

        self.db = db = SQLAlchemy(model_class=Base)

        class User(db.Model):  # type: ignore[name-defined,misc]  # made at run time
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str] = mapped_column(unique=True)

        self.User: t.Any = User
        self.app = flask.Flask("store")
        self.app.config["SQLALCHEMY_DATABASE_URI"] = url
        self.scopes = Scopes()
        if late:
            self.scopes.init_app(self.app)
        db.init_app(self.app)
        if not late:
            self.scopes.init_app(self.app)
        SQL(self.scopes).join(db)
        with self.app.app_context():
            db.create_all()
        self.client = self.app.test_client()

    def view(self, view: c.Callable[[], t.Any]) -> None:
        self.app.add_url_rule("/", "/", view, methods=["GET", "POST"])

    def names(self) -> list[str]:
        with self.app.app_context():
            engine = self.db.engine
        statement = sa.select(self.User.name).order_by(self.User.name)
        with engine.connect() as connection:
            return list(connection.execute(statement).scalars())

    def close(self) -> None:
        self.scopes.close(self.app)
        with self.app.app_context():
            self.db.engine.dispose()


@pytest.fixture(params=[False, True], ids=["first", "last"])
def store(
    new_url: c.Callable[[], str], request: pytest.FixtureRequest
) -> c.Iterator[Store]:
    """In either order of `init_app`."""
    made = Store(new_url(), late=request.param)
    yield made
    made.close()


def test_it_commits_with_the_unit(store: Store) -> None:
    @store.view
    def create() -> str:
        store.db.session.add(store.User(name="anna"))
        return "created"

    assert store.client.post("/").text == "created"
    assert store.names() == ["anna"]


def test_to_join_twice_is_to_join_once(store: Store) -> None:
    SQL(store.scopes).join(store.db)
    seen = failures(store.app)

    @store.view
    def create() -> str:
        user = store.User(name="anna")
        store.db.session.add(user)
        store.db.session.flush()
        store.db.session.execute(sa.update(store.User).values(id=user.id + 1))
        return "created"

    assert store.client.post("/").text == "created"
    assert store.names() == ["anna"]
    assert seen == []


def test_it_is_rolled_back_with_the_unit(store: Store) -> None:
    store.app.register_error_handler(ZeroDivisionError, lambda error: "handled")

    @store.view
    def create() -> str:
        store.db.session.add(store.User(name="anna"))
        store.db.session.flush()
        return str(1 / 0)

    assert store.client.post("/").text == "handled"
    assert store.names() == []


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("way", ["connection", "bulk"])
def test_what_goes_past_the_objects_belongs_to_the_unit_too(
    store: Store, way: str, status: int
) -> None:
    @store.view
    def create() -> tuple[str, int]:
        session = store.db.session
        if way == "bulk":
            session.bulk_insert_mappings(store.User, [{"name": "anna"}])
        else:
            insert = sa.insert(store.User).values(name="anna")
            session.connection().execute(insert)
        return "created", status

    assert store.client.post("/").status_code == status
    assert store.names() == (["anna"] if status == 200 else [])


def test_a_change_of_what_was_read_is_committed(store: Store) -> None:
    with store.app.app_context():
        store.db.session.add(store.User(name="anna"))

    @store.view
    def rename() -> str:
        user = store.db.session.scalars(sa.select(store.User)).one()
        user.name = "berta"
        return "renamed"

    assert store.client.post("/").text == "renamed"
    assert store.names() == ["berta"]


def test_what_a_constraint_refuses_is_no_success(store: Store) -> None:
    seen = failures(store.app)

    @store.view
    def create() -> str:
        store.db.session.add(store.User(name="anna"))
        return "created"

    assert store.client.post("/").text == "created"
    assert store.client.post("/").text == "not kept"
    assert isinstance(seen[0].cause, IntegrityError)
    assert seen[0].resource == "db.session"


def test_a_block_and_a_command_commit_at_their_end(store: Store) -> None:
    """Flask-SQLAlchemy drops the session there; first it is committed."""

    @store.app.cli.command("create")
    def create() -> None:
        store.db.session.add(store.User(name="by command"))

    with store.app.app_context():
        store.db.session.add(store.User(name="by block"))
    store.app.test_cli_runner().invoke(args=["create"], catch_exceptions=False)
    with store.app.app_context(), store.scopes.unit():
        store.db.session.add(store.User(name="by unit"))
    with pytest.raises(ZeroDivisionError), store.app.app_context():
        store.db.session.add(store.User(name="not"))
        1 / 0  # noqa: B018  # raises

    assert store.names() == ["by block", "by command", "by unit"]


def test_a_block_that_cannot_be_committed_says_so(store: Store) -> None:
    torn_down: list[None] = []
    store.app.teardown_appcontext(lambda error: torn_down.append(None))
    with pytest.raises(CommitFailed), store.app.app_context():
        store.db.session.add_all([store.User(name="anna"), store.User(name="anna")])
    # All else that is to be done then is done.
    assert torn_down == [None]
    with store.app.app_context():
        assert store.db.session.scalars(sa.select(store.User)).all() == []


def test_a_commit_by_hand_commits_at_once(store: Store) -> None:
    @store.view
    def create() -> tuple[str, int]:
        store.db.session.add(store.User(name="anna"))
        store.db.session.commit()
        assert store.names() == ["anna"]
        store.db.session.add(store.User(name="berta"))
        return "no", 400

    store.client.post("/")
    assert store.names() == ["anna"]


def test_after_a_commit_by_hand_nothing_is_tried_again(store: Store) -> None:
    calls: list[None] = []

    @store.view
    @store.scopes.retry(3, on=LookupError)
    def create() -> t.NoReturn:
        calls.append(None)
        store.db.session.add(store.User(name=f"user {len(calls)}"))
        store.db.session.commit()
        raise LookupError

    assert store.client.post("/").status_code == 500
    assert store.names() == ["user 1"]


def test_a_savepoint_by_hand_does_not_keep_it_from_trying_again(store: Store) -> None:
    calls: list[None] = []

    @store.view
    @store.scopes.retry(3, on=LookupError)
    def create() -> str:
        calls.append(None)
        with store.db.session.begin_nested():
            store.db.session.add(store.User(name=f"user {len(calls)}"))
        if len(calls) < 3:
            raise LookupError
        return "created"

    assert store.client.post("/").text == "created"
    assert store.names() == ["user 3"]


@pytest.mark.parametrize("by_hand", [False, True])
def test_an_error_that_the_view_swallows_is_no_silent_loss(
    store: Store, by_hand: bool
) -> None:
    with store.app.app_context():
        store.db.session.add(store.User(name="anna"))

    @store.view
    def create() -> str:
        session = store.db.session
        session.execute(sa.insert(store.User).values(name="berta"))
        with contextlib.suppress(IntegrityError):
            session.execute(sa.insert(store.User).values(name="anna"))
        if by_hand:
            session.commit()
        return "created"

    response = store.client.post("/")
    assert (response.text == "created") == ("berta" in store.names())


def test_a_stream_may_read_and_not_write(store: Store) -> None:
    with store.app.app_context():
        store.db.session.add(store.User(name="anna"))
    errors: list[Exception] = []

    @store.view
    def stream() -> flask.Response:
        store.db.session.scalars(sa.select(store.User)).all()

        def body() -> c.Iterator[str]:
            session = store.db.session
            yield session.scalars(sa.select(store.User)).one().name
            for write in (
                lambda: session.add(store.User(name="late")),
                lambda: session.execute(sa.update(store.User).values(name="x")),
                lambda: session.delete(session.scalars(sa.select(store.User)).one()),
            ):
                try:
                    write()
                    session.flush()
                except Exception as error:
                    errors.append(error)

        return flask.Response(flask.stream_with_context(body()))

    assert store.client.get("/").text == "anna"
    assert [type(error) for error in errors] == 3 * [ClosedError]
    assert "test_join.py:" in str(errors[0])
    assert store.names() == ["anna"]


def test_a_stream_of_a_request_that_had_no_session_may_not_write_either(
    store: Store,
) -> None:
    @store.view
    def stream() -> flask.Response:
        def body() -> c.Iterator[str]:
            with pytest.raises(ClosedError):
                store.db.session.add(store.User(name="late"))
            with store.scopes.unit():
                store.db.session.add(store.User(name="by unit"))
            yield "done"

        return flask.Response(flask.stream_with_context(body()))

    assert store.client.get("/").text == "done"
    assert store.names() == ["by unit"]


def test_a_request_inside_of_a_block_is_finished_by_itself(store: Store) -> None:
    """On Flask 3.1 both have one session, as they have one app context."""

    @store.view
    def create() -> str:
        store.db.session.add(store.User(name="by request"))
        return "created"

    with store.app.app_context():
        store.db.session.scalars(sa.select(store.User)).all()
        store.client.post("/")
        assert store.names() == ["by request"]
        store.db.session.add(store.User(name="by block"))
    assert store.names() == ["by block", "by request"]


def test_a_request_that_fails_inside_of_a_block_leaves_nothing_to_it(
    store: Store,
) -> None:
    @store.view
    def create() -> tuple[str, int]:
        store.db.session.add(store.User(name="by request"))
        return "no", 400

    with store.app.app_context():
        store.db.session.scalars(sa.select(store.User)).all()
        store.client.post("/")
        store.db.session.add(store.User(name="by block"))
    assert store.names() == ["by block"]


def test_read_only_views(store: Store) -> None:
    store.app.register_error_handler(
        CommitFailed, lambda error: (type(error.cause).__name__, 500)
    )

    @store.view
    @store.scopes.read_only
    def look() -> str:
        store.db.session.add(store.User(name="anna"))
        return "looked"

    assert store.client.post("/").text == "ReadOnlyError"
    assert store.names() == []


def test_with_a_session_of_ours_both_are_flushed_first(
    new_url: c.Callable[[], str],
) -> None:
    store = Store(new_url())
    sql = SQL(store.scopes)
    store.app.config["SQLALCHEMY_URL"] = new_url()
    with store.app.app_context():
        sql.session().execute(sa.text("CREATE TABLE notes (n INTEGER)"))

    @store.view
    def create() -> str:
        store.db.session.add_all([store.User(name="a"), store.User(name="a")])
        sql.session().execute(sa.text("INSERT INTO notes VALUES (1)"))
        return "created"

    assert store.client.post("/").status_code == 500
    with store.app.app_context():
        assert sql.session().execute(sa.text("SELECT * FROM notes")).all() == []
    store.close()


def test_a_scoped_session_of_ones_own(tmp_path: pathlib.Path) -> None:
    """As "SQLAlchemy in Flask", of Flask's documentation, has it."""
    engine = sa.create_engine(f"sqlite:///{tmp_path}/own.db")
    sessions = scoped_session(sessionmaker(engine))
    scopes = Scopes()
    app = flask.Flask("own")
    scopes.init_app(app)
    SQL(scopes).join(sessions)

    @app.teardown_appcontext
    def shut(error: BaseException | None) -> None:
        sessions.remove()

    class Note(Base):
        __tablename__ = "notes"
        id: Mapped[int] = mapped_column(primary_key=True)

    Base.metadata.create_all(engine)

    @app.post("/<int:status>")
    def create(status: int) -> tuple[str, int]:
        sessions.add(Note())
        return "", status

    client = app.test_client()
    client.post("/200")
    client.post("/400")
    with Session(engine) as session:
        assert len(session.scalars(sa.select(Note)).all()) == 1
    # Outside of any context it is nobody's part.
    sessions.add(Note())
    sessions.commit()
    sessions.remove()
    engine.dispose()


def test_apps_without_scopes_are_left_alone(tmp_path: pathlib.Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/one.db")
    other = flask.Flask("other")
    other.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path}/two.db"
    store.db.init_app(other)
    with other.app_context():
        store.db.create_all()
        store.db.session.add(store.User(name="anna"))
        store.db.session.commit()
        store.db.session.add(store.User(name="berta"))
    with other.app_context():
        assert store.db.session.scalars(sa.select(store.User.name)).all() == ["anna"]
    with other.app_context():
        store.db.engine.dispose()
    store.close()


@pytest.mark.parametrize("given", [object(), flask, None])
def test_what_has_no_session(given: t.Any) -> None:
    with pytest.raises(SetupError, match="scoped_session"):
        SQL(Scopes()).join(given)
