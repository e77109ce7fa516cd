"""What the page "Security" says, and no other page's tests see."""

from __future__ import annotations

import ast
import collections.abc as c
import logging
import pathlib
import re
import traceback
import typing as t

import flask
import pytest
import sqlalchemy as sa

from flask_scopes import CommitFailed
from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes.mongo import Mongo
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions.redis import RedisStore
from flask_scopes.sessions.sql import SQLStore
from flask_scopes.sqlalchemy import SQL

ROOT = pathlib.Path(__file__).parent.parent
PAGE = ROOT / "docs" / "security.md"
SOURCE = ROOT / "src" / "flask_scopes"
SECRET = "hunter2"


# ---- No message has a password in it -------------------------------------------------


def ask_mongo(scopes: Scopes) -> c.Callable[[], object]:
    mongo = Mongo(scopes)
    return lambda: mongo.client().shop.things.find_one()


def ask_sql(scopes: Scopes) -> c.Callable[[], object]:
    sql = SQL(scopes)
    return lambda: sql.session().execute(sa.text("SELECT 1"))


def ask_redis(scopes: Scopes) -> c.Callable[[], object]:
    ServerSessions(scopes, RedisStore(scopes))
    return lambda: flask.session.get("user")


Ask = c.Callable[[Scopes], c.Callable[[], object]]
OF = f"ann:{SECRET}@127.0.0.1"
# What cannot be read, or names a server that is not there. (Nobody listens at port 1.)
ADDRESSES: list[tuple[Ask, dict[str, t.Any]]] = [
    (ask_mongo, {"MONGO_URI": f"http://{OF}/shop"}),
    (ask_mongo, {"MONGO_URI": f"mongodb://ann:{SECRET}@@{OF}/shop"}),
    (ask_mongo, {"MONGO_URI": f"mongodb://{OF}:port/shop"}),
    (ask_mongo, {"MONGO_URI": f"mongodb://{OF}/shop?replicaSet"}),
    (ask_mongo, {"MONGO_URI": f"mongodb://{OF}/", "MONGO_OPTIONS": {"w": object()}}),
    (ask_mongo, {"MONGO_URI": [f"mongodb://{OF}/"]}),
    (ask_mongo, {"MONGO_URI": f"mongodb://{OF}:1/?serverSelectionTimeoutMS=100"}),
    (ask_sql, {"SQLALCHEMY_URL": f"ann:{SECRET}"}),
    (ask_sql, {"SQLALCHEMY_URL": f"postgres://{OF}/shop"}),
    (ask_sql, {"SQLALCHEMY_URL": f"postgresql+psycopg://{OF}:port/shop"}),
    (ask_sql, {"SQLALCHEMY_URL": f"sqlite+nothing://{OF}/shop"}),
    (ask_sql, {"SQLALCHEMY_URL": f"postgresql+psycopg://{OF}:1/shop?nothing={SECRET}"}),
    (ask_sql, {"SQLALCHEMY_URL": f"postgresql+psycopg://{OF}:1/shop"}),
    (ask_redis, {"REDIS_URL": f"http://:{SECRET}@127.0.0.1/0"}),
    (ask_redis, {"REDIS_URL": f"redis://:{SECRET}@127.0.0.1/0?db={SECRET}"}),
    (ask_redis, {"REDIS_URL": f"redis://:{SECRET}@127.0.0.1:port/0"}),
    (ask_redis, {"REDIS_URL": f"redis://:{SECRET}@127.0.0.1:1/0"}),
]


@pytest.mark.parametrize(("ask", "config"), ADDRESSES, ids=map(str, range(17)))
def test_a_password_in_an_address_is_in_no_error_and_no_log(
    ask: Ask, config: dict[str, t.Any], caplog: pytest.LogCaptureFixture
) -> None:
    scopes = Scopes()
    app = flask.Flask("shop")
    app.config.update(config)
    app.secret_key = "a key for tests"
    asked = ask(scopes)
    scopes.init_app(app)
    app.add_url_rule("/", "index", lambda: str(asked()))
    errors: list[BaseException] = []

    def note(_: object, exception: BaseException) -> None:
        errors.append(exception)

    flask.got_request_exception.connect(note, app)
    caplog.set_level(logging.DEBUG, "flask_scopes")
    client = app.test_client()
    client.set_cookie("__Host-session", f"{'a' * 22}.{'b' * 43}", secure=True)

    # (A time limit of MongoDB's is read before Flask is asked.)
    try:
        shown = [client.get("/", base_url="https://localhost").text]
    except SetupError as error:
        errors.append(error)
        shown = []
    shown.append(caplog.text)
    for each in errors:
        shown += traceback.format_exception(each)
    scopes.close(app)
    assert errors or "Answered / [GET] with 503" in caplog.text
    assert SECRET not in "".join(shown)


