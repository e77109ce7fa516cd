"""The pages of the inspector and their JSON: what they say, and what they never do."""

from __future__ import annotations

import collections
import collections.abc as c
import dataclasses
import gc
import html.parser
import logging
import re
import sys
import threading
import typing as t
import weakref

import flask
import jinja2
import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.test import run_wsgi_app

from flask_scopes import Scopes
from flask_scopes.inspector import shown_app
from flask_scopes.recording.leaks import Watch
from flask_scopes.recording.recorder import Recorder
from flask_scopes.recording.works import begin

SECRET = "hunter2"
PAGES = ["/", "/resources", "/graph", "/leaks", "/health", "/health?ask=1"]
HOSTILE = "<script>alert(1)</script>"


class Connection:
    def __repr__(self) -> str:
        return SECRET

    __str__ = __repr__


@dataclasses.dataclass
class Shop:
    """An app with an inspector, and somebody who looks."""

    app: flask.Flask
    client: t.Any

    def get(self, path: str, **options: t.Any) -> t.Any:
        return self.client.get(f"/_scopes{path}", **options)

    def page(self, path: str) -> str:
        response = self.get(path)
        assert response.status_code == 200
        assert response.content_type == "text/html; charset=utf-8"
        return str(response.get_data(as_text=True))

    def data(self, path: str) -> t.Any:
        response = self.get(path)
        assert response.status_code == 200
        assert response.content_type == "application/json"
        return response.get_json()

    def newest(self, text: str = "") -> t.Any:
        return self.data(f"/requests.json?text={text}")["requests"][0]

    @property
    def inspector(self) -> t.Any:
        return self.app.extensions["scopes"].inspector


held: list[object] = []


def add_resources(scopes: Scopes, app: flask.Flask) -> None:
    @scopes.application(ping=lambda made: made.fail())
    def engine() -> Connection:
        return Connection()

    @scopes.request
    def unit_of_work() -> c.Iterator[Connection]:
        engine()
        yield Connection()

    @scopes.request
    def repository() -> Connection:
        unit_of_work()
        return Connection()

    @scopes.request
    def audit_log() -> c.Iterator[Connection]:
        yield Connection()
        raise ConnectionError(SECRET)

    @scopes.request
    def broken() -> Connection:
        raise LookupError(f"{SECRET} {HOSTILE}")

    @scopes.request(until="sent")
    def lines() -> c.Iterator[list[str]]:
        yield ["a", "b"]

    def hostile() -> Connection:
        return Connection()

    hostile.__name__ = hostile.__qualname__ = HOSTILE
    add_views(app, repository, audit_log, broken, lines, scopes.request(hostile))


def add_views(app: flask.Flask, *resources: c.Callable[[], t.Any]) -> None:
    repository, audit_log, broken, lines, hostile = resources

    @app.get("/orders")
    def orders() -> str:
        repository()
        repository()
        return SECRET

    @app.get("/held")
    def hold() -> str:
        held.append(repository())
        return ""

    @app.get("/confirm")
    def confirm() -> str:
        repository()
        audit_log()
        return ""

    @app.get("/broken")
    def breaks() -> str:
        broken()
        return ""

    @app.get("/stream")
    def stream() -> flask.Response:
        def body() -> c.Iterator[str]:
            yield from lines()

        return flask.Response(flask.stream_with_context(body()))

    @app.get("/hostile/<path:rest>")
    def show_hostile(rest: str) -> str:
        hostile()
        return rest


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> jinja2.BytecodeCache:
    """Each app has templates of its own, and to compile them takes longest."""
    return jinja2.FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def shop(scopes: Scopes, compiled: jinja2.BytecodeCache) -> c.Iterator[Shop]:
    app = flask.Flask("shop")
    app.debug = True
    app.config.update(SCOPES_INSPECTOR=True, PROPAGATE_EXCEPTIONS=False)
    scopes.init_app(app)
    add_resources(scopes, app)
    shop = Shop(app, app.test_client())
    shop.inspector.pages.jinja_env.bytecode_cache = compiled
    yield shop
    held.clear()


