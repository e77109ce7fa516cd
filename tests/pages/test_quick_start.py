"""The quick start is followed to the letter: what is typed, and what is answered."""

from __future__ import annotations

import collections.abc as c
import re
import shlex
import subprocess
import sys
import typing as t
from pathlib import Path

import flask
import pytest
from flask.testing import FlaskClient

from flask_scopes import Scopes

from .page import Page
from .page import load


@pytest.fixture
def page() -> Page:
    return Page("quick-start")


@pytest.fixture
def app(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> c.Iterator[flask.Flask]:
    """The page's, as `flask run --debug` has it."""
    monkeypatch.setenv("FLASK_DEBUG", "1")
    page.write(tmp_path, monkeypatch)
    app = t.cast(flask.Flask, load("app").app)
    yield app
    scopes: Scopes = load("resources").scopes
    scopes.close(app)


@pytest.fixture
def typed(page: Page) -> list[tuple[list[str], str]]:
    """Each command, and what is below it up to the next."""
    return [
        (shlex.split(command), answer)
        for block in page.blocks("console")
        for command, answer in re.findall(r"^\$ (.+)\n((?:[^$].*\n|\n)*)", block, re.M)
    ]


def answer(command: list[str], app: flask.Flask, jar: FlaskClient) -> str:
    """What curl would print."""
    client = jar if "jar" in command else app.test_client()
    method = command[command.index("-X") + 1] if "-X" in command else "GET"
    response = client.open(command[-1].removeprefix(ROOT), method=method)
    if "-w" in command:
        return f"{response.status_code}\n"
    return response.text


ROOT = "http://127.0.0.1:5000"


def test_what_curl_prints(app: flask.Flask, typed: list[tuple[list[str], str]]) -> None:
    jar = app.test_client()
    requests = [(command, said) for command, said in typed if command[0] == "curl"]
    assert len(requests) == 7
    for command, said in requests:
        assert answer(command, app, jar) == said, command


def test_each_step_runs_before_the_next_is_there(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {1: ["/"], 2: ["/", "/notes"], 3: ["/", "/notes"]}
    text = page.text
    for step, paths in expected.items():
        page.text = text[: text.index(f"## {step + 1}. ")]
        page.write(tmp_path, monkeypatch)
        app, scopes = load("app").app, load("resources").scopes
        for path in paths:
            assert app.test_client().get(path).status_code == 200
        scopes.close(app)


def test_the_test(
    page: Page, typed: list[tuple[list[str], str]], tmp_path: Path
) -> None:
    for file, code in page.modules().items():
        (tmp_path / file).write_text(code)
    ((command, said),) = [each for each in typed if each[0][0] == "pytest"]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert said.strip() in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "notes.db").exists()


def test_the_inspector_and_the_graph(
    app: flask.Flask, typed: list[tuple[list[str], str]]
) -> None:
    app.test_client().post("/notes/secret")
    listed = app.test_client().get("/_scopes/").text
    assert "/notes/secret" in listed
    assert "rolled back" in listed
    ((command, said),) = [each for each in typed if each[0][:2] == ["flask", "scopes"]]
    assert app.test_cli_runner().invoke(args=command[1:]).output == said


def test_what_is_installed(typed: list[tuple[list[str], str]]) -> None:
    ((command, _),) = [each for each in typed if each[0][0] == "pip"]
    assert command[1:] == ["install", "../Flask-Scopes[session]", "pytest"]


def test_the_page_is_in_order(page: Page) -> None:
    page.check()
