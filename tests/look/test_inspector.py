"""Who may look at the inspector, and that nobody else notices that it is there."""

from __future__ import annotations

import collections.abc as c
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import flask
import pytest
from flask.testing import FlaskClient as Client
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client as PlainClient
from werkzeug.test import TestResponse

from flask_scopes import Scopes
from flask_scopes import SetupError
from flask_scopes.inspector import Inspector
from flask_scopes.inspector import guard

MakeApp = t.Callable[..., flask.Flask]


@pytest.fixture
def make_app(scopes: Scopes) -> MakeApp:
    @scopes.request
    def orders() -> c.Iterator[str]:
        yield "orders"

    def make(**config: t.Any) -> flask.Flask:
        app = flask.Flask("shop")
        app.config.update({"DEBUG": True, "SCOPES_INSPECTOR": True} | config)
        scopes.init_app(app)

        @app.get("/orders")
        def view() -> str:
            return orders()

        return app

    return make


@pytest.fixture
def app(make_app: MakeApp) -> flask.Flask:
    return make_app()


def inspector(app: flask.Flask) -> Inspector:
    return t.cast(Inspector, app.extensions["scopes"].inspector)


def get(client: Client, path: str = "/_scopes/", **environ: str) -> TestResponse:
    """As somebody there, with *environ*, would."""
    return client.get(path, environ_overrides=environ)


HERE = {"REMOTE_ADDR": "127.0.0.1"}
PAGES = (
    "/_scopes/",
    "/_scopes/resources",
    "/_scopes/graph",
    "/_scopes/leaks",
    "/_scopes/health",
)


@pytest.mark.parametrize("path", PAGES)
def test_who_sits_at_this_machine_may_look(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200
    assert client.get("/_scopes").status_code == 200
    assert client.get("/_scopes/missing").status_code == 404


# 1. Off by default.


def test_it_is_off_by_default(scopes: Scopes) -> None:
    app = flask.Flask("shop")
    app.debug = True
    scopes.init_app(app)
    client = app.test_client()
    response = client.get("/_scopes/")
    assert response.status_code == 404
    assert "X-Scopes" not in response.headers
    assert not app.extensions["scopes"].events.listeners


def test_without_debug_mode_it_is_refused(make_app: MakeApp) -> None:
    with pytest.raises(SetupError, match=r"'shop', which is not in debug mode.*S109"):
        make_app(DEBUG=False)


@pytest.mark.parametrize("value", ["0", "false", 1, "yes"])
def test_it_is_on_or_off(make_app: MakeApp, value: object) -> None:
    with pytest.raises(SetupError, match="set it to True or False"):
        make_app(SCOPES_INSPECTOR=value)


# 2. Checked again on every request.


def test_it_is_gone_when_debug_mode_is_turned_off(
    app: flask.Flask, client: Client
) -> None:
    assert client.get("/_scopes/").status_code == 200
    app.debug = False
    assert client.get("/_scopes/").status_code == 404
    assert "X-Scopes" not in client.get("/orders").headers


# 3. Loopback twice.


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "127.0.0.1"},
        {"REMOTE_ADDR": "127.8.9.10"},
        {"REMOTE_ADDR": "::1"},
        {"REMOTE_ADDR": "::ffff:127.0.0.1"},
        {"HTTP_HOST": "localhost:5000"},
        {"HTTP_HOST": "shop.localhost:5000"},
        {"HTTP_HOST": "127.0.0.1:5000"},
        {"HTTP_HOST": "[::1]:5000"},
        {"HTTP_HOST": "[::1]"},
    ],
)
def test_from_here(client: Client, environ: dict[str, str]) -> None:
    assert get(client, **environ).status_code == 200
    assert "X-Scopes" in get(client, "/orders", **environ).headers


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "192.168.1.20"},
        {"REMOTE_ADDR": "fe80::1%eth0"},
        {"REMOTE_ADDR": "::ffff:10.0.0.1"},
        {"REMOTE_ADDR": "0.0.0.0"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "unix:"},
        {"REMOTE_ADDR": "127.0.0.1, 10.0.0.1"},
        # DNS rebinding: the address is ours, the name is another's.
        {"HTTP_HOST": "rebound.example:5000"},
        {"HTTP_HOST": "127.0.0.1.example"},
        {"HTTP_HOST": "localhost.example"},
        {"HTTP_HOST": "notlocalhost"},
        {"HTTP_HOST": "[::1]:5000@example"},
        {"HTTP_HOST": "[::1].example"},
        {"HTTP_HOST": "[::2]:5000"},
        {"HTTP_HOST": "localhost:99999"},
        {"HTTP_HOST": "localhost/x"},
        {"HTTP_HOST": ""},
        # A proxy on this machine, which says so.
        {"HTTP_X_FORWARDED_FOR": "10.0.0.1"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=10.0.0.1"},
        {"HTTP_X_REAL_IP": "10.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_X_FORWARDED_HOST": "shop.example"},
        {"HTTP_X_FORWARDED_PORT": "80"},
        {"HTTP_CF_CONNECTING_IP": "10.0.0.1"},
        {"HTTP_TRUE_CLIENT_IP": "10.0.0.1"},
    ],
)
def test_from_elsewhere_it_is_as_if_it_was_not_there(
    client: Client, environ: dict[str, str]
) -> None:
    there, missing = get(client, **environ), get(client, "/missing", **environ)
    assert there.status_code == 404
    assert (there.data, dict(there.headers)) == (missing.data, dict(missing.headers))
    response = get(client, "/orders", **environ)
    assert response.text == "orders"
    assert not {"X-Scopes", "Server-Timing"} & set(response.headers)


