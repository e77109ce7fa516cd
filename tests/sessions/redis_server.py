"""A real Redis for the tests, where one is installed."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import socket
import subprocess
import time
import typing as t

import redis

if t.TYPE_CHECKING:
    import collections.abc as c

PROGRAM = shutil.which("redis-server")


class RedisServer:
    """A process of its own, that can be stopped and started again."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command = [str(PROGRAM), *options, "--dir", str(self.folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 10
        with contextlib.closing(redis.Redis(port=self.port)) as client:
            while True:
                with contextlib.suppress(redis.ConnectionError):
                    client.ping()
                    return
                assert time.monotonic() < until
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@contextlib.contextmanager
def running(folder: pathlib.Path) -> c.Iterator[RedisServer]:
    """A Redis for the block."""
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
