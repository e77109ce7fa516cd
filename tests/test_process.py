"""Promise 12: the end of a process closes what it has built. Real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import flask
import pytest

from flask_scopes import ClosedError
from flask_scopes import CloseTimeout
from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes.deadline import TookTooLong
from flask_scopes.deadline import within

pytestmark = pytest.mark.server

PRELUDE = """
import atexit, os, signal, socket, sys, threading, time
import flask
from flask_scopes import Scopes

signal.signal(signal.SIGINT, signal.default_int_handler)
scopes = Scopes()
app = flask.Flask("script")
app.config["SCOPES_CLOSE_TIMEOUT"] = 2
scopes.init_app(app)
me = os.getpid()

def say(*words):
    who = "" if os.getpid() == me else "child: "
    os.write(1, (who + " ".join(map(str, words)) + "\\n").encode())

@scopes.application
def mongo():
    yield "mongo"
    say("mongo closed")

@scopes.application
def orders():
    mongo()
    yield "orders"
    say("orders closed")

@scopes.request
def transaction():
    try:
        yield "transaction"
    except BaseException as error:
        say("rolled back:", type(error).__name__)
        raise
    say("committed")

"""


def run(script: str, *options: str, status: int = 0) -> list[str]:
    """What a process prints that runs *script*; the last of it, if it failed."""
    code = PRELUDE + textwrap.dedent(script)
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "Exception ignored" not in done.stderr
    if status == 0 and "kill" not in script:
        assert "Traceback" not in done.stderr
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


CLOSED = ["orders closed", "mongo closed"]


def test_a_script_closes_when_it_ends() -> None:
    assert run("with app.app_context(): orders()") == CLOSED


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("sys.exit(3)", 3),
        ("1 / 0", 1),
        # Python ends itself by the signal, when all else is done.
        ("signal.raise_signal(signal.SIGINT)", -signal.SIGINT),
    ],
)
def test_it_closes_however_the_script_is_left(ending: str, status: int) -> None:
    lines = run(
        f"""
        with app.app_context():
            orders()
            transaction()
            {ending}
        """,
        status=status,
    )
    assert [line for line in lines if "closed" in line] == CLOSED
    assert lines[0].startswith("rolled back")


def test_what_was_imported_before_ends_after_it() -> None:
    lines = run(
        """
        import types
        sys.modules["driver"] = types.ModuleType("driver")
        atexit.register(say, "driver ends")
        with app.app_context(): orders()
        """
    )
    assert lines == [*CLOSED, "driver ends"]


def test_what_is_built_while_python_ends_is_closed_as_well() -> None:
    lines = run(
        """
        @atexit.register
        def last():
            import this_is_new
            with app.app_context(): orders()

        import types
        sys.modules["this_is_new"] = types.ModuleType("this_is_new")
        with app.app_context(): mongo()
        atexit.unregister(last), atexit.register(last)
        """
    )
    assert lines == CLOSED


def test_many_apps_in_many_threads_are_all_closed() -> None:
    lines = run(
        """
        apps = []

        def make(number):
            for _ in range(100):
                # Others come and go meanwhile.
                scopes.init_app(flask.Flask("short"))
                each = flask.Flask("long")
                apps.append(each)
                scopes.init_app(each)
                with each.app_context(): mongo()

        sys.setswitchinterval(1e-6)
        threads = [threading.Thread(target=make, args=[n]) for n in range(4)]
        for each in threads: each.start()
        for each in threads: each.join()
        """
    )
    assert lines == ["mongo closed"] * 400


def test_after_the_end_nothing_is_built() -> None:
    lines = run(
        """
        @atexit.register
        def late():
            with app.app_context():
                try: mongo()
                except RuntimeError as error: say(type(error).__name__)

        with app.app_context(): orders()
        atexit.unregister(late), atexit.register(lambda: None)
        from flask_scopes import process
        atexit.unregister(process.end), atexit.register(late)
        atexit.register(process.end)
        """
    )
    assert lines == [*CLOSED, "ClosedError"]


def test_an_app_that_is_dropped_is_closed_in_order() -> None:
    lines = run(
        """
        with app.app_context(): orders()
        del app
        say("dropped")
        """
    )
    assert lines == [*CLOSED, "dropped"]


def test_two_apps_close_the_latest_first() -> None:
    lines = run(
        """
        other = flask.Flask("other")
        scopes.init_app(other)

        @scopes.application
        def named():
            name = flask.current_app.name
            yield
            say(name, flask.current_app.name)

        for each in app, other:
            with each.app_context(): named()
        """
    )
    assert lines == ["other other", "script script"]


def test_a_request_in_progress_comes_to_its_end_first() -> None:
    lines = run(
        """
        begun = threading.Event()

        def work():
            with app.app_context():
                transaction()
                begun.set()
                time.sleep(0.3)
                say("working with", orders())

        threading.Thread(target=work, daemon=True).start()
        begun.wait()
        """
    )
    assert lines == ["working with orders", "committed", *CLOSED]


def test_but_it_is_not_waited_for_for_ever() -> None:
    lines = run(
        """
        begun = threading.Event()

        def work():
            with app.app_context():
                orders(), transaction()
                begun.set()
                time.sleep(60)

        threading.Thread(target=work, daemon=True).start()
        begun.wait()
        """
    )
    # Nor torn down: its thread is still in it.
    assert lines == CLOSED


def test_nor_if_it_is_asked_again_to_end() -> None:
    lines = run(
        """
        begun, ending = threading.Event(), threading.Event()

        def work():
            with app.app_context():
                orders(), transaction()
                begun.set(), ending.wait()
                time.sleep(0.1)
                os.kill(me, signal.SIGINT)
                time.sleep(60)

        threading.Thread(target=work, daemon=True).start()
        begun.wait()
        atexit.register(ending.set)
        """
    )
    assert lines == CLOSED


def test_a_context_that_nobody_pops_is_rolled_back() -> None:
    lines = run(
        """
        app.app_context().push()
        orders(), transaction()
        """
    )
    assert lines == ["rolled back: UnitFailed", *CLOSED]


def test_a_teardown_that_fails_does_not_keep_the_others_open() -> None:
    lines = run(
        """
        @scopes.application
        def cache():
            orders()
            yield
            raise ConnectionError("gone away")

        import logging
        logging.basicConfig(format="%(message)s")
        logging.raiseExceptions = False
        app.logger.handlers.clear()
        logging.getLogger().handlers[0].formatter.formatException = lambda info: ""
        with app.app_context(): cache()
        """
    )
    assert lines[:2] == CLOSED
    assert lines[2] == "Not all application objects could be closed: gone away"


def test_one_that_hangs_is_interrupted_and_named() -> None:
    before = time.monotonic()
    lines = run(
        """
        @scopes.application
        def cache():
            orders()
            yield
            pair = socket.socketpair()
            pair[0].recv(1)

        with app.app_context(): cache()
        """
    )
    assert lines[:2] == CLOSED
    assert "'cache' (<string>:" in lines[2]
    # What is left of its second when its turn comes.
    given_up = r"was not closed within (1|0\.9\d*) s, and is given up"
    assert re.search(given_up, lines[2])
    assert time.monotonic() - before < 30


def test_one_that_cannot_be_interrupted_ends_with_the_process() -> None:
    lines = run(
        """
        @scopes.application
        def cache():
            yield
            while True:
                try: time.sleep(60)
                except BaseException: pass

        with app.app_context(): cache()
        """,
        status=1,
    )
    assert lines[0].startswith("Timeout")
    # Where it stands.
    assert any(line.endswith(" in cache") for line in lines)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.parametrize("leaving", ["sys.exit()", "os.kill(os.getpid(), 2)"])
def test_a_forked_child_closes_its_own_alone(leaving: str) -> None:
    lines = run(
        f"""
        with app.app_context(): orders()
        app.app_context().push()
        transaction()
        if not os.fork():
            with app.app_context(): mongo()
            {leaving}
        os.wait()
        say("child has ended")
        """,
        "-Wignore",
    )
    assert [line for line in lines if "losed" in line or "rolled" in line] == [
        "child: mongo closed",
        "rolled back: UnitFailed",
        *CLOSED,
    ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.parametrize("meanwhile", ["", "del app; gc.collect()"])
def test_a_child_that_uses_nothing_closes_nothing(meanwhile: str) -> None:
    lines = run(
        f"""
        import gc

        class Client:
            def __enter__(self): return self
            # By then, modules may be empty.
            def __exit__(self, *error, write=os.write, pid=os.getpid, me=me):
                write(1, b"client closed\\n" if pid() == me else b"by the child\\n")

        @scopes.application
        def client():
            with Client() as made: yield made

        @scopes.request
        def session():
            with Client() as made: yield made

        with app.app_context(): client()
        context = app.app_context()
        context.push(), session()
        if not os.fork():
            {meanwhile}
            sys.exit()
        os.wait()
        say("child has ended")
        context.pop()
        """
    )
    assert lines == ["child has ended", "client closed", "client closed"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_child_of_multiprocessing(method: str, tmp_path: Path) -> None:
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("this platform has no fork")
    script = tmp_path / "script.py"
    code = """
        import multiprocessing

        def work():
            with app.app_context(): orders(), transaction()

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            child = context.Process(target=work)
            child.start(), child.join()
            say("status", child.exitcode)
    """
    # Only the parent would know.
    prelude = PRELUDE.replace("me = os.getpid()", "me = None")
    script.write_text(prelude + textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, script, method],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = ["committed", *CLOSED, "status 0"]
    assert done.stdout.splitlines() == [f"child: {line}" for line in lines]
    assert done.stderr == ""


def test_a_command_closes_when_it_is_done(tmp_path: Path) -> None:
    code = """
        @app.cli.command()
        def work():
            orders(), transaction()
            say("working")
    """
    (tmp_path / "app.py").write_text(PRELUDE + textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, "-m", "flask", "work"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["working", "committed", *CLOSED]
    assert done.stderr == ""


def test_closing_by_hand_is_bounded_as_well(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    app.config["SCOPES_CLOSE_TIMEOUT"] = 0.2

    @scopes.application
    def mongo() -> object:
        yield
        log.append("closed")

    @scopes.application
    def cache() -> object:
        mongo()
        yield
        time.sleep(60)

    with app.app_context():
        cache()
    with pytest.raises(ExceptionGroup) as caught:
        scopes.close(app)
    (error,) = caught.value.exceptions
    assert isinstance(error, CloseTimeout)
    assert isinstance(error, TimeoutError)
    assert error.path == ("cache",)
    assert log == ["closed"]
    scopes.close(app)
    with app.app_context(), pytest.raises(ClosedError):
        mongo()


@pytest.mark.parametrize("value", [0, -1, "soon", None, float("nan"), True])
def test_a_time_limit_that_is_none_is_refused(
    app: flask.Flask, scopes: Scopes, value: object
) -> None:
    @scopes.application
    def mongo() -> None: ...

    app.config["SCOPES_CLOSE_TIMEOUT"] = value
    with app.app_context(), pytest.raises(SetupError, match="SCOPES_CLOSE_TIMEOUT"):
        mongo()
    app.config["SCOPES_CLOSE_TIMEOUT"] = "2.5"
    with app.app_context():
        mongo()


def test_a_time_limit_leaves_the_alarm_of_others_alone() -> None:
    rung: list[int] = []
    earlier = signal.signal(signal.SIGALRM, lambda *args: rung.append(1))
    try:
        with pytest.raises(TookTooLong):
            within(0.05, lambda: time.sleep(60))
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
        signal.raise_signal(signal.SIGALRM)
        assert rung == [1]
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        # Set already: then there is no limit.
        assert within(0.01, lambda: time.sleep(0.1)) is None
        assert rung == [1, 1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


def test_a_time_limit_strikes_again_where_it_was_swallowed() -> None:
    struck: list[int] = []

    def stubborn() -> None:
        for _ in range(2):
            try:
                time.sleep(60)
            except TookTooLong:
                struck.append(1)

    within(0.05, stubborn)
    assert len(struck) == 2
