"""What the README shows is run as it stands, on a real MongoDB."""

from __future__ import annotations

import importlib
import pathlib
import re
import sys
import typing as t

import flask
import pytest
from pymongo import MongoClient

README = pathlib.Path(__file__).parent.parent / "README.md"
pytestmark = pytest.mark.mongo


def modules() -> dict[str, str]:
    """The modules in the README, by the name in their first line."""
    blocks = re.findall(r"```python\n(# (\w+)\.py.*?)```", README.read_text(), re.S)
    return {name: code for code, name in blocks}


@pytest.fixture
def create_app(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> t.Callable[..., flask.Flask]:
    for name, code in modules().items():
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return t.cast(
        "t.Callable[..., flask.Flask]", importlib.import_module("app").create_app
    )


def test_the_example(create_app: t.Callable[..., flask.Flask], mongo_uri: str) -> None:
    app = create_app(MONGO_URI=mongo_uri)
    resources: t.Any = sys.modules["resources"]

    @app.after_request
    def fail(response: flask.Response) -> flask.Response:
        if "fail" in flask.request.args:
            raise LookupError
        return response

    client = app.test_client()
    assert client.post("/posts/kept?tenant=ann").text == "written"
    assert client.post("/posts/lost?tenant=ann&fail=1").status_code == 500
    assert client.post("/posts/other?tenant=bob").text == "written"

    with MongoClient[dict[str, t.Any]](mongo_uri) as mongo:
        titles = {
            name: mongo[name].posts.distinct("title")
            for name in mongo.list_database_names()
            if name.startswith("blog_")
        }
    assert titles == {"blog_ann": ["kept"], "blog_bob": ["other"]}
    with app.app_context():
        shared = resources.mongo()
    assert repr(resources.mongo).startswith("<bound method mongo of <application")
    resources.scopes.close(app)
    with pytest.raises(Exception, match="after close"):
        shared.admin.command("ping")


def test_the_example_is_short() -> None:
    lines = [line for code in modules().values() for line in code.splitlines()]
    assert len([line for line in lines if line.strip()]) <= 40
    assert max(map(len, lines)) <= 88


def test_there_are_two_commands_and_links_that_lead_somewhere() -> None:
    text = README.read_text()
    commands = re.findall(r"^make (\w+)", text, re.M)
    assert commands == ["demo", "test"]
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (README.parent / link).exists(), link
