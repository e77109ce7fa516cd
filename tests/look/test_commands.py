"""`flask scopes`, as somebody calls it."""

from __future__ import annotations

import collections.abc as c
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import typing as t

import click
import flask
import pytest
from click.testing import Result

from flask_scopes import Scopes
from flask_scopes.commands import group
from flask_scopes.look import text as look_text

from . import shop
from .conftest import Write

HERE = pathlib.Path(__file__).parent


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    monkeypatch.setenv("COLUMNS", "88")


def run(*args: str, app: flask.Flask | None = None) -> Result:
    app = app or shop.create_app()
    return app.test_cli_runner().invoke(args=["scopes", *args])


LIST = """\
Scope        Resource      Type         Uses                     Defined
-----------  ------------  -----------  -----------------------  ----------
application  settings      Settings                              shop.py:45
application  engine        Engine       settings                 shop.py:50
application  mongo         Database     settings                 shop.py:56
until sent   export        list[str] ↓  mongo?                   shop.py:77
request      orders        Orders       unit_of_work, orders_db  shop.py:36
request      unit_of_work  Session   ↓  engine                   shop.py:62
request      orders_db     Database     mongo                    shop.py:71

7 resources. ↓ has a teardown. ? may be used. \
'Uses' is read from the source; run with --live URL for what was seen.
"""


def test_list() -> None:
    result = run("list")
    assert result.output == LIST
    assert result.exit_code == 0


def test_the_group_alone_lists() -> None:
    assert run().output == run("list").output


def names(*args: str) -> list[str]:
    rows = run("list", *args).output.splitlines()[2:-2]
    return [row[12:].split()[0] for row in rows]


def test_the_order() -> None:
    assert names("--sort", "name")[:2] == ["engine", "export"]
    assert names("--sort", "defined")[:2] == ["orders", "settings"]


def test_line_9_comes_before_line_10(project: Write) -> None:
    module = project(
        "b = scopes.request(lambda: 1)\n\n\na = scopes.request(lambda: 1)\n"
    )
    output = run("list", "--sort", "defined", app=module.app).output
    assert output.index("looked_at.py:9") < output.index("looked_at.py:12")


def test_many_uses(project: Write) -> None:
    text = "".join(f"@scopes.request\ndef resource_{n}(): return 1\n" for n in range(9))
    calls = ", ".join(f"resource_{n}()" for n in range(9))
    module = project(f"{text}@scopes.request\ndef every(): return {calls}\n")
    output = run("list", app=module.app).output
    assert "resource_0, resource_1, resource_2, resource_3, +5  looked_at" in output
    assert "resource_8" in run("list", "every", app=module.app).output


def test_one_scope() -> None:
    assert names("--scope", "until sent") == ["export"]
    assert run("list", "--scope", "session").output == "No resources.\n"
    assert run("list", "--scope", "global").exit_code == 2


def test_one_in_full() -> None:
    with shop.orders_db.override(factory=shop.Database):
        output = run("list", "orders", "orders_db").output
    assert (
        output
        == """\
orders (request)  shop.py:36

    All orders of this shop.

    The newest comes first.

  Call:          orders()
  Type:          Orders
  Uses:          unit_of_work  (shop.py:42)
                 orders_db  (shop.py:42)
  Used by:       nothing
  Teardown:      nothing

orders_db (request)  shop.py:71
  Call:          orders_db()
  Type:          Database
  Uses:          mongo  (shop.py:73)
  Used by:       orders  (shop.py:42)
  Teardown:      nothing
  Overridden by: tests.look.shop.Database
"""
    )


def test_the_call_and_the_eager(project: Write) -> None:
    module = project(
        "@scopes.application(eager=True)\n"
        "def looked(a: int = 1, *, b: str = '') -> int:\n    yield 1\n"
    )
    output = run("list", "looked", app=module.app).output
    assert "Call:          looked(a: int = 1, *, b: str = '')\n" in output
    assert "Eager:         built when the process begins to serve\n" in output
    assert "Teardown:      what follows its yield\n" in output