def test_a_header_cannot_claim_to_be_from_here(make_app: MakeApp) -> None:
    for outside in (False, True):
        app = make_app()
        if outside:
            application: t.Any = ProxyFix(app, x_for=1, x_host=1)
        else:
            app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_host=1)  # type: ignore[method-assign]  # as Flask documents
            application = app
        client = PlainClient(application, TestResponse)
        for name, value in [
            ("X-Forwarded-For", "127.0.0.1"),
            ("X-Forwarded-Host", "localhost"),
        ]:
            response = client.get(
                "/_scopes/",
                headers={name: value},
                environ_overrides={"REMOTE_ADDR": "10.0.0.1", "HTTP_HOST": "a.example"},
            )
            assert response.status_code == 404
        # What it has put in place of the address counts for nothing, either way.
        assert client.get("/_scopes/", environ_overrides=HERE).status_code == 200


def test_who_came_through_a_proxy_is_not_taken_for_it_nor_for_who_it_names(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The headers alone would do: what the server itself says counts without them.
    monkeypatch.setattr(guard, "_OF_A_PROXY", ())
    client = PlainClient(ProxyFix(make_app(), x_for=1, x_host=1), TestResponse)
    claims = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost"}
    for environ in (
        {"REMOTE_ADDR": "10.0.0.1"},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "a.example"},
    ):
        response = client.get("/_scopes/", headers=claims, environ_overrides=environ)
        assert response.status_code == 404


# 4. Wider only with a key.


@pytest.fixture
def wide(make_app: MakeApp) -> flask.Flask:
    return make_app(SCOPES_INSPECTOR_HOSTS=["devbox.example", ".preview.example"])


ELSEWHERE = {"REMOTE_ADDR": "10.0.0.1", "HTTP_HOST": "devbox.example"}


def test_from_elsewhere_with_the_key_alone(wide: flask.Flask) -> None:
    client, key = wide.test_client(), inspector(wide).guard.key
    base = "https://devbox.example"
    there = {"REMOTE_ADDR": "10.0.0.1"}

    def go(path: str) -> TestResponse:
        return client.get(path, base_url=base, environ_overrides=there)

    assert len(key) >= 32
    assert go("/_scopes/").status_code == 404
    assert go("/_scopes/?key=").status_code == 404
    assert go("/_scopes/?key=wrong").status_code == 404
    assert "X-Scopes" not in go("/orders").headers
    response = go(f"/_scopes/?key={key}")
    assert (response.status_code, response.location) == (302, "/_scopes/")
    (cookie,) = response.headers.getlist("Set-Cookie")
    assert re.search(r"; Secure; HttpOnly; Path=/; SameSite=Strict", cookie)
    assert go("/_scopes/").status_code == 200
    assert go("/orders").headers["X-Scopes"].startswith(f"{base}/_scopes/requests/")


def test_the_key_is_asked_of_everybody(wide: flask.Flask) -> None:
    assert wide.test_client().get("/_scopes/").status_code == 404


