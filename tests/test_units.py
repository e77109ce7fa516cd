"""Promises 17 and 20: what comes after a commit, and units of their own."""

from __future__ import annotations

import collections.abc as c
import os
import pathlib
import sys
import threading

import click
import flask
import pytest
from flask.testing import FlaskClient as Client

from flask_scopes import ClosedError
from flask_scopes import CommitFailed
from flask_scopes import OutsideScopeError
from flask_scopes import Resource
from flask_scopes import Scopes


@pytest.fixture
def work(scopes: Scopes, log: list[str]) -> Resource[[str], str]:
    @scopes.request
    def work(name: str) -> c.Iterator[str]:
        try:
            yield name
        except BaseException:
            log.append(f"{name} rolled back")
            raise
        log.append(f"{name} committed")

    return work


def test_after_commit_runs_in_a_unit_of_its_own(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Resource[[str], str],
    log: list[str],
) -> None:
    def mail() -> None:
        log.append("mail")
        work("outbox")
        scopes.after_commit(lambda: log.append("after the mail"))

    @app.get("/")
    def index() -> str:
        scopes.after_commit(mail)
        scopes.after_commit(lambda: log.append("and another"))
        work("order")
        return "ok"

    assert client.get("/").status_code == 200
    assert log == [
        "order committed",
        "mail",
        "outbox committed",
        "after the mail",
        "and another",
    ]


@pytest.mark.parametrize("how", ["raise", "handled", "422", "doom", "commit"])
def test_after_commit_does_not_run_after_a_failure(
    app: flask.Flask, client: Client, scopes: Scopes, log: list[str], how: str
) -> None:
    @scopes.request
    def refuses() -> c.Iterator[None]:
        yield
        raise OSError

    @app.errorhandler(LookupError)
    def handle(error: LookupError) -> str:
        return "fine"

    @app.get("/")
    def index() -> tuple[str, int]:
        scopes.after_commit(lambda: log.append("mail"))
        if how == "raise":
            raise ValueError
        if how == "handled":
            raise LookupError
        if how == "doom":
            scopes.doom("no")
        if how == "commit":
            refuses()
        return "", 422 if how == "422" else 200

    client.get("/")
    with pytest.raises(ZeroDivisionError), app.app_context():
        scopes.after_commit(lambda: log.append("mail"))
        _ = 1 / 0

    assert log == []


def test_while_a_unit_is_being_finished_it_is_too_late_to_doom_it(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    @scopes.request
    def outbox() -> c.Iterator[None]:
        yield
        scopes.after_commit(lambda: log.append("sent"))
        with pytest.raises(ClosedError, match="too late"):
            scopes.doom("now")

    with scopes.unit(app):
        outbox()

    assert log == ["sent"]


def test_what_fails_after_the_commit_is_logged_and_undoes_nothing(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Resource[[str], str],
    log: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def mail() -> None:
        work("outbox")
        raise ConnectionError("no mail server")

    @app.get("/")
    def index() -> str:
        work("order")
        scopes.after_commit(mail)
        scopes.after_commit(lambda: log.append("the next"))
        flask.session["ordered"] = True
        return "ok"

    response = client.get("/")

    assert response.status_code == 200
    assert "Set-Cookie" in response.headers
    assert log == ["order committed", "outbox rolled back", "the next"]
    assert "no mail server" in caplog.text
    assert "stays" in caplog.text


def test_a_unit_inside_of_a_request_is_kept_whatever_becomes_of_it(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Resource[[str], str],
    log: list[str],
) -> None:
    @app.get("/")
    def index() -> str:
        work("order")
        with scopes.unit():
            work("audit")
            scopes.after_commit(lambda: log.append("after the audit"))
            with pytest.raises(KeyError), scopes.unit():
                work("innermost")
                raise KeyError
        flask.abort(409)

    client.get("/")

    assert log == [
        "innermost rolled back",
        "audit committed",
        "after the audit",
        "order rolled back",
    ]


def test_dooming_a_unit_does_not_doom_the_one_around_it(
    app: flask.Flask, scopes: Scopes, work: Resource[[str], str], log: list[str]
) -> None:
    with scopes.unit(app):
        work("outer")
        with scopes.unit():
            work("inner")
            scopes.doom("a dry run")

    assert log == ["inner rolled back", "outer committed"]


def test_a_unit_in_a_thread(
    app: flask.Flask,
    client: Client,
    scopes: Scopes,
    work: Resource[[str], str],
    log: list[str],
) -> None:
    def job() -> None:
        with scopes.unit(app):
            work("job")

    thread = threading.Thread(target=job)
    thread.start()
    thread.join(10)

    assert log == ["job committed"]


def test_a_unit_whose_commit_fails_says_so_where_it_ends(
    app: flask.Flask, scopes: Scopes, work: Resource[[str], str], log: list[str]
) -> None:
    @scopes.request
    def refuses() -> c.Iterator[None]:
        yield
        raise OSError("full")

    with pytest.raises(CommitFailed) as raised, scopes.unit(app):
        work("first")
        refuses()
        work("last")

    assert raised.value.committed == ("work",)
    assert log == ["last committed", "first rolled back"]


def test_which_app_a_unit_is_of(app: flask.Flask, scopes: Scopes) -> None:
    with pytest.raises(OutsideScopeError, match=r"unit\(\) does not know which"):
        scopes.unit()
    with pytest.raises(OutsideScopeError, match="do not know the app 'other'"):
        scopes.unit(flask.Flask("other"))
    with scopes.unit(app):
        assert flask.current_app.name == "shop"


def test_a_command_is_finished_at_its_end_and_fails_on_an_exception(
    app: flask.Flask, scopes: Scopes, work: Resource[[str], str], log: list[str]
) -> None:
    @app.cli.command("import")
    def run() -> None:
        work("import")
        scopes.after_commit(lambda: log.append("after the import"))

    @app.cli.command("break")
    def fail() -> None:
        work("break")
        raise ValueError

    runner = app.test_cli_runner()

    assert runner.invoke(args=["import"]).exit_code == 0
    assert log == ["import committed", "after the import"]
    log.clear()
    assert isinstance(runner.invoke(args=["break"]).exception, ValueError)
    assert log == ["break rolled back"]


def test_a_command_that_is_told_to_stop_keeps_nothing_half_done(
    app: flask.Flask, work: Resource[[str], str], log: list[str]
) -> None:
    """Who handles SIGTERM with `sys.exit(0)` leaves in the middle of something."""

    @app.cli.command("worker")
    def worker() -> None:
        work("half")
        sys.exit(0)

    @app.cli.command("done")
    @click.pass_context
    def done(context: click.Context) -> None:
        work("all")
        context.exit()

    runner = app.test_cli_runner()
    assert runner.invoke(args=["worker"]).exit_code == 0
    assert log == ["half rolled back"]
    # Click's own way out.
    assert runner.invoke(args=["done"]).exit_code == 0
    assert log[1:] == ["all committed"]


def test_an_async_function_after_the_commit(
    app: flask.Flask, scopes: Scopes, log: list[str]
) -> None:
    async def mail() -> None:
        log.append("mail")

    with scopes.unit(app):
        scopes.after_commit(mail)

    assert log == ["mail"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_is_forked_in_the_middle_calls_nothing(
    app: flask.Flask, scopes: Scopes, tmp_path: pathlib.Path
) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    with scopes.unit(app):
        scopes.after_commit(lambda: (calls / str(os.getpid())).touch())
        child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

    assert [path.name for path in calls.iterdir()] == [str(os.getpid())]
