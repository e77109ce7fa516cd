"""The arithmetic of the page "Scaling": recomputed, and counted at a replica set."""

from __future__ import annotations

import collections
import collections.abc as c
import contextlib
import http.client
import os
import pathlib
import re
import resource
import secrets
import socket
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest
import redis
import sqlalchemy as sa
from pymongo import MongoClient
from pymongo import ReadPreference
from pymongo import common
from sqlalchemy.pool import QueuePool

from flask_scopes import Scopes
from flask_scopes.mongo import Mongo
from flask_scopes.sessions.redis import RedisStore

from .replica_set import SECONDS
from .replica_set import Document
from .replica_set import Member
from .replica_set import ReplicaSet
from .replica_set import until

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "scaling.md"
TEXT = PAGE.read_text()
Row = dict[str, str]


def table(first: str) -> list[Row]:
    """The rows of the table that begins with the column *first*, by its columns."""
    lines = TEXT.split(f"| {first} |", 1)[1].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in f"{first} |{lines}".splitlines()]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


ROWS = table("Machines")
WATCHING = 2
"""How many connections a client has to each server besides its pool."""
LIMITS = {
    "MongoDB, primary": 65_536,
    "MongoDB, each secondary": 65_536,
    "PostgreSQL": 97,
    "Redis": 10_000,
}


def number(text: str) -> int:
    return int(text.strip("*"))


def pool_sizes() -> dict[str, int]:
    engine = sa.create_engine("postgresql+psycopg://localhost/shop")
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    # (It has no other name for the second one.)
    overflow: int = vars(pool)["_max_overflow"]
    client = redis.Redis.from_url("redis://localhost")
    return {
        "mongo": common.MAX_POOL_SIZE,
        "sql": pool.size() + overflow,
        "redis": t.cast(t.Any, client.connection_pool).max_connections,
    }


def expected(processes: int, threads: int) -> dict[str, int]:
    """How many connections there are at each server."""
    size = pool_sizes()
    return {
        "MongoDB, primary": processes * (min(threads, size["mongo"]) + WATCHING),
        "MongoDB, each secondary": processes * WATCHING,
        "PostgreSQL": processes * min(threads, size["sql"]),
        "Redis": processes * min(threads, size["redis"]),
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join([*row.values()][:3]))
def test_the_table_is_what_its_formulas_say(row: Row) -> None:
    processes = number(row["Machines"]) * number(row["Workers"])
    found = expected(processes, number(row["Threads"]))

    assert {name: number(row[name]) for name in found} == found
    for name, count in found.items():
        assert ("**" in row[name]) == (count > LIMITS[name]), name


def test_the_pools_are_as_large_as_the_page_says() -> None:
    size = pool_sizes()
    said = {row["Pool"]: row["Its size, if you do not set it"] for row in table("Pool")}
    shown = [[int(each) for each in re.findall(r"\d+", text)] for text in said.values()]

    assert shown[0] == [size["mongo"]]
    assert sum(shown[1]) == size["sql"]
    assert shown[2][0] == size["redis"]
    assert f"the smaller of T and {size['sql']}" in TEXT
    assert common.MAX_IDLE_TIME_MS is None
    assert QueuePool(lambda: t.cast(t.Any, None)).timeout() == 30


def test_a_thread_too_many_for_redis_is_a_store_that_is_away() -> None:
    pool: t.Any = redis.Redis.from_url("redis://shop/?max_connections=7")
    assert pool.connection_pool.max_connections == 7
    assert issubclass(redis.exceptions.MaxConnectionsError, RedisStore.failures)