def ask(shop: Shop, *paths: str) -> None:
    for path in paths:
        shop.client.get(path).get_data()


class Reader(html.parser.HTMLParser):
    """What there is in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for each, attrs in self.tags if each == tag]


def every_page(shop: Shop) -> list[str]:
    ask(shop, "/orders", "/confirm", "/broken", "/stream", f"/hostile/{HOSTILE}?page=2")
    works = shop.data("/requests.json")["requests"]
    return [*PAGES, *(f"/requests/{work['id']}" for work in works)]


# ---- Each page ---------------------------------------------------------------


def test_no_page_has_scripts_or_looks_of_its_own(shop: Shop) -> None:
    for path in every_page(shop):
        read = Reader(shop.page(path))
        assert not read.all("script")
        assert not read.all("style")
        for tag, attrs in read.tags:
            assert "style" not in attrs, (path, tag)
            assert not any(name.startswith("on") for name in attrs), (path, tag)
            for name in ("href", "src", "action"):
                assert not (attrs.get(name) or "").startswith(("http", "//", "data:"))


def test_each_page_can_be_found_ones_way_in_without_seeing_it(shop: Shop) -> None:
    for path in every_page(shop):
        read = Reader(shop.page(path))
        assert [attrs["lang"] for attrs in read.all("html")] == ["en"]
        assert len(read.all("h1")) == len(read.all("main")) == len(read.all("nav")) == 1
        current = [attrs for attrs in read.all("a") if "aria-current" in attrs]
        assert len(current) == 1
        assert read.all("a")[0]["href"] == "#main"
        ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
        assert not [each for each, n in collections.Counter(ids).items() if n > 1]
        links = {(attrs.get("href") or "") for attrs in read.all("a")}
        assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_each_page_has_a_twin_in_json_and_answers_head(shop: Shop) -> None:
    for path in every_page(shop):
        twin = "/requests.json" if path == "/" else path.replace("?", ".json?")
        twin = twin if ".json" in twin else f"{twin}.json"
        found = shop.data(twin)
        assert (found["app"], found["several"]) == ("shop", False)
        for each in (path, twin):
            response = shop.client.head(f"/_scopes{each}")
            assert (response.status_code, response.data) == (200, b"")


def test_each_page_says_what_it_is_of(shop: Shop) -> None:
    for path in every_page(shop):
        assert "this worker only · 5 kept · since" in shop.page(path)
    response = shop.get("/", environ_overrides={"wsgi.multiprocess": True})
    assert "this worker only, of several" in response.text


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/requests/0123456789ab",
        "/requests/short",
        "/requests/..%2f..%2fapp.py",
    ],
)
@pytest.mark.parametrize("end", ["", ".json", ".html"])
def test_what_is_not_there_is_not_found(shop: Shop, path: str, end: str) -> None:
    response = shop.get(path + end)
    assert response.status_code == 404
    assert "Not here" in response.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/health", "/leaks.json"])
def test_the_pages_themselves_only_let_look(shop: Shop, method: str, path: str) -> None:
    environ = EnvironBuilder(path, method=method).get_environ()
    _, status, _ = run_wsgi_app(shop.inspector.pages, environ)
    assert status.startswith("405")


def test_a_page_that_fails_says_so_and_nothing_else(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise LookupError(SECRET)

    monkeypatch.setattr(shown_app, "resources", fail)
    for path in ("/resources", "/resources.json"):
        response = shop.get(path)
        assert response.status_code == 500
        assert response.text == "inspector page failed: LookupError\n"
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert shop.get("/").status_code == 200


def test_what_is_around_the_pages_may_fail_as_well(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError(SECRET)

    monkeypatch.setattr(shown_app, "frame", fail)
    for path in ("/", "/requests.json", "/nowhere"):
        response = shop.get(path)
        assert (response.status_code, SECRET in response.text) == (500, False)
        assert "inspector page failed" in response.text


def test_an_app_goes_when_it_is_dropped(scopes: Scopes) -> None:
    app = flask.Flask("shop")
    # (To set `debug` makes its templates, which are in a cycle with it.)
    app.config.update(DEBUG=True, SCOPES_INSPECTOR=True)
    scopes.init_app(app)
    pages = app.extensions["scopes"].inspector.pages
    for path in PAGES:
        run_wsgi_app(pages, EnvironBuilder(path).get_environ(), buffered=True)
    reference, home = weakref.ref(app), weakref.ref(app.extensions["scopes"])
    gc.collect()
    gc.disable()
    try:
        del app
        assert (reference(), home()) == (None, None)
    finally:
        gc.enable()
    _, status, _ = run_wsgi_app(pages, EnvironBuilder("/").get_environ())
    assert status.startswith("500")


# ---- Names, never values -----------------------------------------------------


def test_hostile_names_are_text(shop: Shop) -> None:
    paths = every_page(shop)
    # In the JSON they are text in any case, and no browser takes that for a page.
    assert any("&lt;script&gt;" in shop.page(path) for path in paths)
    for path in [*paths, f"/?text={HOSTILE}", f"/?show={HOSTILE}"]:
        assert "<script" not in shop.page(path).lower(), path


def test_a_saved_file_escapes_them_too(shop: Shop) -> None:
    ask(shop, f"/hostile/{HOSTILE}")
    saved = shop.get(f"/requests/{shop.newest()['id']}.html")
    assert "<script" not in saved.text.lower()


def test_no_value_is_on_any_page(scopes: Scopes) -> None:
    app = flask.Flask("shop")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    scopes.init_app(app)
    add_resources(scopes, app)
    home, watch = app.extensions["scopes"], Watch()
    recorder = Recorder(home, lambda: False)
    home.events.add(recorder)
    home.events.add(watch)
    from flask_scopes.inspector.pages import make_pages

    looker = Shop(app, make_pages(home, recorder, watch).test_client())
    client = app.test_client()
    for path in ("/orders", "/held", "/confirm", "/broken", "/stream"):
        client.get(f"{path}?token={SECRET}").get_data()
    works = looker.client.get("/requests.json").get_json()["requests"]
    assert len(works) == 5
    paths = [*PAGES, "/graph.json", "/leaks.json", "/resources.json"]
    for work in works:
        assert work["kind"] == "unit"
        paths += [f"/requests/{work['id']}{end}" for end in ("", ".json", ".html")]
    for path in paths:
        response = looker.client.get(path)
        assert response.status_code == 200
        assert SECRET not in response.text, path
    held.clear()


def test_a_query_string_is_told_by_its_keys(shop: Shop) -> None:
    ask(shop, f"/orders?page={SECRET}&sort={SECRET}")
    assert shop.newest()["keys"] == ["page", "sort"]
    for path in ("/", f"/requests/{shop.newest()['id']}"):
        assert "?page&amp;sort" in shop.page(path)
        assert SECRET not in shop.page(path)


# ---- Requests ----------------------------------------------------------------


def test_the_list_says_what_went_wrong(shop: Shop) -> None:
    ask(shop, "/orders", "/confirm", "/broken")
    broken, confirm, orders = shop.data("/requests.json")["requests"]
    assert (orders["status"], orders["outcome"], orders["problems"]) == (
        200,
        "committed",
        [],
    )
    assert (confirm["view_status"], confirm["status"]) == (200, 500)
    assert [each["text"] for each in confirm["problems"]] == [
        "audit_log: teardown raised ConnectionError"
    ]
    assert confirm["problems"][0]["outcome"] == "rolled back"
    assert [each["text"] for each in broken["problems"]] == [
        "broken: factory raised LookupError"
    ]
    page = shop.page("/")
    assert "200→500" in page
    assert "audit_log: teardown raised ConnectionError; rolled back" in page
    assert page.index("/broken") < page.index("/confirm") < page.index("/orders")


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("", ["/broken", "/confirm", "/orders"]),
        ("text=ORD", ["/orders"]),
        ("text=repository", ["/confirm", "/orders"]),
        ("show=problems", ["/broken", "/confirm"]),
        ("show=problems&text=audit", ["/confirm"]),
        ("show=slow", []),
        ("text=nowhere", []),
    ],
)
def test_the_list_can_be_filtered(shop: Shop, query: str, paths: list[str]) -> None:
    ask(shop, "/orders", "/confirm", "/broken")
    found = shop.data(f"/requests.json?{query}")["requests"]
    assert [work["path"] for work in found] == paths
    page = shop.page(f"/?{query}")
    assert all(
        (f">{path}" in page) == (path in paths) for path in ("/orders", "/broken")
    )
    assert ("None of the 3" in page) == (not paths)


def test_the_form_keeps_what_was_asked_and_can_be_asked_again(shop: Shop) -> None:
    ask(shop, "/orders")
    read = Reader(shop.page("/?text=ord&show=problems"))
    assert [attrs["value"] for attrs in read.all("input") if "checked" in attrs] == [
        "problems"
    ]
    assert read.all("input")[0]["value"] == "ord"
    links = [attrs["href"] for attrs in read.all("a")]
    assert "/_scopes/?text=ord&show=problems" in links


def test_an_empty_list_says_how_to_fill_it(shop: Shop) -> None:
    page = shop.page("/")
    assert "No requests yet." in page
    assert "Open the app in another tab, then press Refresh" in page


def test_what_is_in_progress_is_shown_as_such(shop: Shop) -> None:
    work = begin("request", "GET /slow")
    shop.inspector.recorder.works.follow(work)
    assert shop.newest()["in_progress"]
    assert "in progress" in shop.page("/")
    assert "in progress" in shop.page(f"/requests/{work.id}")


def test_commands_and_units_are_listed_too(shop: Shop, scopes: Scopes) -> None:
    @shop.app.cli.command("import-prices")
    def import_prices() -> None:
        made()

    @scopes.request
    def made() -> c.Iterator[list[int]]:
        yield []

    shop.app.test_cli_runner().invoke(args=["import-prices"])
    # As the environment says, which Flask asks for a command.
    shop.app.debug = True
    with scopes.unit(shop.app):
        made()
    unit, command = shop.data("/requests.json")["requests"]
    assert (unit["kind"], command["kind"]) == ("unit", "command")
    assert command["path"].endswith("import-prices")
    assert "the work is done" in shop.page(f"/requests/{command['id']}")


# ---- One request -------------------------------------------------------------


def test_a_request_is_told_object_by_object(shop: Shop) -> None:
    ask(shop, "/orders", "/confirm")
    found = shop.data(f"/requests/{shop.newest()['id']}.json")
    assert found["said"] == "the view said 200; a teardown raised"
    objects = {each["name"]: each for each in found["objects"]}
    assert list(objects) == ["engine", "unit_of_work", "repository", "audit_log"]
    unit = objects["unit_of_work"]
    assert (unit["asked_by"], unit["used_by"], unit["asks"]) == (
        "repository",
        ["repository"],
        ["engine"],
    )
    assert unit["asked_at"].endswith(tuple(f":{n}" for n in range(70, 100)))
    assert unit["usual_of"] == 2
    assert objects["repository"]["own"] < objects["repository"]["took"]
    assert objects["engine"]["before"]
    assert [each["letter"] for each in objects.values()] == ["A", "R", "R", "R"]
    audit = objects["audit_log"]
    assert (audit["failure"], audit["failed_in"]) == (
        f"ConnectionError: {SECRET}",
        "teardown",
    )


def test_the_picture_and_the_table_say_the_same(shop: Shop) -> None:
    ask(shop, "/confirm")
    work = shop.newest()
    page = shop.page(f"/requests/{work['id']}")
    read = Reader(page)
    images = [attrs for attrs in read.all("svg") if attrs.get("role") == "img"]
    assert len(images) == 1
    names = ["engine", "unit_of_work", "repository", "audit_log"]
    assert all(f'<th scope="row">{name}' in page for name in names)
    rows = [attrs["id"] for attrs in read.all("li")]
    assert sorted(filter(None, rows)) == ["row-1", "row-2", "row-3", "row-4"]
    titled = page.count("<rect") - page.count('<rect class="wait"')
    legend = 3
    assert (
        page.count("<title>building")
        + page.count("<title>alive")
        + page.count("<title>tearing down")
        == titled - legend
    )
    assert "view over, nothing sent" in page
    assert "the response begins to leave" in page


def test_a_request_without_objects_teaches(shop: Shop) -> None:
    ask(shop, "/nowhere")
    assert "No resource was used" in shop.page(f"/requests/{shop.newest()['id']}")


def test_what_is_too_much_is_counted(shop: Shop) -> None:
    work = begin("request", "GET /many")
    shop.inspector.recorder.works.keep(work)
    ask(shop, "/orders")
    work.rows += shop.inspector.recorder.works.past[-1].rows
    work.dropped = 30
    assert "30 more objects are not shown" in shop.page(f"/requests/{work.id}")


def test_neighbours_are_a_key_away(shop: Shop) -> None:
    ask(shop, "/orders", "/confirm", "/broken")
    ids = [work["id"] for work in shop.data("/requests.json")["requests"]]
    read = Reader(shop.page(f"/requests/{ids[1]}"))
    keys = {
        attrs["accesskey"]: attrs["href"] for attrs in read.all("a") if "rel" in attrs
    }
    assert keys == {
        "k": f"/_scopes/requests/{ids[0]}",
        "j": f"/_scopes/requests/{ids[2]}",
    }


def test_a_request_can_be_saved_as_one_file(shop: Shop) -> None:
    ask(shop, "/confirm")
    name = shop.newest()["id"]
    saved = shop.get(f"/requests/{name}.html")
    assert saved.headers["Content-Disposition"] == (
        f"attachment; filename=scopes-{name}.html"
    )
    read = Reader(saved.text)
    assert not read.all("script")
    assert not read.all("link")
    assert len(read.all("style")) == 1
    assert ".timeline" in saved.text
    assert {(attrs["href"] or "")[0] for attrs in read.all("a")} == {"#"}


# ---- Resources, graph, leaks, health -----------------------------------------


def test_resources_have_documented_keys(shop: Shop) -> None:
    ask(shop, "/orders", "/orders")
    found = {each["name"]: each for each in shop.data("/resources.json")["resources"]}
    unit = found["unit_of_work"]
    assert {
        "name": unit["name"],
        "scope": unit["scope"],
        "alive": unit["alive"],
        "built": unit["built"],
        "failed": unit["failed"],
        "uses": unit["uses"],
        "used_by": unit["used_by"],
        "has_teardown": unit["has_teardown"],
    } == {
        "name": "unit_of_work",
        "scope": "request",
        "alive": 0,
        "built": 2,
        "failed": 0,
        "uses": ["engine"],
        "used_by": ["repository"],
        "has_teardown": True,
    }
    assert unit["type"].endswith("Connection")
    assert unit["place"].startswith("tests/look/test_pages.py:")
    for key in ("build_median_ms", "build_worst_ms", "close_median_ms"):
        assert unit[key] >= 0
        assert found["broken"][key] is None
    assert found["engine"]["alive"] == 1
    assert found["lines"]["scope"] == "until sent"
    assert (found["lines"]["letter"], found["engine"]["letter"]) == ("R", "A")
    page = shop.page("/resources")
    assert all(name in page for name in found if name != HOSTILE)
    bands = re.findall(r'scope="rowgroup">([a-z ]+)', page)
    assert bands == ["application", "until sent", "request"]


def test_the_graph_says_what_was_seen_and_what_was_read(shop: Shop) -> None:
    before = shop.page("/graph")
    ask(shop, "/orders")
    after = shop.page("/graph")
    text = "repository uses unit_of_work (seen)"
    assert (text in before, text in after) == (False, True)
    assert "repository uses unit_of_work (read in the source" in before
    assert "flowchart TD" in after
    assert after.count('class="node') == len(shop.data("/graph.json")["resources"])


def test_pages_can_be_read_while_resources_and_uses_are_added(
    shop: Shop, scopes: Scopes
) -> None:
    made: list[t.Any] = []
    over = threading.Event()

    def one() -> int:
        return 1

    @scopes.request
    def everything(number: int) -> object:
        return made[number]()

    def add() -> None:
        try:
            for number in range(200):
                made.append(scopes.request(one))
                with shop.app.test_request_context():
                    everything(number)
        finally:
            over.set()

    adding = threading.Thread(target=add)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        adding.start()
        while not over.is_set():
            shop.data("/resources.json")
    finally:
        adding.join()
        sys.setswitchinterval(before)
    resources = shop.data("/resources.json")["resources"]
    (told,) = [each for each in resources if each["name"] == "everything"]
    assert set(told["uses"]) == {"one"}


def test_the_graph_names_what_cannot_work(shop: Shop, scopes: Scopes) -> None:
    @scopes.request
    def tenant() -> list[str]:
        return []

    @scopes.application
    def cache() -> list[str]:
        return tenant()

    found = shop.data("/graph.json")
    names = {each["id"]: each["name"] for each in found["resources"]}
    wrong = [[names[user], names[used]] for user, used in found["wrong"]]
    assert wrong == [["cache", "tenant"]]
    assert "cache (application scope) uses tenant (request scope)" in shop.page(
        "/graph"
    )
    assert cache.__name__ == "cache"


def test_leaks_are_facts(shop: Shop) -> None:
    ask(shop, "/confirm", "/confirm", "/held")
    found = shop.data("/leaks.json")
    assert found["problems"] == 2
    (raised,) = found["teardowns"]
    assert (raised["resource"], raised["times"], raised["of"]) == ("audit_log", 2, 2)
    (leak,) = found["still_referenced"]
    assert leak["resource"] == "repository"
    assert "held" in leak["holders"][0]
    page = shop.page("/leaks")
    assert "2 of 2 times, last" in page
    assert leak["holders"][0] in page
    # From now on it is counted everywhere.
    assert '<b class="alarm">2</b>' in shop.page("/")


def test_no_leaks_are_said_to_be_none(shop: Shop) -> None:
    ask(shop, "/orders")
    assert "No problems." in shop.page("/leaks")
    assert "alarm" not in shop.page("/leaks")


@pytest.mark.scopes_may_leak("it is what is looked at")
def test_a_unit_that_nobody_ended_is_told(shop: Shop, scopes: Scopes) -> None:
    @scopes.request
    def session() -> c.Iterator[list[str]]:
        yield []

    with shop.app.test_request_context():
        session()
        # As if it was never popped: its unit goes without an end.
        shop.app.extensions["scopes"].events.lose(
            flask.globals._cv_app.get().scopes_unit  # type: ignore[attr-defined]  # ours
        )
        found = shop.data("/leaks.json")["lost_units"]
        assert [each["resource"] for each in found[0]["objects"]] == ["session"]
        assert "<b>session</b>" in shop.page("/leaks")


def test_health_asks_only_when_it_is_pressed(shop: Shop) -> None:
    (known,) = shop.data("/health.json")["pings"]
    assert (known["name"], known["status"]) == ("engine", None)
    assert "not asked" in shop.page("/health")
    assert "not used yet" in shop.page("/health?ask=1")
    ask(shop, "/orders")
    (asked,) = shop.data("/health.json?ask=1")["pings"]
    assert (asked["status"], asked["error"]) == ("failed", "AttributeError")
    page = shop.page("/health?ask=1")
    assert "AttributeError" in page
    assert "has no attribute" not in page
    assert "not asked" in shop.page("/health?ask=2")


def test_looking_is_not_recorded(shop: Shop) -> None:
    for path in PAGES:
        shop.page(path)
    assert shop.data("/requests.json")["requests"] == []
