"""What Flask-PyMongo's documentation shows, as it is there and as it is ported."""

from __future__ import annotations

import collections.abc as c
import io
import secrets
import typing as t

import bson
import flask
import pytest
from flask_pymongo import PyMongo
from pymongo import MongoClient

from flask_scopes import Scopes
from flask_scopes.mongo import Mongo
from flask_scopes.mongo import ObjectIdConverter
from flask_scopes.mongo import one_or_404
from flask_scopes.mongo import save_file
from flask_scopes.mongo import send_file

from .test_docs import PAGES
from .test_docs import blocks

pytestmark = pytest.mark.mongo

USER = bson.ObjectId("65a1" * 6)
PAGE = "{% for user in users %}{{ user._id }} {% endfor %}"


@pytest.fixture
def uri(mongo_uri: str) -> c.Iterator[str]:
    name = f"port_{secrets.token_hex(4)}"
    with MongoClient[t.Any](mongo_uri) as client:
        users = client[name].users
        users.insert_many([{"_id": "ann", "online": True}, {"_id": "ben"}])
        client[name].tasks.insert_one({"_id": USER, "text": "port it"})
        client[name].carts.insert_many([{"item": "egg"}, {"item": "apple"}])
        yield mongo_uri.replace("/?", f"/{name}?")
        client.drop_database(name)


@pytest.fixture
def theirs(uri: str) -> c.Iterator[flask.Flask]:
    """As it stands in the documentation of Flask-PyMongo."""
    app = flask.Flask("theirs")
    app.config["MONGO_URI"] = uri
    mongo: t.Any = PyMongo(app)

    @app.get("/")
    def home_page() -> str:
        online_users = mongo.db.users.find({"online": True})
        return flask.render_template_string(PAGE, users=online_users)

    @app.get("/user/<username>")
    def user_profile(username: str) -> str:
        user = mongo.db.users.find_one_or_404({"_id": username})
        return flask.render_template_string("{{ user._id }}", user=user)

    @app.get("/task/<ObjectId:task_id>")
    def show_task(task_id: bson.ObjectId) -> str:
        task = mongo.db.tasks.find_one_or_404(task_id)
        return flask.render_template_string("{{ task.text }}", task=task)

    @app.get("/cart")
    def json_route() -> flask.Response:
        return flask.jsonify(mongo.db.carts.find({}, {"_id": 0}))

    @app.get("/task.json")
    def json_id() -> flask.Response:
        return flask.jsonify(mongo.db.tasks.find_one())

    @app.get("/uploads/<path:filename>")
    def get_upload(filename: str) -> flask.Response:
        return t.cast(flask.Response, mongo.send_file(filename))

    @app.post("/uploads/<path:filename>")
    def save_upload(filename: str) -> t.Any:
        mongo.save_file(filename, flask.request.files["file"])
        return flask.redirect(flask.url_for("get_upload", filename=filename))

    @app.post("/decoded")
    def decoded() -> str:
        return type(flask.request.get_json()["id"]).__name__

    yield app
    mongo.cx.close()


@pytest.fixture
def ours(uri: str) -> c.Iterator[flask.Flask]:
    """The same after the table."""
    app = flask.Flask("ours")
    app.config["MONGO_URI"] = uri
    app.url_map.converters["ObjectId"] = ObjectIdConverter
    scopes = Scopes(app)
    mongo = Mongo(scopes)
    db = mongo.database()

    @app.get("/")
    def home_page() -> str:
        online_users = db().users.find({"online": True})
        return flask.render_template_string(PAGE, users=online_users)

    @app.get("/user/<username>")
    def user_profile(username: str) -> str:
        user = one_or_404(db().users, {"_id": username})
        return flask.render_template_string("{{ user._id }}", user=user)

    @app.get("/task/<ObjectId:task_id>")
    def show_task(task_id: bson.ObjectId) -> str:
        task = one_or_404(db().tasks, task_id)
        return flask.render_template_string("{{ task.text }}", task=task)

    @app.get("/cart")
    def json_route() -> flask.Response:
        return flask.jsonify(list(db().carts.find({}, {"_id": 0})))

    @app.get("/task.json")
    def json_id() -> flask.Response:
        return flask.jsonify(db().tasks.find_one())

    @app.get("/uploads/<path:filename>")
    def get_upload(filename: str) -> flask.Response:
        return send_file(db(), filename)

    @app.post("/uploads/<path:filename>")
    def save_upload(filename: str) -> t.Any:
        save_file(db(), filename, flask.request.files["file"])
        return flask.redirect(flask.url_for("get_upload", filename=filename))

    @app.post("/decoded")
    def decoded() -> str:
        return type(flask.request.get_json()["id"]).__name__

    yield app
    scopes.close(app)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/user/ann", 200),
        ("/user/nobody", 404),
        (f"/task/{USER}", 200),
        (f"/task/{'0' * 24}", 404),
        ("/task/nonsense", 404),
        ("/uploads/none", 404),
    ],
)
def test_pages_are_the_same(
    theirs: flask.Flask, ours: flask.Flask, path: str, status: int
) -> None:
    before, after = (app.test_client().get(path) for app in (theirs, ours))
    assert (after.status_code, after.text) == (before.status_code, before.text)
    assert after.status_code == status


