"""Each line of the table in "What is checked" is brought about, and is as it says."""

from __future__ import annotations

import pathlib
import re
import sys
import typing as t

import flask
import flask.globals
import pytest

from flask_scopes import Scopes
from flask_scopes.lookup import find

from .check_cases import EXAMPLES
from .check_cases import SEEN
from .check_cases import raised

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "checks.md"
Row = tuple[str, str, str]


def rows() -> list[Row]:
    """When, what, and what happens otherwise."""
    lines = re.findall(r"^\| (.+) \|$", PAGE.read_text(), re.M)[1:]
    return [t.cast(Row, tuple(line.split(" | ")[:3])) for line in lines]


RAISED = [row for row in rows() if row[1] in EXAMPLES]


@pytest.mark.parametrize("row", RAISED, ids=lambda row: row[1][:40])
def test_a_check_raises_what_the_table_says(row: Row) -> None:
    _, what, happens = row
    for use in EXAMPLES[what]:
        assert happens.strip("`") in raised(use), use


@pytest.mark.parametrize("row", [row for row in rows() if row[1] in SEEN], ids=str)
def test_a_check_does_what_the_table_says(
    row: Row,
    app: flask.Flask,
    scopes: Scopes,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert SEEN[row[1]](app, scopes) == row[2]


def test_there_is_an_example_of_each_line_and_a_line_for_each() -> None:
    assert {row[1] for row in rows()} == EXAMPLES.keys() | SEEN.keys()


def test_a_warm_call_is_asked_nothing(app: flask.Flask, scopes: Scopes) -> None:
    """But for what a factory asks for, and for a look at the clock."""

    @scopes.request
    def order() -> str:
        return "order"

    @scopes.application
    def table() -> str:
        return "table"

    @scopes.application(check=bool, every=60)
    def checked() -> str:
        return "checked"

    entered: list[str] = []

    def profile(frame: t.Any, event: str, value: object) -> None:
        if event == "call":
            entered.append(frame.f_code.co_name)

    with app.test_request_context():
        for each in (order, table, checked):
            each()
            each()
            sys.setprofile(profile)
            each()
            sys.setprofile(None)
    assert entered == ["call", "call", "call"]


def test_a_call_that_is_not_warm_is_looked_for(
    app: flask.Flask, scopes: Scopes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Session objects, and request objects where requests share a context."""
    found: list[str] = []

    def noted(recipe: t.Any, *given: t.Any) -> object:
        found.append(recipe.name)
        return find(recipe, *given)

    @scopes.session
    def cart() -> list[str]:
        return []

    @scopes.request
    def order() -> str:
        return "order"

    with app.test_request_context():
        cart()
        monkeypatch.setattr("flask_scopes.resource.find", noted)
        cart()
        monkeypatch.undo()
    with scopes.unit(app):
        order()
        monkeypatch.setattr("flask_scopes.resource.find", noted)
        order()
        monkeypatch.undo()
    with app.app_context(), app.test_request_context():
        order()
        monkeypatch.setattr("flask_scopes.resource.find", noted)
        order()
        monkeypatch.undo()
    has_two_kinds = hasattr(flask.globals, "_cv_request")
    assert found == (["cart", "order"] if has_two_kinds else ["cart"])
