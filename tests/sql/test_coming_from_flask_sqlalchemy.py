"""The quick start of Flask-SQLAlchemy: as it is there, joined, and ported."""

from __future__ import annotations

import collections.abc as c
import importlib
import sys
import typing as t
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from jinja2 import DictLoader
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column

from flask_scopes import Scopes
from flask_scopes.sqlalchemy import SQL

from .test_docs import PAGES
from .test_docs import blocks

TEMPLATES = {
    "user/list.html": "{% for user in users %}{{ user.username }} {% endfor %}",
    "user/create.html": "create",
    "user/detail.html": "{{ user.username }}, {{ user.email }}",
    "user/delete.html": "delete {{ user.username }}?",
}


def theirs(url: str) -> tuple[flask.Flask, SQLAlchemy]:
    """As its documentation has it."""

    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)
    app = flask.Flask("theirs")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)

    class User(db.Model):  # type: ignore[name-defined,misc]  # made at run time
        id: Mapped[int] = mapped_column(primary_key=True)
        username: Mapped[str] = mapped_column(unique=True)
        email: Mapped[str]

    users: t.Any = User

    @app.route("/users")
    def user_list() -> str:
        query = db.select(users).order_by(users.username)
        found = db.session.execute(query).scalars()
        return flask.render_template("user/list.html", users=found)

    @app.route("/users/create", methods=["GET", "POST"])
    def user_create() -> t.Any:
        if flask.request.method == "POST":
            form = flask.request.form
            user = users(username=form["username"], email=form["email"])
            db.session.add(user)
            db.session.commit()
            return flask.redirect(flask.url_for("user_detail", id=user.id))
        return flask.render_template("user/create.html")

    @app.route("/user/<int:id>")
    def user_detail(id: int) -> str:  # noqa: A002  # as it is there
        user = db.get_or_404(users, id)
        return flask.render_template("user/detail.html", user=user)

    @app.route("/user/<int:id>/delete", methods=["GET", "POST"])
    def user_delete(id: int) -> t.Any:  # noqa: A002  # the same
        user = db.get_or_404(users, id)
        if flask.request.method == "POST":
            db.session.delete(user)
            db.session.commit()
            return flask.redirect(flask.url_for("user_list"))
        return flask.render_template("user/delete.html", user=user)

    with app.app_context():
        db.create_all()
    return app, db


def page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """The module of the page's blocks."""
    monkeypatch.delitem(sys.modules, "moving", raising=False)
    # Flask-SQLAlchemy looks for the instance folder where the app is set up.
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    (folder / "moving.py").write_text("\n".join(blocks(PAGES[1])))
    return importlib.import_module("moving")


@pytest.fixture(params=["theirs", "joined", "ours"])
def app(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> c.Iterator[flask.Flask]:
    if request.param == "ours":
        module = page(tmp_path, monkeypatch)
        app: flask.Flask = module.moved
        app.instance_path = str(tmp_path)
        with app.app_context():
            module.Model.metadata.create_all(module.sql.engine())

        def end() -> None:
            module.scopes.close(app)

    else:
        app, db = theirs(f"sqlite:///{tmp_path}/users.db")
        if request.param == "joined":
            scopes = Scopes(app)
            SQL(scopes).join(db)

        def end() -> None:
            with app.app_context():
                db.engine.dispose()

    app.jinja_loader = DictLoader(TEMPLATES)
    yield app
    end()


def test_the_quick_start(app: flask.Flask) -> None:
    client = app.test_client()
    assert client.get("/users").text == ""
    assert client.get("/users/create").text == "create"
    for name in ("zoe", "ann"):
        form = {"username": name, "email": f"{name}@example.org"}
        assert client.post("/users/create", data=form).status_code == 302
    assert client.get("/users").text == "ann zoe "
    assert client.get("/user/1").text == "zoe, zoe@example.org"
    assert client.get("/user/3").status_code == 404
    assert client.get("/user/1/delete").text == "delete zoe?"
    assert client.post("/user/1/delete").location == "/users"
    assert client.get("/users").text == "ann "
    taken = {"username": "ann", "email": ""}
    assert client.post("/users/create", data=taken).status_code == 500
    assert client.get("/users").text == "ann "


def test_the_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = page(tmp_path, monkeypatch)
    with module.joined.app_context():
        module.db.create_all()
    assert module.joined.test_client().post("/notes/kept").text == "written"
    with module.joined.app_context():
        texts = sa.select(module.Note.text)
        assert module.db.session.scalars(texts).all() == ["kept"]
    with module.joined.app_context():
        module.db.engine.dispose()
    module.scopes.close(module.joined)