def test_the_key_opens_nothing_under_another_name(wide: flask.Flask) -> None:
    key = inspector(wide).guard.key
    client = wide.test_client()
    for host in ("rebound.example", "devbox.example.com", "10.0.0.2"):
        response = client.get(f"/_scopes/?key={key}", base_url=f"http://{host}")
        assert response.status_code == 404
    response = client.get(f"/_scopes/?key={key}", base_url="http://a.preview.example")
    assert response.status_code == 302
    for host, status in {"rebound.example": 404, "devbox.example": 200}.items():
        client.set_cookie("scopes_inspector", key, domain=host)
        response = client.get("/_scopes/", base_url=f"http://{host}")
        assert response.status_code == status


def test_a_cookie_that_is_no_text_is_no_key(wide: flask.Flask) -> None:
    client = wide.test_client(use_cookies=False)
    environ = {**ELSEWHERE, "HTTP_COOKIE": "tracker=\xff"}
    assert get(client, "/orders", **environ).text == "orders"


def test_after_ten_wrong_keys_none_is_right(wide: flask.Flask) -> None:
    client, guard = wide.test_client(), inspector(wide).guard
    stale = "of a process before"
    for _ in range(20):
        client.set_cookie("scopes_inspector", stale, domain="devbox.example")
        assert get(client, **ELSEWHERE).status_code == 404
    for number in range(8):
        get(client, f"/_scopes/?key={number}", **ELSEWHERE)
    assert guard.is_key(guard.key)
    get(client, "/_scopes/?key=the tenth", **ELSEWHERE)
    assert not guard.is_key(guard.key)
    assert get(client, f"/_scopes/?key={guard.key}", **ELSEWHERE).status_code == 404


def test_keys_of_two_apps_differ(make_app: MakeApp) -> None:
    apps = [make_app(SCOPES_INSPECTOR_HOSTS=["a.example"]) for _ in range(2)]
    one, two = (inspector(app).guard.key for app in apps)
    assert one != two


@pytest.mark.parametrize("hosts", ["devbox.example", [1], 5, [""], ["."]])
def test_hosts_are_a_list_of_names(make_app: MakeApp, hosts: object) -> None:
    with pytest.raises(SetupError, match="SCOPES_INSPECTOR_HOSTS in the app's config"):
        make_app(SCOPES_INSPECTOR_HOSTS=hosts)


# 5. Read-only.


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [*PAGES, "/_scopes/static/inspector.css"])
def test_nothing_can_be_done(client: Client, method: str, path: str) -> None:
    assert client.open(path, method=method).status_code == 405


def test_head_is_as_get_without_the_page(client: Client) -> None:
    response = client.head("/_scopes/")
    assert (response.status_code, response.data) == (200, b"")


# 9. Headers.


