"""Make the pictures of the inspector in docs/images.

    .venv/bin/python docs/pictures.py [folder]

A small shop answers real requests, and Chromium looks at them. Times are waited for, so
the pictures differ from run to run by less than one sees.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import json
import pathlib
import shutil
import sqlite3
import sys
import threading
import time
import typing as t
import urllib.error
import urllib.request

import flask
from werkzeug.serving import WSGIRequestHandler
from werkzeug.serving import make_server

from flask_scopes import Scopes

WIDTH: t.Final = 1000

scopes = Scopes()
kept: list[object] = []


def wait(ms: float) -> None:
    time.sleep(ms / 1000)


class Settings(dict[str, str]):
    """What an application object may be."""


class Client:
    """As if it was one of MongoDB's."""

    def close(self) -> None: ...


class Account:
    """Who asks."""


class Orders:
    """A repository."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def read(self) -> None:
        self.connection.execute("select 1").fetchone()
        wait(4)


class AuditLog:
    def write(self) -> None:
        wait(2)


@scopes.application
def settings() -> Settings:
    wait(1)
    return Settings(audit="down", why="audit sink refused")


@scopes.application(ping=lambda client: True)
def mongo() -> c.Iterator[Client]:
    wait(12)
    settings()
    with contextlib.closing(Client()) as client:
        yield client


@scopes.application(ping=lambda path: sqlite3.connect(path).close())
def engine() -> str:
    wait(20)
    settings()
    return ":memory:"


@scopes.session
def cart() -> list[str]:
    return []


@scopes.request
def current_account() -> Account:
    mongo()
    wait(3)
    return Account()


@scopes.request
def orders_db() -> Client:
    mongo()
    wait(1.5)
    return Client()


@scopes.request
def unit_of_work() -> c.Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(engine())
    wait(21 if flask.request.path == "/orders" else 5)
    try:
        yield connection
    finally:
        wait(9)
        connection.close()


@scopes.request
def order_repository() -> Orders:
    wait(1)
    return Orders(unit_of_work())


@scopes.request
def audit_log() -> c.Iterator[AuditLog]:
    wait(1)
    yield AuditLog()
    wait(2)
    if settings()["audit"] == "down":
        raise ConnectionError(settings()["why"])


@scopes.request(until="sent")
def receipt() -> c.Iterator[list[str]]:
    mongo()
    wait(2)
    yield ["118", "paid"]
    wait(1)


def make_app() -> flask.Flask:
    app = flask.Flask("shop")
    app.debug = True
    app.logger.disabled = True
    app.secret_key = "for a picture"
    app.config.update(SCOPES_INSPECTOR=True, PROPAGATE_EXCEPTIONS=False)
    scopes.init_app(app)
    add_views(app)
    return app


def add_views(app: flask.Flask) -> None:
    @app.get("/")
    def index() -> str:
        return "A shop"

    @app.get("/orders")
    def orders() -> str:
        current_account()
        order_repository().read()
        return "orders"

    @app.get("/orders/<int:number>")
    def order(number: int) -> str:
        current_account()
        order_repository().read()
        if flask.request.args:
            kept.append(current_account())
        return "an order"

    @app.post("/orders/<int:number>/confirm")
    def confirm(number: int) -> str:
        settings()
        current_account()
        orders_db()
        repository = order_repository()
        cart().append("book")
        wait(3)
        settings()
        repository.read()
        current_account()
        orders_db()
        repository.read()
        unit_of_work()
        audit_log().write()
        order_repository().read()
        return "confirmed"

    @app.get("/receipts/<int:number>")
    def show_receipt(number: int) -> flask.Response:
        current_account()

        def lines() -> c.Iterator[str]:
            for line in receipt():
                wait(6)
                yield line

        return flask.Response(flask.stream_with_context(lines()))


class Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """Nobody reads it."""


def ask(address: str, path: str, method: str = "GET") -> None:
    with contextlib.suppress(urllib.error.HTTPError):
        request = urllib.request.Request(address + path, method=method)
        urllib.request.urlopen(request).read()


@contextlib.contextmanager
def serving(app: flask.Flask) -> c.Iterator[str]:
    """The address of *app*, on this machine, in a thread."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main(folder: pathlib.Path) -> None:
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with serving(make_app()) as address, sync_playwright() as playwright:
        for path in ("/", "/orders", "/orders/118", "/nowhere", "/receipts/118"):
            ask(address, path)
        ask(address, "/orders/118?page=2&sort=date")
        ask(address, "/orders/118/confirm", "POST")
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        look(browser, address, folder)
        browser.close()


def look(browser: t.Any, address: str, folder: pathlib.Path) -> None:
    root = f"{address}/_scopes"
    with urllib.request.urlopen(f"{root}/requests.json") as answer:
        confirm = f"{root}/requests/{json.load(answer)['requests'][0]['id']}"
    picture(browser, confirm, folder / "timeline.png", ".legend")
    dark = folder / "timeline-dark.png"
    picture(browser, confirm, dark, ".legend", color_scheme="dark")
    picture(browser, f"{root}/", folder / "requests.png", ".works")
    picture(browser, f"{root}/graph", folder / "graph.png", ".legend")
    picture(browser, f"{root}/leaks", folder / "leaks.png", ".facts")
    picture(browser, f"{root}/resources", folder / "resources.png", ".resources")


def picture(
    browser: t.Any, url: str, path: pathlib.Path, last: str, **options: t.Any
) -> None:
    """Write to *path* what there is at *url*, as far as to the element *last*."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": 400}, device_scale_factor=2, **options
    )
    page = context.new_page()
    page.goto(url)
    box = page.locator(last).bounding_box()
    height = box["y"] + box["height"] + 8
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": height}
    page.screenshot(path=path, clip=clip, full_page=True)
    context.close()


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    main(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "images")
