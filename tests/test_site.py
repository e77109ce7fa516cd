"""The site of the documentation: what Sphinx does not see itself.

That links and anchors lead somewhere, and that each page can be found, is checked where
it is built: any warning ends ``make docs``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
import re
import sqlite3
import textwrap
import typing as t

import flask
import pytest

import flask_scopes
from flask_scopes import Resource
from flask_scopes import Scopes
from flask_scopes.options import Options

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
API = "".join(page.read_text() for page in DOCS.glob("api/*.md"))
CODE = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
TESTS = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}

Block = tuple[str, str]
KINDS = {"", "console", "html", "ini", "json", "python", "text", "toml"}
# Flask has it no more, so what calls it cannot be run.
REMOVED = "@app.before_first_request"
# Of which a page is made, and which show nothing.
DIRECTIVES = {"{eval-rst}", "{include}", "{toctree}"}


def blocks(page: pathlib.Path) -> list[Block]:
    """What is fenced on a page, each with what it is said to be."""
    found = re.findall(
        r"^( *)```(\S*)[^\n]*\n(.*?)^ *```$", page.read_text(), re.S | re.M
    )
    return [(kind, textwrap.dedent(text)) for _, kind, text in found]


def with_code() -> list[pathlib.Path]:
    return [page for page in PAGES if any(kind == "python" for kind, _ in blocks(page))]


def does_something(text: str) -> bool:
    """Whether *text* is Python, and more than words that are that as well."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return False
    return any(not isinstance(each, ast.Expr) for each in body)


# ---- Code on pages -------------------------------------------------------------------


@pytest.mark.parametrize("page", with_code(), ids=lambda page: page.stem)
def test_the_code_of_a_page_is_run(page: pathlib.Path) -> None:
    """By a module of tests that names the page, and takes its blocks."""
    named = re.compile(rf"""["/]{page.stem}(\.md)?["]""")
    takes = re.compile(r"```python|\b(blocks|Page)\(")
    assert [
        path
        for path, text in TESTS.items()
        if named.search(text) and takes.search(text)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_python_says_so_and_nothing_else_does(page: pathlib.Path) -> None:
    for kind, text in blocks(page):
        assert kind in KINDS | DIRECTIVES
        if kind == "python":
            ast.parse(text)
            assert max(map(len, text.splitlines())) <= 92
        elif kind not in DIRECTIVES:
            assert not does_something(text) or REMOVED in text, text


def test_the_front_page(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((_, code),) = [each for each in blocks(DOCS / "index.md") if each[0] == "python"]
    names: dict[str, t.Any] = {"__name__": "app"}
    monkeypatch.chdir(tmp_path)
    database = sqlite3.connect("shop.db", isolation_level=None)
    database.execute("CREATE TABLE orders (item)")
    exec(code, names)

    @names["app"].after_request  # type: ignore[untyped-decorator]  # of any type
    def fail(response: flask.Response) -> flask.Response:
        response.status_code = flask.request.args.get("status", 200, int)
        return response

    client = names["app"].test_client()
    assert client.post("/orders/tea").text == "ordered"
    client.post("/orders/milk?status=500")
    assert database.execute("SELECT item FROM orders").fetchall() == [("tea",)]
    database.close()
    names["scopes"].close(names["app"])


# ---- The reference -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".mongo", ".sqlalchemy", ".sessions", ".login"])
def test_all_that_is_public_is_in_the_reference(name: str) -> None:
    package: t.Any = importlib.import_module(f"flask_scopes{name}")
    shown = re.findall(r"\.\. (?:auto\w+|data):: ([\w.]+)", API)
    assert set(package.__all__) <= {each.rpartition(".")[2] for each in shown}


@pytest.mark.parametrize("kind", [Scopes, Resource])
def test_all_methods_are_in_the_reference(kind: type) -> None:
    _, _, rest = API.partition(f".. autoclass:: {kind.__name__}\n")
    own = rest.partition("\n.. ")[0].partition("```")[0]
    shown = re.findall(r"\.\. (?:auto)?method:: (\w+)", own)
    methods = [name for name, _ in inspect.getmembers(kind, inspect.isfunction)]
    assert {each for each in methods if each[0] != "_"} == {*shown} - {"__call__"}


def test_the_options_of_application_resources_are_in_the_reference() -> None:
    # Sphinx sees **options, so they are written out there.
    (shown,) = re.findall(r"automethod:: application\((.*)\)", API)
    options = inspect.signature(Options).parameters
    assert re.findall(r"(\w+)=", shown) == ["factory", *options]
    for name, option in options.items():
        (default,) = re.findall(rf"{name}=([^,]+)", shown)
        assert str(option.default) in default.replace("math.", "")


# ---- Settings ------------------------------------------------------------------------


def settings() -> dict[str, str]:
    """The keys that the page has, and their defaults."""
    text = (DOCS / "configuration.md").read_text().partition("\n## ")[0]
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", text, re.M))


def test_the_table_of_settings_has_all_that_is_read() -> None:
    ours = r'"((?:MONGO|REDIS|SCOPES|SQLALCHEMY)_[A-Z_]+)"'
    assert set(settings()) == {key for text in CODE for key in re.findall(ours, text)}


def test_settings_of_others_are_those_that_are_read() -> None:
    text = (DOCS / "configuration.md").read_text()
    theirs = r'["`](REMEMBER_COOKIE_[A-Z]+|SECRET_KEY\w*|MAX_COOKIE_SIZE)["`]'
    read = {key for code in CODE for key in re.findall(theirs, code)}
    assert set(re.findall(theirs, text)) == read


def test_the_defaults_are_those_of_the_code() -> None:
    pytest.importorskip("pymongo")
    from flask_scopes.mongo import settings as mongo

    app = flask.Flask("shop")
    flask_scopes.Scopes(app)
    table = settings()
    assert table["SCOPES_CLOSE_TIMEOUT"] == f"`{app.config['SCOPES_CLOSE_TIMEOUT']}`"
    assert table["MONGO_SLOW_MS"] == f"`{mongo.SLOW_MS:.0f}`"
    limits = f"`{mongo.SET_SECONDS:.0f}`, or `{mongo.SINGLE_SECONDS:.0f}` for a single"
    assert table["MONGO_REQUEST_TIMEOUT"].startswith(limits)
    only = {"MONGO_URI": "mongodb://db.example"}
    assert mongo.request_seconds(only, debug=False) == mongo.SINGLE_SECONDS
    assert mongo.request_seconds(only, debug=True) is None
