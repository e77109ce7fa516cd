"""What the README shows is run as it stands, on a real MongoDB."""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
import re
import secrets
import sys
import typing as t

import flask
import pytest
from pymongo import MongoClient
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_scopes import Scopes
from flask_scopes.login import Login
from flask_scopes.login.sql import AccountColumns
from flask_scopes.login.sql import SQLRecords
from flask_scopes.login.sql import SQLUsers
from flask_scopes.mongo import Mongo
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions.mongo import MongoStore
from flask_scopes.sessions.sql import SQLStore
from flask_scopes.sqlalchemy import SQL

README = pathlib.Path(__file__).parent.parent / "README.md"
pytestmark = pytest.mark.mongo


@dataclasses.dataclass
class Cart:
    lines: list[str] = dataclasses.field(default_factory=list[str])


def modules() -> dict[str, str]:
    """The modules in the README, by the name in their first line."""
    blocks = re.findall(r"```python\n(# (\w+)\.py.*?)```", README.read_text(), re.S)
    return {name: code for code, name in blocks}


@pytest.fixture
def app(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> flask.Flask:
    for name, code in modules().items():
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return t.cast(flask.Flask, importlib.import_module("app").app)


def test_the_example(app: flask.Flask) -> None:
    resources: t.Any = sys.modules["resources"]

    @app.after_request
    def fail(response: flask.Response) -> flask.Response:
        if "fail" in flask.request.args:
            raise LookupError
        return response

    client = app.test_client()
    assert client.post("/posts/kept").text == "written"
    assert client.post("/posts/lost?fail=1").status_code == 500
    assert client.post("/posts/other").text == "written"

    with app.app_context():
        uri = resources.server()
        shared = resources.mongo()
    with MongoClient[dict[str, t.Any]](uri) as mongo:
        assert mongo.blog.posts.distinct("title") == ["kept", "other"]
    resources.scopes.close(app)
    with pytest.raises(Exception, match="after close"):
        shared.admin.command("ping")


def test_the_example_in_a_test(app: flask.Flask, mongo_uri: str) -> None:
    resources: t.Any = sys.modules["resources"]

    with resources.server.override(mongo_uri):
        assert app.test_client().post("/posts/hello").text == "written"
    resources.scopes.close(app)

    assert not pathlib.Path("instance").exists()
    with MongoClient[dict[str, t.Any]](mongo_uri) as mongo:
        assert mongo.blog.posts.distinct("title") == ["hello"]


def test_the_example_of_mongodb(mongo_uri: str) -> None:
    (block,) = re.findall(r"```python\n(mongo = Mongo.*?)```", README.read_text(), re.S)
    app = flask.Flask("shop")
    prefix = f"readme_{secrets.token_hex(4)}_"
    app.config.from_mapping(MONGO_URI=mongo_uri, MONGO_BINDS={"logs": mongo_uri})
    app.config["MONGO_DATABASE_PREFIX"] = prefix
    scopes = Scopes(app)
    names: dict[str, t.Any] = {"app": app, "scopes": scopes, "Mongo": Mongo}
    names["current_user"] = lambda: 7
    exec(block, names)

    @app.after_request
    def fail(response: flask.Response) -> flask.Response:
        response.status_code = flask.request.args.get("status", 200, int)
        return response

    client = app.test_client()
    client.post("/posts/kept")
    client.post("/posts/lost?status=500")
    with app.app_context():
        assert names["blog"]().posts.distinct("title") == ["kept"]
        assert names["journal"]().notes.distinct("wrote") == ["kept"]
        assert names["logs"]().client is names["blog"]().client
        for name in ("blog", "journal_7"):
            names["mongo"].client().drop_database(prefix + name)
    scopes.close(app)


def test_the_example_of_sessions(mongo_uri: str) -> None:
    (block,) = re.findall(r"```python\n(sessions = .*?)```", README.read_text(), re.S)
    app = flask.Flask("shop")
    app.secret_key = "a key for tests"
    app.config["MONGO_URI"] = mongo_uri
    app.config["MONGO_DATABASE_PREFIX"] = f"readme_{secrets.token_hex(4)}_"
    scopes = Scopes()
    mongo = Mongo(scopes)
    names: dict[str, t.Any] = {"app": app, "scopes": scopes, "mongo": mongo}
    names |= {"ServerSessions": ServerSessions, "MongoStore": MongoStore}
    names |= {"Cart": Cart, "session": flask.session}
    exec(block, names)
    scopes.init_app(app)

    @app.post("/login/<user>")
    def login(user: str) -> str:
        flask.session["_user_id"] = user
        return "in"

    @app.get("/")
    def show() -> dict[str, t.Any]:
        user = flask.session.get("_user_id")
        return {"user": user, "cart": names["cart"]().lines}

    one, two, three = app.test_client(), app.test_client(), app.test_client()
    for client, user in [(one, "ann"), (two, "ann"), (three, "ben")]:
        client.post("/cart/tea")
        client.post(f"/login/{user}")
        client.post("/cart/milk")
    one.post("/password")

    lines = ["tea", "milk"]
    assert one.get("/").json == {"user": "ann", "cart": lines}
    assert two.get("/").json == {"user": None, "cart": []}
    assert three.get("/").json == {"user": "ben", "cart": lines}
    with app.app_context():
        store: t.Any = names["sessions"].store
        mongo.client().drop_database(store.database().name)
    scopes.close(app)


def test_the_example_of_signing_in(tmp_path: pathlib.Path) -> None:
    (block,) = re.findall(r"```python\n(login = .*?)```", README.read_text(), re.S)
    app = flask.Flask("shop")
    app.secret_key = "a key for tests"
    app.config["SCOPES_SESSION_SECURE"] = False
    app.config["SQLALCHEMY_URL"] = f"sqlite:///{tmp_path}/shop.db"
    scopes = Scopes()
    sql = SQL(scopes)

    class Base(DeclarativeBase):
        pass

    class User(AccountColumns, Base):
        __tablename__ = "users"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]
        is_active = is_authenticated = True

        def get_id(self) -> str:
            return str(self.id)

        @staticmethod
        def get(user_id: str) -> User | None:
            return sql.session().get(User, int(user_id))

    users, store = SQLUsers(sql, User), SQLStore(sql)
    records = SQLRecords(scopes, sql)
    names: dict[str, t.Any] = {"app": app, "scopes": scopes, "Login": Login}
    names |= {"users": users, "records": records, "User": User}
    names |= {"sessions": ServerSessions(scopes, store), "request": flask.request}
    exec(block, names)
    scopes.init_app(app)
    with app.app_context():
        Base.metadata.create_all(sql.engine())
        store.create_tables()
        records.create_tables()
        hashed = names["login"].passwords.hash("correct horse")
        users.add("ann@example.org", hashed, name="Ann")

    client = app.test_client()
    form = {"email": "Ann@example.org", "password": "correct horse"}
    wrong = client.post("/sign-in", data={**form, "password": "a guess"})
    assert (wrong.status_code, wrong.text) == (401, "That does not go together.")
    assert client.post("/sign-in", data=form).text == "Hello Ann"
    scopes.close(app)


def test_the_example_is_short() -> None:
    lines = [line for code in modules().values() for line in code.splitlines()]
    assert len([line for line in lines if line.strip()]) <= 42
    assert max(map(len, lines)) <= 88


def test_there_are_two_commands_and_links_that_lead_somewhere() -> None:
    text = README.read_text()
    commands = re.findall(r"^make (\w+)", text, re.M)
    assert commands == ["demo", "test"]
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (README.parent / link).exists(), link
