from __future__ import annotations

import collections.abc as c
import importlib
import pathlib
import sys
import typing as t

import flask
import pytest

from flask_scopes.application import Application

Write: t.TypeAlias = c.Callable[..., t.Any]

HEAD = """\
import contextlib, enum, functools, sqlite3, typing as t
from collections.abc import Iterator
from flask import Flask
from flask_scopes import Scopes

app = Flask(__name__)
app.secret_key = "a key for tests"
scopes = Scopes(app)
"""


@pytest.fixture
def home(app: flask.Flask) -> Application:
    return t.cast(Application, app.extensions["scopes"])


@pytest.fixture
def project(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> c.Iterator[Write]:
    """Writes a module, after some imports, and imports it: only files have a source."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    names: list[str] = []

    def write(text: str, name: str = "looked_at", head: str = HEAD) -> t.Any:
        # A file that is written anew within a second has bytecode that seems right.
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        (tmp_path / f"{name}.py").write_text(head + text)
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        names.append(name)
        return importlib.import_module(name)

    yield write
    for name in names:
        sys.modules.pop(name, None)
