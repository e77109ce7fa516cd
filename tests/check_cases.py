"""What fails each check of the table in "What is checked": by a case of the texts, or
here.
"""

from __future__ import annotations

import collections.abc as c
import importlib
import pathlib
import subprocess
import sys
import typing as t

import flask
import flask.sessions
import pytest

from flask_scopes import ForkWarning
from flask_scopes import Scopes

from .messages import processes
from .messages import shop
from .session_scope import cases as visitors

TYPING = pathlib.Path(__file__).parent / "typing"
Use = c.Callable[[], object]
EXAMPLES: dict[str, list[Use]] = {}
"""What fails each check, by what is checked."""


def example(what: str) -> c.Callable[[Use], Use]:
    def add(use: Use) -> Use:
        EXAMPLES.setdefault(what, []).append(use)
        return use

    return add


def known(what: str, cases: c.Mapping[str, Use], *names: str) -> None:
    EXAMPLES.setdefault(what, []).extend(cases[name] for name in names)


OF_SHOP = {
    "a factory is a function, not async, and not under `@contextmanager`": (
        "async_factory"
    ),
    "options of `@scopes.application(...)` go together": "check_without_every",
    "`commit_on`, `retry` and `until=` are given what they can do": (
        "commit_on_success retry_never until_later"
    ),
    "it is called once for each app": "init_twice",
    "what is eager can be built": "not_started",
    "addresses and other settings are what they should be": "no_close_timeout",
    "there is a context to live in": "outside outside_application",
    "the app knows the `Scopes`": "unknown_app",
    "arguments fit the factory, and are hashable": (
        "missing_argument unhashable_argument"
    ),
    "no longer life keeps a shorter one": "mismatch mismatch_until_sent",
    "no object needs itself, in one thread or in several": "cycle cycle_of_one",
    "the object is not torn down, and its scope not over": (
        "gone after_the_end after_close after_sending"
    ),
    "a generator yields": "no_yield",
    "nothing of a request is used: `g`, `request`, `session`": (
        "g_in_an_application_factory"
    ),
    "a view under `retry` has no stream": "retry_a_stream",
    "a generator does not yield again": "second_yield",
    "it succeeds": "commit_failed",
    "each teardown ends in time": "not_closed",
}
for _what, _names in OF_SHOP.items():
    known(_what, shop.CASES, *_names.split())
OF_VISITORS = {
    "a session resource is annotated with plain data": "of_a_lock of_who_knows_what",
    "two session resources have two names in the session": "of_the_same_name",
    "what it makes is plain data of the annotated type": "a_lock",
    "what the session has can be written, and is plain data": "spoilt",
    "the cookie is not too large, where there are session objects": "too_large",
}
for _what, _names in OF_VISITORS.items():
    known(_what, visitors.CASES, *_names.split())


@example("the inspector is on in debug mode alone")
def inspected() -> None:
    app = flask.Flask("shop")
    app.config["SCOPES_INSPECTOR"] = True
    Scopes(app)


@example("the session interface can be assigned")
def fixed() -> None:
    class Fixed(flask.Flask):
        kept = flask.sessions.SecureCookieSessionInterface()

        @property
        def session_interface(self) -> t.Any:  # type: ignore[override]  # that is it
            return self.kept

    Scopes(Fixed("shop"))


@example("nothing had been built before a fork")
def forked() -> None:
    raise ForkWarning(processes.forked(*processes.an_app()))


@example("a document is not looked for with `None`")
def any_document() -> None:
    pymongo = importlib.import_module("pymongo")
    mongo = importlib.import_module("flask_scopes.mongo")
    with pymongo.MongoClient(connect=False) as client:
        mongo.one_or_404(client.shop.items, None)


def of_sql(name: str) -> Use:
    def use() -> object:
        cases = importlib.import_module("tests.sql.messages.shop").CASES
        return cases[name]()

    return use


known(
    "a session of SQLAlchemy is not committed by hand",
    {"it": of_sql("commit_by_hand")},
    "it",
)
known(
    "a read-only request does not write",
    {name: of_sql(name) for name in ("read_only_flush", "read_only_statement")},
    *("read_only_flush", "read_only_statement"),
)


def raised(use: Use) -> set[str]:
    """The classes of what *use* raises, of those in a group too."""
    todo: list[BaseException] = []
    found: set[str] = set()
    try:
        use()
    except Exception as error:
        todo.append(error)
    while todo:
        each = todo.pop()
        found |= {kind.__name__ for kind in type(each).__mro__}
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
    return found


# ---- What raises nothing, or not here ------------------------------------------------


class Bank:
    """A request object that can be seen to have been committed or rolled back."""

    def __init__(self, scopes: Scopes) -> None:
        self.log: list[str] = []

        @scopes.request
        def order() -> c.Iterator[None]:
            try:
                yield
            except Exception:
                self.log.append("rolled back")
                raise
            self.log.append("committed")

        self.order = order


def unwell(app: flask.Flask, scopes: Scopes) -> str:
    made: list[int] = []

    @scopes.application(check=lambda number: number > 1, every=0)
    def number() -> int:
        made.append(1)
        return len(made)

    with app.app_context():
        assert [number(), number(), number()] == [1, 2, 2]
    return "it is built anew"


