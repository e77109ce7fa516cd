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
from jinja2 import DictLoader

from flask_scopes import Scopes
from flask_scopes.sqlalchemy import SQL

from .test_docs import PAGES
from .test_docs import blocks
from .test_docs import module

TEMPLATES = {
    "user/list.html": "{% for user in users %}{{ user.username }} {% endfor %}",
    "user/create.html": "create",
    "user/detail.html": "{{ user.username }}, {{ user.email }}",
    "user/delete.html": "delete {{ user.username }}?",
}


def load(name: str, code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> t.Any:
    monkeypatch.delitem(sys.modules, name, raising=False)
    # Flask-SQLAlchemy looks for the instance folder where the app is set up.
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    (folder / f"{name}.py").write_text(code)
    return importlib.import_module(name)


def theirs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """What the page begins with."""
    made = load("before", module(PAGES[1], "before.py"), folder, monkeypatch)
    with made.app.app_context():
        made.db.create_all()
    return made


def page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """The module of the page's other blocks."""
    before = module(PAGES[1], "before.py")
    code = "\n".join(each for each in blocks(PAGES[1]) if each != before)
    return load("moving", code, folder, monkeypatch)


@pytest.fixture(params=["theirs", "joined", "ours"])
def app(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> c.Iterator[flask.Flask]:
    if request.param == "ours":
        made = page(tmp_path, monkeypatch)
        app: flask.Flask = made.moved
        app.instance_path = str(tmp_path)
        with app.app_context():
            made.Model.metadata.create_all(made.sql.engine())

        def end() -> None:
            made.scopes.close(app)

    else:
        made = theirs(tmp_path, monkeypatch)
        app = made.app
        if request.param == "joined":
            scopes = Scopes(app)
            SQL(scopes).join(made.db)

        def end() -> None:
            with app.app_context():
                made.db.engine.dispose()

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
    made = page(tmp_path, monkeypatch)
    with made.joined.app_context():
        made.db.create_all()
    assert made.joined.test_client().post("/notes/kept").text == "written"
    with made.joined.app_context():
        texts = sa.select(made.Note.text)
        assert made.db.session.scalars(texts).all() == ["kept"]
    with made.joined.app_context():
        made.db.engine.dispose()
    made.scopes.close(made.joined)