def test_commands_show_no_setting(app: flask.Flask, scopes: Scopes) -> None:
    mongo, sql = Mongo(scopes), SQL(scopes)
    mongo.database("shop", bind="logs")
    app.config.update(
        SECRET_KEY=SECRET,
        MONGO_URI=f"mongodb://{OF}:1/?serverSelectionTimeoutMS=50",
        MONGO_BINDS={"logs": {"uri": "mongodb://127.0.0.1/", "password": SECRET}},
        SQLALCHEMY_URL=f"postgresql+psycopg://{OF}:1/shop",
    )
    runner = app.test_cli_runner()
    output = ""
    for line in (
        *("list", "list sql.engine", "list --json", "graph", "graph --json"),
        *("check --build --ping", "indexes"),
    ):
        output += runner.invoke(args=["scopes", *line.split()]).output
    scopes.close(app)
    assert "sql.engine" in output
    assert SECRET not in output
    assert sql is not None


def test_of_an_error_of_a_library_the_first_line_is_quoted(scopes: Scopes) -> None:
    app = flask.Flask("shop")
    scopes.init_app(app)

    @scopes.request
    def order() -> c.Iterator[None]:
        yield
        raise OSError(f"duplicate key {'x' * 300}\nDETAIL: {SECRET}")

    with pytest.raises(CommitFailed) as raised, scopes.unit(app):
        order()
    text = str(raised.value)
    assert "x" * (200 - len("duplicate key ")) in text
    assert "x" * (201 - len("duplicate key ")) not in text
    assert SECRET not in text


def test_signatures_are_shown_with_their_defaults(
    app: flask.Flask, scopes: Scopes
) -> None:
    @scopes.application
    def database(name: str, *, kind: str = "as in the source") -> str:
        return name

    with app.app_context(), pytest.raises(TypeError, match="as in the source"):
        t.cast(t.Any, database)()


# ---- Data are JSON -------------------------------------------------------------------

RUNS_DATA = {"pickle", "cPickle", "dill", "marshal", "shelve", "yaml", "jsonpickle"}


def imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def called(tree: ast.AST) -> c.Iterator[str]:
    """The names of what is called: of a method, without its object."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id
        # (`re.compile` is another.)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr.replace("compile", "re.compile")


def test_nothing_is_unpickled_and_no_text_is_run() -> None:
    seen = 0
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        seen += 1
        used = RUNS_DATA & imports(tree)
        calls = set(called(tree))
        assert not calls & {"eval", "exec", "compile", "__import__", "system"}, path
        if used:
            # To say that a resource is not to be pickled.
            assert path.name == "recipe.py"
            assert used == {"pickle"}
            assert "PicklingError" in calls
            assert not calls & {"load", "loads", "Unpickler", "dump", "dumps"}
    assert seen > 100


# ---- What is kept --------------------------------------------------------------------


def test_who_may_write_to_the_sessions_is_whoever_they_like(
    app: flask.Flask, scopes: Scopes, tmp_path: pathlib.Path
) -> None:
    app.config["SQLALCHEMY_URL"] = f"sqlite:///{tmp_path}/shop.db"
    sql = SQL(scopes)
    store = SQLStore(sql)
    ServerSessions(scopes, store)

    @app.post("/login/<user>")
    def login(user: str) -> str:
        flask.session["_user_id"] = user
        return ""

    @app.get("/")
    def who() -> str:
        return str(flask.session.get("_user_id"))

    with app.app_context():
        store.create_tables()
    client = app.test_client()
    client.post("/login/mallory", base_url="https://localhost")
    with app.app_context(), sql.engine().begin() as connection:
        table = store.metadata.tables["scopes_session_values"]
        (row,) = connection.execute(sa.select(table)).all()
        assert row.text == '"mallory"'
        connection.execute(table.update().values(text='"ann"'))
    found = client.get("/", base_url="https://localhost").text
    scopes.close(app)

    assert found == "ann"


# ---- Dependencies --------------------------------------------------------------------


def test_the_core_needs_flask_alone_and_each_extra_its_library() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert 'dependencies = ["flask>=3.1"]' in text
    extras = text.split("[project.optional-dependencies]")[1].partition("\n[")[0]
    lines = re.findall(r"^(\w+) = \[(.*)\]", extras, re.M)
    assert {name: entry.count('"') // 2 for name, entry in lines} == {
        **dict.fromkeys(["celery", "mongo", "redis", "session", "sqlalchemy"], 1),
        "login": 2,
    }


def test_the_version_is_what_the_page_says() -> None:
    (shown,) = re.findall(r"This is version (\d+\.\d+), an alpha", PAGE.read_text())
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{shown}.' in text
    assert "3 - Alpha" in text
    pythons = re.findall(r"Python :: (3\.\d+)", text)
    assert f"{pythons[0]} to {pythons[-1]}" in PAGE.read_text().replace("\n", " ")


# ---- The page ------------------------------------------------------------------------


def anchors(page: pathlib.Path) -> set[str]:
    titles = re.findall(r"^#{1,3} (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in titles}


def test_each_promise_has_its_page_and_its_tests() -> None:
    text = PAGE.read_text()
    rows = re.findall(r"^\| (.+?) \| (.+) \| (\[.*) \|$", text, re.M)
    assert len(rows) > 10
    for _, told, seen in rows:
        for file in re.findall(r"\(\.\./(tests/[\w/]+\.py)\)", seen):
            assert "def test_" in (ROOT / file).read_text() or "attacks" in file
        assert "](" in told or told == "here"
    for link, anchor in re.findall(r"\]\(([\w./-]*)#?([\w-]*)\)", text):
        target = PAGE.parent / link if link else PAGE
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), (link, anchor)
