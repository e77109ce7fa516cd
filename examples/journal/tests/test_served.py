"""`make serve`: behind gunicorn, reloaded while people are reading and writing."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor
from urllib.request import OpenerDirector
from urllib.request import build_opener
from urllib.request import urlopen

import pytest

from journal.tests.test_process import EXAMPLES
from journal.tests.test_process import free_port
from journal.tests.test_process import processes_of

pytestmark = [pytest.mark.mongo, pytest.mark.server]


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a journal behind gunicorn, and gunicorn's first process."""
    port = free_port()
    env = {**os.environ, "PORT": str(port), "JOURNAL_INSTANCE": str(folder)}
    env.pop("MONGO_URI", None)
    command = [sys.executable, "-m", "gunicorn", "-c", "journal/gunicorn.conf.py"]
    with (
        (folder / "output").open("wb") as output,
        subprocess.Popen(
            command, cwd=EXAMPLES, env=env, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}", process
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            if process.poll() is None:
                process.kill()


def wait_until_ready(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None
        try:
            with urlopen(f"{address}/readyz", timeout=10) as answer:
                assert b'"status":"ready"' in answer.read()
                return
        except URLError:
            Event().wait(0.1)
    raise TimeoutError("it does not answer")


class Reader:
    """Somebody who signs in, then writes and reads again and again."""

    def __init__(self, address: str, name: str) -> None:
        self.address = address
        self.browser: OpenerDirector = build_opener(HTTPCookieProcessor())
        self.written = 0
        # Kept in `demo()`; here as somebody who reads what was printed.
        self.send("/", email=f"{name}@example.org", password="ink-and-paper")

    def get(self, path: str) -> str:
        with self.browser.open(self.address + path, timeout=30) as answer:
            assert answer.status == 200
            return str(answer.read().decode())

    def send(self, path: str, **fields: str) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(path))
        assert found
        body = urlencode({"csrf_token": found[1], **fields}).encode()
        with self.browser.open(self.address + path, body, timeout=30) as answer:
            assert answer.status == 200
            return str(answer.read().decode())

    def go_on(self, until: Event) -> None:
        while not until.is_set():
            text = f"entry {self.written} of a busy day"
            self.send("/entries/new", text=text)
            self.written += 1
            assert text in self.get("/entries")


def pids(folder: Path) -> set[int]:
    """gunicorn's processes, by what they were told to use."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"JOURNAL_INSTANCE={folder}" in file.read_text(errors="replace"):
                line = (file.parent / "cmdline").read_text(errors="replace")
                if "gunicorn" in line:
                    found.add(int(file.parent.name))
        except OSError:  # gone meanwhile
            continue
    return found


def test_a_reload_under_load_loses_no_request(tmp_path: Path) -> None:
    over = Event()
    with serving(tmp_path) as (address, process):
        wait_until_ready(address, process)
        names = ["mina", "tomasz", "leila"]
        readers = [Reader(address, name) for name in names]
        with ThreadPoolExecutor(len(readers)) as pool:
            going = [pool.submit(reader.go_on, over) for reader in readers]
            try:
                for _ in range(2):
                    before = pids(tmp_path) - {process.pid}
                    Event().wait(0.7)
                    process.send_signal(signal.SIGHUP)
                    wait_until(partial(have_ended, before, tmp_path))
            finally:
                over.set()
            for future in going:
                # Raises, if any request has failed.
                future.result(30)
        assert all(reader.written for reader in readers)
        page = readers[0].get("/entries")
        assert "busy day" in page
    printed = (tmp_path / "output").read_text()
    assert "Traceback" not in printed
    assert "Warning" not in printed
    assert processes_of(tmp_path) == []


def have_ended(before: set[int], folder: Path) -> bool:
    return not before & pids(folder)


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        Event().wait(0.1)
    raise TimeoutError


def test_without_a_database_it_says_so_and_ends(tmp_path: Path) -> None:
    nowhere = f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=200"
    env = {
        **os.environ,
        "PORT": str(free_port()),
        "JOURNAL_INSTANCE": str(tmp_path),
        "MONGO_URI": nowhere,
    }
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "journal/gunicorn.conf.py"],
        cwd=EXAMPLES,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # 4 is what gunicorn means; with two processes that fail it ends by a traceback
    # of its own.
    assert done.returncode in (1, 4)
    text = done.stderr.partition("Traceback")[0]
    assert "'ready' (" in text
    assert "could not be built: ServerSelectionTimeoutError" in text
    assert "App failed to load" in done.stderr