def test_json_has_ids_as_text(theirs: flask.Flask, ours: flask.Flask) -> None:
    before, after = (app.test_client() for app in (theirs, ours))
    cart = [{"item": "egg"}, {"item": "apple"}]
    assert before.get("/cart").json == after.get("/cart").json == cart
    oid = {"$oid": str(USER)}
    plain = flask.json.loads
    assert plain(before.get("/task.json").text) == {"_id": oid, "text": "port it"}
    assert plain(after.get("/task.json").text) == {"_id": str(USER), "text": "port it"}


def test_json_of_clients_is_not_decoded(theirs: flask.Flask, ours: flask.Flask) -> None:
    sent = f'{{"id": {{"$oid": "{USER}"}}}}'
    said = [
        app.test_client().post("/decoded", data=sent, content_type="application/json")
        for app in (theirs, ours)
    ]
    assert [answer.text for answer in said] == ["ObjectId", "dict"]


def test_files_are_the_same_but_private(theirs: flask.Flask, ours: flask.Flask) -> None:
    """Those that either has saved, sent by both."""
    before, after = (app.test_client() for app in (theirs, ours))
    for client, name in ((before, "theirs.png"), (after, "ours.png")):
        form = {"file": (io.BytesIO(b"content"), name)}
        answer = client.post(f"/uploads/{name}", data=form)
        assert answer.location == f"/uploads/{name}"
        for each in (before, after):
            answer = each.get(f"/uploads/{name}")
            assert answer.data == b"content"
            assert answer.mimetype == "image/png"
            etag = {"If-None-Match": answer.headers["ETag"]}
            assert each.get(f"/uploads/{name}", headers=etag).status_code == 304
    old, new = (each.get("/uploads/ours.png").headers for each in (before, after))
    assert old["Cache-Control"] == "max-age=31536000, public"
    assert new["Cache-Control"] == "private, no-cache"
    assert old["Content-Disposition"].startswith("attachment")
    assert new["Content-Disposition"].startswith("inline")


SHOWN = "mongodb://localhost:27017/tasks"


def run(codes: list[str], uri: str) -> dict[str, t.Any]:
    """Blocks of the page as one module, on a real MongoDB."""
    code = "\n".join(codes)
    assert SHOWN in code
    names: dict[str, t.Any] = {"__name__": "tasks"}
    exec(code.replace(SHOWN, uri), names)
    return names


@pytest.fixture
def before(uri: str) -> c.Iterator[flask.Flask]:
    names = run(blocks(PAGES[1])[:1], uri)
    yield names["app"]
    names["mongo"].cx.close()


@pytest.fixture
def page(uri: str) -> c.Iterator[dict[str, t.Any]]:
    """What is after it."""
    names = run(blocks(PAGES[1])[1:], uri)
    yield names
    names["old"].cx.close()
    names["scopes"].close(names["app"])
    names["shared"].close(names["both"])


def test_the_page_is_run(before: flask.Flask, page: dict[str, t.Any]) -> None:
    for app, is_text in ((before, False), (page["app"], True)):
        client = app.test_client()
        told = flask.json.loads(client.get(f"/tasks/{USER}").text)
        user_id = str(USER) if is_text else {"$oid": str(USER)}
        assert told == {"_id": user_id, "text": "port it"}
        assert client.get(f"/tasks/{'0' * 24}").status_code == 404
        form = {"file": (io.BytesIO(b"content"), "a.txt")}
        assert client.post("/uploads/a.txt", data=form).status_code == 302
        assert client.get("/uploads/a.txt").data == b"content"


def test_both_are_one_client(page: dict[str, t.Any]) -> None:
    with page["both"].app_context():
        assert page["tasks"]().client is page["old"].cx
    page["both"].add_url_rule("/", view_func=lambda: flask.jsonify(USER))
    answer = page["both"].test_client().get("/")
    assert answer.text == f'{{"$oid": "{USER}"}}'


def test_the_old_format_of_json(uri: str) -> None:
    from bson import json_util

    app = flask.Flask("shop")
    provider: t.Any = app.json
    provider.default = json_util.default
    scopes = Scopes(app)
    Mongo(scopes)
    with app.app_context():
        assert flask.json.dumps(USER) == f'{{"$oid": "{USER}"}}'