@pytest.mark.parametrize("path", [*PAGES, "/_scopes/missing", "/_scopes/requests.json"])
def test_the_headers_of_each_page(client: Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
        " frame-ancestors 'none'; base-uri 'none'"
    )
    assert headers.getlist("Cache-Control") == ["no-store"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Robots-Tag"] == "none"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Set-Cookie" not in headers


# 11. Silent about itself; and nobody else notices.


def test_its_own_requests_are_neither_recorded_nor_timed(
    app: flask.Flask, client: Client
) -> None:
    for path in PAGES:
        assert "X-Scopes" not in client.get(path).headers
        assert "Server-Timing" not in client.get(path).headers
    assert inspector(app).recorder.works.all() == []


def test_the_hooks_of_the_app_do_not_run_for_its_pages(
    app: flask.Flask, client: Client
) -> None:
    @app.before_request
    def refuse() -> t.NoReturn:
        flask.abort(401)

    @app.after_request
    def brand(response: flask.Response) -> flask.Response:
        response.headers["X-Shop"] = "yes"
        return response

    assert client.get("/orders").status_code == 401
    response = client.get("/_scopes/")
    assert response.status_code == 200
    assert "X-Shop" not in response.headers


def test_nothing_is_put_into_the_pages_of_the_app(
    app: flask.Flask, client: Client
) -> None:
    @app.get("/page")
    def page() -> str:
        return "<html><body>page</body></html>"

    assert client.get("/page").text == "<html><body>page</body></html>"
    assert "_scopes" not in str(app.url_map)


def test_a_path_that_only_looks_like_it_is_the_apps(
    app: flask.Flask, client: Client
) -> None:
    @app.get("/_scopes_of_mine")
    def mine() -> str:
        return "mine"

    assert client.get("/_scopes_of_mine").text == "mine"


# How to get there.


def test_each_response_says_where_it_is_shown(client: Client) -> None:
    response = client.get("/orders", base_url="http://127.0.0.1:5000")
    link = response.headers["X-Scopes"]
    assert link.startswith("http://127.0.0.1:5000/_scopes/requests/")
    page = client.get(link)
    assert page.status_code == 200
    assert "GET /orders" in page.text
    entries = response.headers["Server-Timing"].split(", ")
    assert [entry.partition(";")[0] for entry in entries] == ["orders", "teardown"]
    assert all(re.fullmatch(r"\w+;dur=\d+\.\d", entry) for entry in entries)


def test_below_a_prefix(app: flask.Flask) -> None:
    outer = flask.Flask("outer")
    application = DispatcherMiddleware(outer, {"/shop": app})
    client = PlainClient(application, TestResponse)
    link = client.get("/shop/orders", environ_overrides=HERE).headers["X-Scopes"]
    assert link.startswith("http://localhost/shop/_scopes/requests/")
    page = client.get(link.removeprefix("http://localhost"), environ_overrides=HERE)
    assert page.status_code == 200
    links = set(re.findall(r'(?:href|src|action)="([^"#]+)', page.text))
    assert links
    for each in links:
        assert each.startswith("/shop/_scopes/")
        path = each.replace("&amp;", "&")
        with client.get(path, environ_overrides=HERE) as response:
            assert response.status_code == 200
    assert client.get("/_scopes/", environ_overrides=HERE).status_code == 404


def test_a_name_cannot_add_a_header(
    app: flask.Flask, client: Client, scopes: Scopes
) -> None:
    def factory() -> int:
        return 1

    factory.__name__ = 'bad;name", \r\nSet-Cookie: x=1é'
    bad = scopes.request(factory)

    @app.get("/bad")
    def show() -> str:
        return str(bad())

    response = client.get("/bad")
    assert response.text == "1"
    assert response.headers["Server-Timing"].startswith(
        "bad_name_____Set-Cookie__x_1_;"
    )
    assert "Set-Cookie" not in response.headers


SHOP = """
import os
from flask import Flask
from flask_scopes import Scopes

scopes = Scopes()
app = Flask("shop")
app.config["SCOPES_INSPECTOR"] = app.debug
app.config["SCOPES_INSPECTOR_HOSTS"] = os.environ.get("HOSTS", "").split()
scopes.init_app(app)

@app.get("/")
def home():
    return "home"
"""


@pytest.mark.server
@pytest.mark.parametrize("hosts", ["", "devbox.example"])
def test_flask_run_prints_the_link(tmp_path: Path, hosts: str) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    command = [sys.executable, "-m", "flask", "--app", "shop", "run", "--debug"]
    command += ["--no-reload", "--port", "0"]
    environ = os.environ | {"PYTHONUNBUFFERED": "1", "HOSTS": hosts}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            lines = iter(process.stdout.readline, "")
            line = next(line for line in lines if "inspector" in line)
        finally:
            process.terminate()
    link = r" \* Scopes inspector: http://127\.0\.0\.1:[1-9]\d+/_scopes/"
    end = (
        r"\?key=\S{32} \(whoever has this link\)"
        if hosts
        else r" \(this machine only\)"
    )
    assert re.fullmatch(link + end, line.rstrip())


def test_another_server_logs_it_with_the_first_request(
    app: flask.Flask, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        client.get("/orders", base_url="http://localhost:8000")
    said = [each for each in caplog.messages if "inspector" in each]
    assert said == [
        "Scopes inspector: http://localhost:8000/_scopes/ (this machine only)"
    ]


def test_a_stranger_does_not_decide_what_is_logged(
    wide: flask.Flask, caplog: pytest.LogCaptureFixture
) -> None:
    client = wide.test_client()
    client.get("/orders", base_url="http://evil.example")
    assert "inspector" not in caplog.text
    client.get("/orders", base_url="http://devbox.example")
    assert "http://devbox.example/_scopes/?key=" in caplog.text
