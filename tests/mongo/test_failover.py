"""Payments go on while the primary of a real replica set crashes, or hands over.

A real server, with two processes of eight threads, and clients that pay one thing after
the other. Then everything is counted.
"""

from __future__ import annotations

import collections
import collections.abc as c
import contextlib
import dataclasses
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pymongo import MongoClient

from .replica_set import SECONDS
from .replica_set import Document
from .replica_set import Member
from .replica_set import ReplicaSet
from .replica_set import until

pytestmark = [pytest.mark.mongo, pytest.mark.server]

CLIENTS = 8
WINDOW = 15.0
"""How long there may be errors: no longer than an operation waits for a primary."""
# One process may have all clients just now: each is to have its thread all the same.
GUNICORN = (
    *("gunicorn", "--worker-class", "gthread", "--workers", "2"),
    *("--threads", f"{CLIENTS}", "--no-control-socket", "paying:app"),
)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a client heard of a payment, and when."""

    payment: str
    status: int
    body: Document
    sent: float
    came: float

    def is_expected(self, since: float) -> bool:
        """Whether it is an error that says what it is, while there is no primary."""
        honest = self.status in (503, 504) or self.body.get("unknown") is True
        return honest and since <= self.came <= since + WINDOW


class Load:
    """Clients that pay one thing after the other, until it is stopped. Each has an
    account of its own, so that none gets into the way of another.
    """

    def __init__(self, port: int, output: Path) -> None:
        self.port = port
        self.output = output
        """What the server has written."""
        self.answers: list[Answer] = []
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._clients = [self._pool.submit(self._pay, n) for n in range(CLIENTS)]

    def stop(self) -> None:
        self._over.set()
        self._pool.shutdown()

    def _pay(self, account: int) -> None:
        for number in itertools.count():
            if self._over.is_set():
                return
            self.answers.append(self._ask(f"{account}-{number}"))

    def _ask(self, payment: str) -> Answer:
        sent = time.monotonic()
        # None is kept alive, or all might be connected to the same process.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request("POST", f"/pay/{payment}")
            response = connection.getresponse()
            text = response.read().decode()
        is_json = response.headers["Content-Type"] == "application/json"
        body: Document = json.loads(text) if is_json else {"text": text}
        return Answer(payment, response.status, body, sent, time.monotonic())

    def wait_for_more(self, number: int) -> None:
        """Until so many payments have succeeded, in both processes, of those that were
        sent from now on.
        """
        now = time.monotonic()

        def have_come() -> bool:
            broken = [client for client in self._clients if client.done()]
            assert not broken, [client.result() for client in broken]
            good = [each for each in self.answers if each.status == 200]
            pids = [each.body["pid"] for each in good if each.sent > now]
            return len(pids) >= number and len(set(pids)) >= 2

        until(have_come)


class Bank:
    """What is in the database, as a client of the test's own sees it."""

    def __init__(self, client: MongoClient[Document]) -> None:
        database = client.get_database("bank")
        self.ledger = database.get_collection("ledger")
        self.accounts = database.get_collection("accounts")
        self.ledger.drop()
        self.accounts.drop()
        database.create_collection("ledger")
        accounts = [{"_id": number, "payments": 0} for number in range(CLIENTS)]
        self.accounts.insert_many(accounts)

    def rows(self) -> collections.Counter[str]:
        """How many rows each payment has."""
        return collections.Counter(row["payment"] for row in self.ledger.find())

    def counted(self) -> int:
        return sum(account["payments"] for account in self.accounts.find())


@pytest.fixture
def bank(replica_set: ReplicaSet) -> c.Iterator[Bank]:
    replica_set.wait_until_whole()
    with MongoClient[Document](
        replica_set.uri, w="majority", readConcernLevel="majority"
    ) as client:
        yield Bank(client)
    # For the next test, if this one has failed in between.
    for member in replica_set.members:
        if member.paused:
            member.resume()
        if not member.pid:
            member.start()


