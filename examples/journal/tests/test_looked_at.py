"""The inspector is there while the journal is developed, and not in production."""

import re
from pathlib import Path

import pytest
from flask import Flask

from flask_scopes.checks import assert_production_ready
from flask_scopes.checks import findings

from .conftest import MakeApp
from .conftest import Visitor


def test_it_is_ready_for_production(app: Flask) -> None:
    assert_production_ready(app)


def test_nothing_is_found_in_it(app: Flask) -> None:
    assert findings(app) == []


def test_the_page_shows_what_the_command_draws(app: Flask) -> None:
    page = Path(__file__, "../../../../docs/seeing-lifetimes.md").resolve().read_text()
    shown = page.partition("$ flask scopes graph entries\n")[2].partition("```")[0]
    drawn = app.test_cli_runner().invoke(args=["scopes", "graph", "entries"]).output

    def without_lines(text: str) -> list[str]:
        return re.sub(r"\S*(resources\.py):\d+", r"\1", text).split()

    assert without_lines(shown) == without_lines(drawn)


@pytest.mark.mongo
def test_each_request_can_be_looked_at(make_app: MakeApp) -> None:
    app = make_app(DEBUG=True)
    tomasz = Visitor(app)
    tomasz.sign_in("tomasz")
    link = tomasz.post("/entries/new", text="Looked at").headers["X-Scopes"]
    page = tomasz.get(link.removeprefix("http://localhost")).text
    for name in ("current_user", "entries", "audit", "mongo.client", "committed"):
        assert name in page
    assert "Looked at" not in page
    with pytest.raises(AssertionError, match="inspector"):
        assert_production_ready(app)
