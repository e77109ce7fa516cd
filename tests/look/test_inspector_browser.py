"""The inspector in a real browser: nothing is refused, nothing sticks out, and all can
be reached by keys."""

from __future__ import annotations

import collections.abc as c
import contextlib
import json
import shutil
import threading
import typing as t
import urllib.error
import urllib.request

import flask
import pytest
from werkzeug.serving import make_server

from flask_scopes import Scopes
from flask_scopes import process

api: t.Any = pytest.importorskip(
    "playwright.sync_api", reason="only the tools for development bring Playwright"
)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.server

LONG = "a_resource_with_a_name_that_is_longer_than_any_phone_is_wide_and_then_some"


def make_app() -> flask.Flask:
    scopes = Scopes()
    app = flask.Flask("shop")
    app.config.update(DEBUG=True, SCOPES_INSPECTOR=True, PROPAGATE_EXCEPTIONS=False)
    app.logger.disabled = True
    scopes.init_app(app)

    @scopes.application(ping=bool)
    def engine() -> list[int]:
        return [1]

    @scopes.request
    def unit_of_work() -> c.Iterator[list[int]]:
        yield engine()

    def long() -> c.Iterator[list[int]]:
        unit_of_work()
        yield []
        raise ConnectionError("refused " * 30)

    long.__name__ = long.__qualname__ = LONG
    named = scopes.request(long)

    @app.get("/orders/<path:rest>")
    def orders(rest: str) -> str:
        for _ in range(3):
            named()
        return rest

    return app


@contextlib.contextmanager
def serving(app: flask.Flask) -> c.Iterator[str]:
    for home in process.homes():
        # An app of an earlier test, whose database is gone by now, cannot start any
        # more, and would end the server.
        home.store().started = True
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def chromium() -> c.Iterator[t.Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as playwright:
        options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address() -> c.Iterator[str]:
    with serving(make_app()) as root:
        for path in ("/orders/118", f"/orders/{'x' * 150}?page=2", "/nowhere"):
            with contextlib.suppress(urllib.error.HTTPError):
                urllib.request.urlopen(root + path).close()
        yield f"{root}/_scopes"


@contextlib.contextmanager
def looking(chromium: t.Any, **options: t.Any) -> c.Iterator[t.Any]:
    """A page, which may complain of nothing."""
    context = chromium.new_context(**options)
    context.set_default_timeout(5000)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(request.failure))
    # Run by the browser itself, whatever the page may.
    page.add_init_script(
        "addEventListener('securitypolicyviolation',"
        " event => console.log(event.violatedDirective))"
    )
    yield page
    # An icon may still be on its way when the page is left; and one is not there.
    expected = "net::ERR_ABORTED", "Failed to load resource: the server responded"
    assert [text for text in said if not text.startswith(expected)] == []
    context.close()


@pytest.fixture(scope="module")
def one(address: str) -> str:
    """The page of a request."""
    with urllib.request.urlopen(f"{address}/requests.json?text=/118") as answer:
        return f"/requests/{json.load(answer)['requests'][0]['id']}"


PAGES = ["/", "/resources", "/graph#r2", "/leaks", "/health?ask=1", "/nowhere"]


@pytest.mark.parametrize(("width", "theme"), [(375, "light"), (1120, "dark")])
def test_each_page_is_as_wide_as_the_window(
    chromium: t.Any, address: str, one: str, width: int, theme: str
) -> None:
    size = {"width": width, "height": 812}
    with looking(chromium, viewport=size, color_scheme=theme) as page:
        for path in [*PAGES, one, f"{one}#row-3"]:
            page.goto(address + path)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide == width, path
            styled = page.evaluate("getComputedStyle(document.body).margin")
            assert styled == "0px", path


def test_bars_lie_in_their_column(chromium: t.Any, address: str, one: str) -> None:
    with looking(chromium) as page:
        page.goto(address + one)
        frame = page.locator(".frame").bounding_box()
        bars = page.locator(".bars rect")
        assert bars.count() == 8
        for bar in bars.all():
            box = bar.bounding_box()
            assert box["width"] >= 1
            assert box["x"] >= frame["x"] - 1
            assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1


def test_all_can_be_reached_by_keys(chromium: t.Any, address: str, one: str) -> None:
    with looking(chromium) as page:
        page.goto(address + one)
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert focused.inner_text() == "Skip to the content"
        assert focused.bounding_box()["x"] >= 0
        page.keyboard.press("Enter")
        details = page.locator("#row-3 .more")
        assert not details.is_visible()
        page.locator("a[href='#row-3']").focus()
        outline = page.locator(":focus").evaluate(
            "e => getComputedStyle(e).outlineStyle"
        )
        assert outline == "solid"
        page.keyboard.press("Enter")
        assert details.is_visible()
        assert "first asked by" in details.inner_text()
        # The row is where one is now: first its name, then what it has opened.
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert not details.is_visible()


def test_a_resource_is_selected_in_the_graph(chromium: t.Any, address: str) -> None:
    with looking(chromium) as page:
        page.goto(f"{address}/graph")
        rings = page.locator(".ring:visible")
        assert rings.count() == 0
        page.locator("#r2 a rect").click()
        assert page.url.endswith("#r2")
        assert rings.count() == 2


def test_the_form_filters(chromium: t.Any, address: str) -> None:
    with looking(chromium) as page:
        page.goto(f"{address}/")
        assert page.locator(".works tbody tr").count() == 3
        page.fill("[name=text]", "nowhere")
        page.click("button:has-text('Filter')")
        assert page.locator(".works tbody tr").count() == 1
        page.click("text=Refresh")
        assert page.locator(".works tbody tr").count() == 1
        assert page.input_value("[name=text]") == "nowhere"


def test_a_saved_file_needs_nothing_else(
    chromium: t.Any, address: str, one: str, tmp_path: t.Any
) -> None:
    with looking(chromium, accept_downloads=True) as page:
        page.goto(address + one)
        with page.expect_download() as saving:
            page.click("text=Save as file")
        path = tmp_path / saving.value.suggested_filename
        saving.value.save_as(path)
        page.goto(path.as_uri() + "#row-3")
        assert page.locator("#row-3 .more").is_visible()
        assert not page.locator("#row-1 .more").is_visible()
        assert page.locator(".bars rect.build").first.bounding_box()["height"] == 14