@pytest.fixture
def load(replica_set: ReplicaSet, bank: Bank, tmp_path: Path) -> c.Iterator[Load]:
    """Payments that have begun, to a server that ends with the test."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        (tmp_path / "output").open("wb") as output,
    ):
        port: int = listening.getsockname()[1]
        descriptor = listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", *GUNICORN, "--bind", f"fd://{descriptor}"],
            cwd=os.path.dirname(__file__),
            env={**os.environ, "MONGO_URI": replica_set.uri},
            pass_fds=[descriptor],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    load = Load(port, tmp_path / "output")
    try:
        load.wait_for_more(50)
        yield load
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(SECONDS)
        load.stop()


def check(load: Load, bank: Bank, since: float, whole: float) -> None:
    """Nothing was lost, nothing was done twice, and errors were few and honest.

    :param since: when the primary ceased to be one.
    :param whole: when everything was as before.
    """
    load.stop()
    rows = bank.rows()
    good = [each for each in load.answers if each.status == 200]
    bad = [each for each in load.answers if each.status != 200]

    assert [each for each in good if rows[each.payment] != 1] == []
    assert [each for each in bad if rows[each.payment] > 1] == []
    assert rows.keys() <= {each.payment for each in load.answers}
    assert bank.counted() == rows.total()
    output = load.output.read_text()
    assert [each for each in bad if not each.is_expected(since)] == [], output
    assert [each for each in bad if each.sent > whole] == [], output
    before = {each.body["pid"] for each in good if each.came < since}
    after = {each.body["pid"] for each in good if each.sent > whole}
    assert after == before


def test_a_primary_is_killed_and_returns(
    replica_set: ReplicaSet, load: Load, bank: Bank
) -> None:
    """At any moment of what is under way."""
    killed = replica_set.primary()
    since = time.monotonic()
    killed.kill()
    load.wait_for_more(50)
    killed.start()
    replica_set.wait_until_whole()
    whole = time.monotonic()
    load.wait_for_more(100)

    check(load, bank, since, whole)


def primary_first(three: ReplicaSet) -> list[Member]:
    primary = three.primary()
    return sorted(three.members, key=lambda member: member is not primary)


def wait_until_all_commit(primary: Member) -> None:
    """Until each client has a commit that waits for a second member to have it."""
    commits = {"command.commitTransaction": 1}

    def all_wait() -> bool:
        running = primary.ask("currentOp", **commits)["inprog"]
        waiting = [each for each in running if each["microsecs_running"] > 300_000]
        return len(waiting) == CLIENTS

    until(all_wait)


def attempts_of_those_that_waited(load: Load, since: float) -> list[int | None]:
    """How many attempts it took, of all that had been sent and not answered then."""
    waited = [each for each in load.answers if each.sent < since < each.came]
    return [each.body.get("attempts") for each in waited]


def test_a_commit_that_nobody_heard_of_is_not_done_again(
    replica_set: ReplicaSet, load: Load, bank: Bank
) -> None:
    """The others have it, but cannot say so before the primary is killed."""
    killed, *others = primary_first(replica_set)
    for member in others:
        # What they are sent from now on is there when they go on.
        member.pause()
    wait_until_all_commit(killed)
    since = time.monotonic()
    killed.kill()
    for member in others:
        member.resume()
    load.wait_for_more(50)
    killed.start()
    replica_set.wait_until_whole()
    whole = time.monotonic()
    load.wait_for_more(100)

    check(load, bank, since, whole)
    assert attempts_of_those_that_waited(load, since) == [1] * CLIENTS


def test_a_commit_that_only_the_killed_primary_had_is_done_again(
    replica_set: ReplicaSet, load: Load, bank: Bank
) -> None:
    """It takes it back when it returns."""
    killed, *others = primary_first(replica_set)
    # It sends nothing, while they confirm what they have: what they had and could not
    # confirm would be kept.
    killed.pause()
    time.sleep(0.2)
    for member in others:
        member.pause()
    killed.resume()
    for member in others:
        member.kill()
    wait_until_all_commit(killed)
    since = time.monotonic()
    killed.kill()
    for member in others:
        member.start()
    load.wait_for_more(50)
    killed.start()
    replica_set.wait_until_whole()
    whole = time.monotonic()
    load.wait_for_more(100)

    check(load, bank, since, whole)
    attempts = attempts_of_those_that_waited(load, since)
    # (A machine that is busy may have had no time for one of them.)
    assert {*attempts} <= {1, 2}
    assert len(attempts) == CLIENTS
    assert 2 in attempts


def test_a_primary_hands_over_to_another(
    replica_set: ReplicaSet, load: Load, bank: Bank
) -> None:
    """As in each update of its machine. Nobody sees an error."""
    since = time.monotonic()
    before = replica_set.step_down()
    assert replica_set.primary() is not before
    replica_set.wait_until_whole()
    whole = time.monotonic()
    load.wait_for_more(100)

    check(load, bank, since, whole)
    assert {each.status for each in load.answers} == {200}, load.output.read_text()