@pytest.mark.parametrize("command", ["list", "graph"])
def test_an_unknown_name(command: str) -> None:
    result = run(command, "order")
    assert result.exit_code == 2
    assert "There is no resource 'order'. Did you mean 'orders'?" in result.output
    assert "Did you mean" not in run(command, "zzz").output


def test_list_as_data() -> None:
    rows = json.loads(run("list", "--json", "--scope", "request").output)["resources"]
    assert [row["name"] for row in rows] == ["orders", "unit_of_work", "orders_db"]
    assert rows[1]["teardown"] is True


def test_graph() -> None:
    assert run("graph", "orders_db").output.splitlines()[0] == (
        "R orders_db       shop.py:71"
    )
    assert "├─ R unit_of_work  ↓" in run("graph").output
    assert run("graph", "settings", "--reverse").output.startswith("A settings ")
    assert run("graph", "--format", "mermaid").output.startswith("flowchart TD\n")
    assert run("graph", "--format", "dot").output.startswith("digraph scopes {\n")
    as_json = run("graph", "--json", "orders_db").output
    assert as_json == run("graph", "--format", "json", "orders_db").output
    assert [each["name"] for each in json.loads(as_json)["resources"]] == [
        "settings",
        "mongo",
        "orders_db",
    ]


def test_nothing_is_found() -> None:
    result = run("check")
    assert result.output == (
        "Read 7 resources, 7 uses.\n"
        "No findings.   --build also builds application objects;"
        "   --ping also asks their health.\n"
    )
    assert result.exit_code == 0
    assert json.loads(run("check", "--json").output) == {"findings": []}


WRONG = (
    "@scopes.request\ndef current_account() -> int: return 1\n"
    "@scopes.application\ndef order_cache():\n"
    "    for each in (current_account,): each()\n"
    "    return current_account()\n"
    "@scopes.request\ndef redis() -> sqlite3.Connection: return sqlite3.connect('x')\n"
    "def view(): return redis(), order_cache()\n"
    "@scopes.request\ndef legacy_client(): return 1\n"
)


CHECK = """\
S101 error  order_cache (application) uses current_account (request)    looked_at.py:14
            current_account would be kept after its request ends. Make
            order_cache request scoped, or call current_account()
            where order_cache is used.
S104 warn   redis returns Connection, which has close(), but the        looked_at.py:15
            factory returns it: nothing will close it. Use yield, then
            close().
S107 note   legacy_client is mentioned by no view, command or resource  looked_at.py:18
            Remove it, or see why what is to use it does not.

Read 4 resources, 1 use (1 could not be followed: looked_at.py:13 each).
1 error, 1 warning, 1 note.   --build also builds application objects;   \
--ping also asks their health.
"""


def test_check(project: Write) -> None:
    result = run("check", app=project(WRONG).app)
    assert result.output == CHECK
    assert result.exit_code == 1


def test_check_as_data(project: Write) -> None:
    result = run("check", "--json", app=project(WRONG).app)
    assert result.exit_code == 1
    first = json.loads(result.output)["findings"][0]
    assert first.pop("advice").startswith("current_account would be kept")
    assert first == {
        "code": "S101",
        "level": "error",
        "resource": "order_cache",
        "place": "looked_at.py:14",
        "message": "order_cache (application) uses current_account (request)",
        "chain": ["order_cache", "current_account"],
        "anchor": "findings.md#s101",
    }


def test_warnings_alone_are_no_failure(project: Write) -> None:
    app = project(WRONG.replace("return current_account()", "return 1")).app
    assert run("check", app=app).exit_code == 0


