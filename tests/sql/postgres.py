"""A real PostgreSQL for the tests, where one is installed."""

from __future__ import annotations

import collections.abc as c
import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import typing as t


def binaries() -> pathlib.Path | None:
    """Where the server's programs are; None if there are none."""
    on_path = shutil.which("pg_ctl")
    if on_path:
        return pathlib.Path(on_path).resolve().parent
    found = pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")
    newest = max(found, key=lambda path: int(path.parts[4]), default=None)
    return newest.parent if newest else None


@contextlib.contextmanager
def postgres(programs: pathlib.Path) -> c.Iterator[str]:
    """The address of a server of its own, without the name of a database."""
    # Not below pytest's folder, which no other user may enter; and it does not run as
    # root, whom it would obey.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        owner: dict[str, t.Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            owner = {"user": user.pw_uid, "group": user.pw_gid, "cwd": folder}

        def run(*command: str) -> None:
            path = str(programs / command[0])
            done = subprocess.run(
                [path, *command[1:]], capture_output=True, text=True, **owner
            )
            assert done.returncode == 0, done.stdout + done.stderr

        data, log = f"{folder}/data", f"{folder}/log"
        run("initdb", "--auth=trust", "--username=tests", "--no-sync", "-D", data)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = f"-p {port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off"
        options += " -c deadlock_timeout=100ms"
        # Waits until it answers; with its output elsewhere, or we would wait for that.
        started = ["pg_ctl", "start", "--wait", "-D", data, "-l", log, "-o", options]
        devnull = subprocess.DEVNULL
        subprocess.run(
            [str(programs / started[0]), *started[1:]],
            check=True,
            stdin=devnull,
            stdout=devnull,
            stderr=devnull,
            **owner,
        )
        try:
            yield f"postgresql+psycopg://tests@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "stop", "--mode=immediate", "-D", data)