def test_flask_scopes_changes_no_size() -> None:
    source = PAGE.parents[1] / "src" / "flask_scopes"
    text = "".join(path.read_text() for path in source.rglob("*.py"))

    assert not re.search(r"pool_?size|max_overflow|max_connections", text, re.I)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def served(uri: str, workers: int, threads: int) -> c.Generator[int]:
    """The app, behind gunicorn, at some port."""
    port = free_port()
    command = ["-m", "gunicorn", "--worker-class", "gthread", "--no-control-socket"]
    command += ["--workers", f"{workers}", "--threads", f"{threads}"]
    with subprocess.Popen(
        [sys.executable, *command, "--bind", f"127.0.0.1:{port}", "scaled:app"],
        cwd=pathlib.Path(__file__).parent,
        env={**os.environ, "MONGO_URI": uri, "THREADS": f"{threads}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: ask(port) != "")
            yield port
        finally:
            process.terminate()


def ask(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", "/", headers={"Connection": "close"})
        return connection.getresponse().read().decode()
    return ""


def connections(member: Member, name: str) -> int:
    """How many there are of clients of that *name*, as the server sees it."""
    everybodys = {"$currentOp": {"allUsers": True, "idleConnections": True}}
    named = {"$match": {"appName": name}}
    with MongoClient[Document](member.host, directConnection=True) as client:
        return len(list(client.admin.aggregate([everybodys, named])))


@contextlib.contextmanager
def closed(scopes: Scopes, app: flask.Flask) -> c.Generator[None]:
    """Close what *app* has, after the block."""
    try:
        yield
    finally:
        scopes.close(app)


@pytest.mark.mongo
def test_the_bind_for_what_may_be_old(mongo_uri: str) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    settings: dict[str, t.Any] = {}
    exec(block, settings)  # the page's own
    scopes = Scopes()
    mongo = Mongo(scopes)
    app = flask.Flask("shop")
    app.config["MONGO_URI"] = mongo_uri
    app.config["MONGO_BINDS"] = {
        "old": settings["MONGO_BINDS"]["old"].replace(settings["MONGO_URI"], mongo_uri)
    }
    scopes.init_app(app)
    with closed(scopes, app), app.app_context():
        things = mongo.client("old").shop.things
        assert things.find_one({"_id": "nothing"}) is None
        assert things.read_preference.name == "SecondaryPreferred"
        session = mongo.session("old")
        assert things.find_one({"_id": "nothing"}, session=session) is None
        # (It has no other name for where a transaction reads.)
        assert vars(session)["_transaction"].opts.read_preference.name == "Primary"
        assert mongo.client().shop.things.read_preference == ReadPreference.PRIMARY


@pytest.mark.mongo
def test_a_server_takes_four_fifths_of_its_files(mongo_uri: str) -> None:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with MongoClient[Document](mongo_uri) as client:
        status = client.admin.command("serverStatus")["connections"]
    takes = status["current"] + status["available"]
    if files * 4 // 5 < LIMITS["MongoDB, primary"]:
        assert takes == files * 4 // 5
    else:
        assert takes >= LIMITS["MongoDB, primary"]


@pytest.mark.server
@pytest.mark.mongo
def test_the_first_row_is_what_servers_count(replica_set: ReplicaSet) -> None:
    row = ROWS[0]
    workers, threads = number(row["Workers"]), number(row["Threads"])
    name = f"scaled-{secrets.token_hex(4)}"
    uri = f"{replica_set.uri}&appName={name}"
    with MongoClient[Document](replica_set.uri) as client:
        client.shop.things.insert_one({})
    primary = replica_set.primary()
    others = [member for member in replica_set.members if member is not primary]
    wanted = {
        primary.host: number(row["MongoDB, primary"]),
        **{each.host: number(row["MongoDB, each secondary"]) for each in others},
    }
    answers: collections.Counter[str] = collections.Counter()
    with served(uri, workers, threads) as port, ThreadPoolExecutor(32) as pool:

        def counted() -> bool:
            answers.update(pool.map(ask, [port] * 16))
            found = {each.host: connections(each, name) for each in replica_set.members}
            assert all(found[host] <= wanted[host] for host in found), found
            return found == wanted

        until(counted)
    assert len(answers) == workers
