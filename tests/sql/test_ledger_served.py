"""The ledger behind a real server: eight threads move money at once."""

from __future__ import annotations

import collections
import collections.abc as c
import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

pytestmark = pytest.mark.server

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
TRANSFERS = 25
CLIENTS = 8


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def ask(address: str, form: dict[str, str] | None = None) -> int:
    """The status of the answer."""
    body = urllib.parse.urlencode(form).encode() if form else None
    try:
        with _OPENER.open(address, body, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@contextlib.contextmanager
def serving(url: str, folder: Path) -> c.Iterator[str]:
    """The address of a ledger behind gunicorn: two processes of four threads."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "FLASK_SQLALCHEMY_URL": url}
    flask = [sys.executable, "-m", "flask", "--app", "ledger", "create"]
    subprocess.run(flask, cwd=EXAMPLES, env=env, check=True, timeout=60)
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"]
    command += ["--workers=2", "--worker-class=gthread", "--threads=4"]
    with (
        (folder / "output").open("wb") as output,
        subprocess.Popen(
            [*command, "ledger:create_app()"],
            cwd=EXAMPLES,
            env=env,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/", process)
            yield f"http://127.0.0.1:{port}"
            process.terminate()
            assert process.wait(30) == 0
        finally:
            if process.poll() is None:
                process.kill()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None
        with contextlib.suppress(OSError):
            assert ask(address) == 200
            return
        time.sleep(0.1)
    raise TimeoutError


def test_money_is_neither_made_nor_lost(
    new_url: c.Callable[[], str], tmp_path: Path
) -> None:
    url = new_url()
    statuses: dict[str, int] = {}

    def pay(client: int) -> None:
        # All from two accounts to each other, so that they do meet.
        chance = random.Random(client)
        for number in range(TRANSFERS):
            source = chance.choice([1, 2])
            form = {
                "reference": f"{client}-{number}",
                "source": str(source),
                "target": str(3 - source),
                "amount": f"{chance.randint(1, 900) / 100:.2f}",
            }
            statuses[form["reference"]] = ask(f"{address}/transfers", form)

    with serving(url, tmp_path) as address:
        with ThreadPoolExecutor(CLIENTS) as pool:
            for done in [pool.submit(pay, client) for client in range(CLIENTS)]:
                done.result(120)
        # While it serves, so what another connection sees is what was committed.
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            rows = connection.execute(
                sa.text("SELECT reference, source_id, target_id, amount FROM transfers")
            ).all()
            found = connection.execute(sa.text("SELECT id, balance FROM accounts"))
            balances = {row.id: row.balance for row in found}
        engine.dispose()

    kept = {row.reference for row in rows}
    assert kept == {name for name, status in statuses.items() if status == 303}
    # Enough of them to say anything, and nothing but what is said of one.
    assert len(kept) > CLIENTS * TRANSFERS / 2
    assert set(statuses.values()) <= {303, 409, 503}
    expected = collections.Counter(dict.fromkeys(balances, 100_00))
    for row in rows:
        expected[row.source_id] -= row.amount
        expected[row.target_id] += row.amount
    assert balances == dict(expected)
    assert sum(balances.values()) == 400_00