def failed(app: flask.Flask, scopes: Scopes) -> str:
    bank = Bank(scopes)

    @app.get("/<way>")
    def view(way: str) -> t.Any:
        bank.order()
        if way == "doom":
            scopes.doom("why")
        return 1 / 0 if way == "raise" else ("no", 404 if way == "status" else 200)

    for way in ("raise", "status", "doom", "fine"):
        app.test_client().get(f"/{way}")
    assert bank.log == [*3 * ["rolled back"], "committed"]
    return "it is rolled back"


def flushed(app: flask.Flask, scopes: Scopes) -> str:
    """What a database refuses is found before anything else is committed."""
    sa: t.Any = importlib.import_module("sqlalchemy")
    orm: t.Any = importlib.import_module("sqlalchemy.orm")
    sql = importlib.import_module("flask_scopes.sqlalchemy").SQL(scopes)
    app.config["SQLALCHEMY_URL"] = "sqlite://"
    bank = Bank(scopes)
    base = orm.declarative_base()
    item = type(
        "Item",
        (base,),
        {"__tablename__": "items", "id": sa.Column(sa.Integer, primary_key=True)},
    )
    with app.app_context():
        base.metadata.create_all(sql.engine())

    def work() -> None:
        with scopes.unit(app):
            sql.session().add_all([item(id=1), item(id=1)])
            # It would be committed before the session.
            bank.order()

    found = raised(work)
    scopes.close(app)
    assert bank.log == ["rolled back"]
    return "`CommitFailed`" if "CommitFailed" in found else ""


def swallowed(app: flask.Flask, scopes: Scopes) -> str:
    sa: t.Any = importlib.import_module("sqlalchemy")
    sql = importlib.import_module("flask_scopes.sqlalchemy").SQL(scopes)
    app.config["SQLALCHEMY_URL"] = "sqlite://"

    def work() -> None:
        with scopes.unit(app):
            session = sql.session()
            session.execute(sa.text("CREATE TABLE t (i PRIMARY KEY)"))
            session.execute(sa.text("INSERT INTO t VALUES (1)"))
            with_conflict = "INSERT OR ROLLBACK INTO t VALUES (1)"
            with pytest.raises(sa.exc.IntegrityError):
                session.execute(sa.text(with_conflict))

    found = raised(work)
    scopes.close(app)
    return "that error" if "IntegrityError" in found else ""


CART = """\
from flask import Flask
from flask_scopes import Scopes

app = Flask(__name__)
scopes = Scopes(app)

@scopes.request
def user() -> str:
    return "Ada"

@scopes.application
def greeting() -> str:
    return f"Hello {user()}"
"""


def checked(app: flask.Flask, scopes: Scopes) -> str:
    command = [sys.executable, "-m", "flask", "--app", "shop", "scopes", "check"]
    pathlib.Path("shop.py").write_text(CART)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "S101" in done.stdout, done
    return f"it exits with {done.returncode}"


LEAVES = """\
from flask import Flask
from flask_scopes import Scopes

app = Flask(__name__)
scopes = Scopes(app)

@scopes.request
def cart():
    yield []

def test_a_cart():
    app.app_context().push()
    cart()
"""


def left(app: flask.Flask, scopes: Scopes) -> str:
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    pathlib.Path("test_shop.py").write_text(LEAVES)
    command = [sys.executable, "-m", "pytest", *options, "test_shop.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "was left open by this test" in done.stdout, done
    return "the test fails" if done.returncode == 1 else ""


class Cart:
    def close(self) -> None: ...


def shown(app: flask.Flask, scopes: Scopes) -> str:
    app = flask.Flask("shop")
    app.debug, app.config["SCOPES_INSPECTOR"] = True, True
    scopes.init_app(app)

    @scopes.request
    def cart() -> Cart:
        return Cart()

    @app.get("/")
    def view() -> str:
        cart()
        return ""

    client = app.test_client()
    client.get("/")
    data: t.Any = client.get("/_scopes/leaks.json").json
    (seen,) = data["never_closed"]
    return "it is shown" if seen["resource"] == "cart" else ""


def typed(app: flask.Flask, scopes: Scopes) -> str:
    """`make types` fails where nothing is wrong on a line that says so."""
    text = "".join(path.read_text() for path in TYPING.glob("*.py"))
    for checker in ("type: ignore[arg-type]", "pyright: ignore[reportArgumentType]"):
        assert checker in text
    return "mypy and pyright say so" if "assert_type(" in text else ""


SEEN: dict[str, c.Callable[[flask.Flask, Scopes], str]] = {
    "an object with `check=` is well": unwell,
    "the request has not failed: by an exception, a status or `doom`": failed,
    "the database takes what is flushed, in all SQL sessions": flushed,
    "no error was caught that has ended the transaction": swallowed,
    "[findings](findings.md), without calling a factory": checked,
    "a test leaves nothing open, and leaks nothing": left,
    "what is still referenced, never closed, or left open": shown,
    "arguments and types of what a resource returns": typed,
}
