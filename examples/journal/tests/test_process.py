"""`python -m journal`, from start to end, twice: as somebody would who tries it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor
from urllib.request import OpenerDirector
from urllib.request import build_opener

import pytest

from journal.__main__ import listen

EXAMPLES = Path(__file__).parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes that were told to use *folder*."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_text(errors="replace")
        except OSError:  # gone meanwhile
            continue
        if str(folder) in line:
            found.append(line.replace("\0", " "))
    return found


@contextmanager
def running(folder: Path, end: signal.Signals) -> Iterator[str]:
    """The address of a journal that runs until the block ends."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    env = {**os.environ, "PORT": str(port), "JOURNAL_INSTANCE": str(folder)}
    env.pop("MONGO_URI", None)
    with (
        (folder / "output").open("w+") as output,
        subprocess.Popen(
            [sys.executable, "-m", "journal"],
            cwd=EXAMPLES,
            env=env,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            wait_for(address, process, folder / "output")
            yield address
            process.send_signal(end)
            assert process.wait(30) == 0
        finally:
            if process.poll() is None:
                process.kill()
        printed = (folder / "output").read_text()
    assert f"open at {address}" in printed
    assert "mina@example.org" in printed
    assert f"Scopes inspector: {address}/_scopes/ (this machine only)" in printed
    assert "Traceback" not in printed


def wait_for(address: str, process: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            build_opener().open(address, timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(output.read_text())


def fetch(browser: OpenerDirector, url: str, **form: str) -> str:
    data = urlencode(form).encode() if form else None
    with browser.open(url, data, timeout=10) as response:
        return str(response.read().decode())


def token(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


@pytest.mark.mongo
@pytest.mark.server
def test_what_was_written_is_still_there_after_a_restart(tmp_path: Path) -> None:
    browser = build_opener(HTTPCookieProcessor(CookieJar()))

    with running(tmp_path, signal.SIGINT) as journal:
        secret = token(fetch(browser, journal))
        person = {"email": "leila@example.org", "password": "ink-and-paper"}
        page = fetch(browser, journal, csrf_token=secret, **person)
        assert "Leila Haddad" in page
        form = {"title": "Kept", "text": "Across a restart", "csrf_token": token(page)}
        assert "Across a restart" in fetch(browser, f"{journal}/entries/new", **form)
        if sys.platform == "linux":
            assert processes_of(tmp_path)
    assert processes_of(tmp_path) == []

    with running(tmp_path, signal.SIGTERM) as journal:
        page = fetch(browser, f"{journal}/entries")  # the sign-in was kept as well
        assert page.index("Kept") < page.index("She laughed in her sleep")
    assert processes_of(tmp_path) == []


@pytest.mark.server
def test_without_a_database_it_says_so_and_ends(tmp_path: Path) -> None:
    nowhere = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200"
    env = {"MONGO_URI": nowhere, "JOURNAL_INSTANCE": str(tmp_path)}
    command = [sys.executable, "-m", "journal"]
    done = subprocess.run(
        command, cwd=EXAMPLES, env={**os.environ, **env}, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr.startswith("There is no MongoDB.")
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)

    with listen() as first, listen() as second:
        assert first.getsockname()[1] < second.getsockname()[1]


def test_a_port_that_was_asked_for_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        with pytest.raises(SystemExit, match="is taken"):
            listen()