def test_a_long_place_is_never_cut(
    project: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    module = project(WRONG, "a_module_with_a_name_that_fills_the_line")
    output = run("check", app=module.app).output
    assert "S107 note   a_module_with_a_name_that_fills_the_line.py:18\n" in output


def test_what_an_error_says(project: Write) -> None:
    module = project(
        "@scopes.application\ndef looked(): raise OSError('One line.\\n\\nAnother.')\n"
    )
    (found, *_) = json.loads(run("check", "--build", "--json", app=module.app).output)[
        "findings"
    ]
    assert found["message"] == "looked could not be built: OSError: One line"


def test_build_and_ping(project: Write) -> None:
    module = project(
        "def well(made): return False\n"
        "@scopes.application(ping=well)\ndef looked(): return 1\n"
        "@scopes.application\ndef fails(): raise OSError('no route')\n"
        "@scopes.application\ndef door(): return sqlite3.connect(':memory:')\n"
        "@scopes.application\ndef table(name: bool): raise OSError\n"
        "def view(): return looked(), fails(), door(), table(True)\n"
    )
    result = run("check", app=module.app)
    assert (result.exit_code, "S1" in result.output) == (0, False)
    result = run("check", "--build", "--ping", app=module.app)
    assert result.exit_code == 1
    found = [line for line in result.output.splitlines() if line.startswith("S1")]
    assert [line[:10] for line in found] == ["S114 error", "S115 error", "S104 warn "]
    assert "fails could not be built: OSError: no route" in result.output
    assert "--build" not in result.output
    with module.app.app_context():
        module.door().close()


def test_what_is_refused_as_it_is_built_says_where_to_look(project: Write) -> None:
    module = project(
        "@scopes.request\ndef user(): return 1\n"
        "@scopes.application\ndef kept(): return by_name('user')\n"
        "@scopes.application\ndef own(): return by_name('own')\n"
        "def by_name(name): return globals()[name]()\n"
    )
    output = " ".join(run("check", "--build", app=module.app).output.split())
    assert "kept could not be built" in output
    assert "See S101: it would keep what lives shorter." in output
    assert "own could not be built" in output
    assert "See S102: it needs itself." in output


def test_what_the_build_used_counts(project: Write) -> None:
    module = project(
        "@scopes.application\ndef one(): return 1\n"
        "@scopes.application\ndef two(): return by_name('one')\n"
        "def by_name(name): return globals()[name]()\n"
    )
    assert "Read 2 resources, 0 uses." in run("check", app=module.app).output
    output = run("check", "--build", app=module.app).output
    assert "Read 2 resources, 1 use." in output


# ---- what a server says

ROW: dict[str, t.Any] = {
    "name": "engine",
    "place": "shop.py:50",
    "scope": "application",
    "alive": 1,
    "built": 3,
    "build_median_ms": 2.25,
}


class Handler(http.server.BaseHTTPRequestHandler):
    answers: t.ClassVar[dict[str, bytes]] = {
        "/_scopes/resources.json": json.dumps(
            {
                "resources": [
                    ROW,
                    {**ROW, "name": "mongo", "place": "elsewhere.py:1"},
                    {**ROW, "name": "settings", "place": "a.py:1"},
                    {**ROW, "name": "settings", "place": "b.py:1"},
                    {**ROW, "name": "export", "build_median_ms": None},
                ]
            }
        ).encode(),
        "/other/_scopes/resources.json": b"<html>",
        "/list/_scopes/resources.json": b"[]",
        "/half/_scopes/resources.json": b'{"resources": [{"name": "a"}]}',
    }

    def do_GET(self) -> None:
        answer = self.answers.get(self.path)
        moved = self.path.startswith("/moved")
        self.send_response(302 if moved else 200 if answer else 404)
        self.send_header("Location", "/_scopes/resources.json")
        self.end_headers()
        self.wfile.write(answer or b"")

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server() -> c.Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_live(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:1")
    for url in (server, f"http://{server}/", f"http://{server}/_scopes/"):
        result = run("list", "--live", url)
        assert result.exit_code == 0, result.output
        assert "  Alive  Built  Median ms  Defined" in result.output
        assert "settings                     1      3        2.2  shop.py:50" in (
            result.output
        )
    rows = json.loads(run("list", "--json", "--live", server).output)["resources"]
    told = {row["name"]: row.get("build_median_ms", "-") for row in rows}
    # One of that name is the one, wherever it stands; of two, there is no telling.
    assert told == {
        "engine": 2.25,
        "mongo": 2.25,
        "export": None,
        "settings": "-",
        "orders": "-",
        "unit_of_work": "-",
        "orders_db": "-",
    }


@pytest.mark.parametrize("path", ["other", "list", "half", "none", "moved"])
def test_what_is_no_inspector(server: str, path: str) -> None:
    result = run("list", "--live", f"http://{server}/{path}")
    assert result.exit_code == 2
    assert f"Error: http://{server}/{path}/_scopes/resources.json " in result.output


BAD = {
    "http://127.0.0.1:1": "does not answer: ",
    "http://example.org": "'example.org' is not this machine: only localhost,",
    "http://192.0.2.1:5000": "'192.0.2.1' is not this machine",
    "http://127.0.0.1@example.org/": "'example.org' is not this machine",
    "http://localhost.example.org/": "is not this machine",
    "ftp://127.0.0.1": "is no address such as http://127.0.0.1:5000",
    "file:///etc/passwd": "is no address such as",
    "http://127.0.0.1:port": "is no address",
    "http://[::1": "is no address",
    "": "is no address",
}


@pytest.mark.parametrize("url", BAD)
def test_only_this_machine_is_asked(url: str) -> None:
    result = run("list", "--live", url)
    assert result.exit_code == 2
    assert BAD[url] in result.output


# ---- colour, pipes and other commands


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert look_text.paint("a", fg="red") == "a"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert look_text.paint("a", fg="red") == click.style("a", fg="red")
    monkeypatch.setenv("NO_COLOR", "1")
    assert look_text.paint("a", fg="red") == "a"


def test_in_a_real_pipe(project: Write, tmp_path: pathlib.Path) -> None:
    project(WRONG)
    command = f"{sys.executable} -m flask --app looked_at scopes check | cat"
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "88"}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[0].endswith("  looked_at.py:14")
    assert "\x1b" not in done.stdout


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, flask_scopes, flask; app = flask.Flask('a')\n"
        "flask_scopes.Scopes(app)\n"
        "print([m for m in sys.modules if m.startswith('flask_scopes.') and"
        " m.split('.')[1] in ('commands_look', 'calls', 'graph', 'checks', 'live')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_other_commands_stay() -> None:
    app = shop.create_app()
    known = group(app)

    @known.command("mine")
    def mine() -> None:
        click.echo("mine")

    assert group(app) is known
    assert run("mine", app=app).output == "mine\n"
    help_text = run("--help", app=app).output
    for name in ("check", "graph", "list", "mine"):
        assert f"\n  {name}" in help_text
    assert run("nothing", app=app).exit_code == 2


def test_a_group_of_the_apps_own() -> None:
    app = flask.Flask("shop")

    @app.cli.group("scopes")
    def own() -> None:
        """The app's."""

    @own.command("list")
    def own_list() -> None:
        click.echo("the app's")

    Scopes(app)
    assert run("list", app=app).output == "the app's\n"
    assert run("graph", app=app).output == "No resources.\n"


def test_a_command_of_the_apps_own() -> None:
    app = flask.Flask("shop")

    @app.cli.command("scopes")
    def own() -> None:
        click.echo("the app's")

    Scopes(app)
    assert run(app=app).output == "the app's\n"


def test_an_app_without_resources() -> None:
    app = flask.Flask("shop")
    Scopes(app)
    assert run(app=app).output == "No resources.\n"
    assert run("graph", app=app).output == "No resources.\n"
    assert "Read 0 resources, 0 uses." in run("check", app=app).output
