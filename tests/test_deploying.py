"""What "Deploying" shows and says is run."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import typing as t

import flask
import pytest

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "deploying.md"


@pytest.fixture
def folder(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> t.Iterator[pathlib.Path]:
    """The files that the page shows, by the name in their first line."""
    blocks = re.findall(
        r"```python\n *# ([\w.]+\.py)\n(.*?)```", PAGE.read_text(), re.S
    )
    for name, code in blocks:
        (tmp_path / name).write_text(textwrap.dedent(code))
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in tmp_path.glob("*.py"):
        sys.modules.pop(name.stem, None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(300):
        assert process.poll() is None
        try:
            get(port, "/healthz")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError


def start(folder: pathlib.Path, *command: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def add(folder: pathlib.Path, line: str, before: str = "", after: str = "") -> None:
    shop = folder / "shop.py"
    assert line in shop.read_text()
    shop.write_text(shop.read_text().replace(line, before + line + after))


GUNICORN = ["-m", "gunicorn", "--no-control-socket"]


@pytest.mark.mongo
@pytest.mark.server
def test_the_app_behind_gunicorn(folder: pathlib.Path, mongo_uri: str) -> None:
    port = free_port()
    bind = ["--bind", f"127.0.0.1:{port}"]
    with start(folder, *GUNICORN, *bind, MONGO_URI=mongo_uri) as process:
        try:
            wait_for(port, process)
            # Eager: nobody has used it yet.
            status, text = get(port, "/readyz")
            (mongo,) = json.loads(text)["resources"]
            assert (status, mongo["name"], mongo["status"]) == (200, "mongo", "ok")
            assert get(port, "/") == (200, "0 orders")
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in output


@pytest.mark.mongo
@pytest.mark.server
def test_a_process_that_cannot_reach_mongodb_does_not_serve(
    folder: pathlib.Path,
) -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=200"
    model = (folder / "shop.py").read_text()
    # Its client alone asks nothing of the server yet.
    asks = model.replace(
        "        yield client", "        ping(client)\n        yield client"
    )
    (folder / "shop.py").write_text(asks)
    bind = ["--bind", f"127.0.0.1:{free_port()}", "--workers", "1"]
    with start(folder, *GUNICORN, *bind, MONGO_URI=uri) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "'mongo' (shop.py:" in output
    assert "App failed to load" in output


@pytest.mark.mongo
@pytest.mark.server
def test_sigterm_ends_waitress_in_an_orderly_way(
    folder: pathlib.Path, mongo_uri: str
) -> None:
    add(folder, "        yield client", after="\n        print('closed', flush=True)")
    port = free_port()
    listen = ["-m", "waitress", f"--listen=127.0.0.1:{port}", "wsgi:app"]
    with start(folder, *listen, MONGO_URI=mongo_uri) as process:
        try:
            wait_for(port, process)
        finally:
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "closed" in output.splitlines()


def test_what_is_shared(folder: pathlib.Path) -> None:
    (folder / "words.txt").write_text("one two")
    shop: t.Any = importlib.import_module("shop")
    model: t.Any = importlib.import_module("model")
    app = flask.Flask("docs")
    shop.scopes.init_app(app)
    with app.app_context():
        assert model.model() == ["one", "two"]


def test_what_is_checked(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "prices.txt").write_text("apple 2\n")
    shop: t.Any = importlib.import_module("shop")
    prices: t.Any = importlib.import_module("prices")
    renewal: t.Any = importlib.import_module("flask_scopes.renewal")
    app = flask.Flask("docs")
    shop.scopes.init_app(app)
    with app.app_context():
        assert prices.prices() == {"apple": 2.0}
        (folder / "prices.txt").write_text("apple 3\n")
        os.utime("prices.txt", ns=(0, 0))
        assert prices.prices() == {"apple": 2.0}
        store = app.extensions["scopes"].store()
        # Five seconds later.
        (checked,) = store.objects.values()
        checked.due = renewal.now()
        assert prices.prices() == {"apple": 3.0}
