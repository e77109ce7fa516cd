"""A real MariaDB for the tests, where one is installed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import time
import typing as t

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

if t.TYPE_CHECKING:
    import collections.abc as c

PROGRAM = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
INSTALL = shutil.which("mariadb-install-db")


@contextlib.contextmanager
def running(folder: pathlib.Path) -> c.Iterator[str]:
    """The address of a server for the block, without the name of a database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--no-defaults", f"--datadir={folder}/data"]
    user = f"--user={pwd.getpwuid(os.geteuid()).pw_name}"
    # Not by the name of whoever is logged in, but without a password for root.
    install = [str(INSTALL), *where, user, "--auth-root-authentication-method=normal"]
    subprocess.run(install, check=True, capture_output=True)
    options = [f"--port={port}", "--bind-address=127.0.0.1", "--socket="]
    quick = ["--innodb-flush-log-at-trx-commit=0", f"--log-error={folder}/log"]
    process = subprocess.Popen([str(PROGRAM), *where, user, *options, *quick])
    try:
        address = f"mysql+pymysql://root@127.0.0.1:{port}"
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    engine = sa.create_engine(address)
    until = time.monotonic() + 20
    while True:
        with contextlib.suppress(OperationalError), engine.connect():
            engine.dispose()
            return
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)


def new_database(address: str, name: str) -> str:
    """The address of a database that is made now."""
    engine = sa.create_engine(address)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{address}/{name}"
