"""What the pytest plugin does, in runs of pytest of their own."""

from __future__ import annotations

import collections.abc as c
import pathlib
import re
import sys
import typing as t

import flask
import pytest

from flask_scopes import Scopes
from flask_scopes.pytest_plugin import ScopesOverride

pytest_plugins = ["pytester"]

# Hypothesis takes longer than all else: it looks for what it might test.
OPTIONS = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:cov")

SHOP = """\
import flask
import pytest
from flask_scopes import Scopes

scopes = Scopes()
RECENT = []


class Cart:
    pass


@scopes.request
def cart():
    yield Cart()


@scopes.application
def table():
    return Cart()


def make_app():
    app = flask.Flask("shop")
    app.testing = True
    scopes.init_app(app)

    @app.get("/")
    def index():
        cart(), cart(), table()
        return "hello"

    @app.get("/keep")
    def keep():
        RECENT.append(cart())
        return ""

    @app.get("/no")
    def no():
        cart()
        flask.abort(404)

    @app.get("/raise")
    def fail():
        cart()
        raise LookupError

    return app
"""

HEAD = """\
import contextvars, gc, threading, unittest
import flask
import pytest
import shop
from shop import cart, scopes

@pytest.fixture
def app():
    return shop.make_app()

@pytest.fixture
def client(app):
    return app.test_client()

"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> t.Any:
    def run(tests: str, *options: str, **ini: str) -> pytest.RunResult:
        """Run *tests*, and what they share, in a process of their own."""
        lines = "\n".join(f"{name} = {value}" for name, value in ini.items())
        pytester.makeini(
            "[pytest]\naddopts = --strict-config --strict-markers\n"
            f"filterwarnings = error\npythonpath = .\n{lines}\n"
        )
        pytester.makepyfile(shop=SHOP, test_it=HEAD + tests)
        return pytester.runpytest_subprocess(*OPTIONS, *options, timeout=100)

    return run


Run = t.Callable[..., pytest.RunResult]


def left(result: pytest.RunResult) -> list[str]:
    """The names of the tests that failed as they were torn down."""
    return re.findall(r"ERROR at teardown of ([\w.]+)", result.stdout.str())


LEAVING = """\
# ---- Which are told of

def test_pushed(app):
    app.app_context().push()
    cart()

def test_pushed_request(app):
    app.test_request_context().push()
    cart()

@pytest.fixture
def careless(app):
    app.app_context().push()
    cart()

def test_fixture(careless):
    pass

def test_lost(app):
    def abandon():
        app.app_context().push()
        cart()
    contextvars.Context().run(abandon)

def test_thread(app):
    contexts = []
    def abandon():
        app.app_context().push()
        contexts.append(contextvars.copy_context())
        cart()
        shop.KEPT = contexts
    thread = threading.Thread(target=abandon)
    thread.start()
    thread.join()

def test_kept(client):
    client.get("/keep")

class TestCase(unittest.TestCase):
    def test_kept_in_a_case(self):
        shop.make_app().test_client().get("/keep")

@pytest.mark.scopes_may_leak
def test_no_reason():
    pass

# ---- And which are not

def test_clean(client):
    assert client.get("/").text == "hello"

def test_closure(app, client):
    seen = []
    @app.get("/seen")
    def view():
        seen.append(cart())
        return ""
    client.get("/seen")
    assert seen

@pytest.fixture
def log():
    return []

def test_fixtures_list(app, log):
    with app.app_context():
        log.append(cart())

class Diary:
    def __init__(self):
        self.notes = []

@pytest.fixture(scope="module")
def diary():
    return Diary()

def test_wider_fixture(app, diary):
    with app.app_context():
        diary.notes.append([cart()])

@pytest.mark.parametrize("value", [shop.Cart()])
def test_parameter(app, value):
    given = scopes.request(lambda: value)
    with app.app_context():
        given()

class TestInstance:
    def test_attribute(self, app):
        with app.app_context():
            self.cart = cart()

@pytest.fixture(scope="module")
def outer():
    app = shop.make_app()
    app.test_client().get("/keep")
    with app.app_context():
        yield app

def test_within_a_wider_context(outer):
    cart()
    assert outer.test_client().get("/").text == "hello"

def test_after_it(outer):
    cart()

@pytest.mark.scopes_may_leak("it is about that")
def test_marked(client):
    client.get("/keep")

def test_raises(app, client):
    with pytest.raises(LookupError) as caught:
        client.get("/raise")

def test_stream(app, client):
    @scopes.request(until="sent")
    def rows():
        yield shop.Cart()
    @app.get("/rows")
    def view():
        return flask.stream_with_context(iter([str(rows())]))
    assert client.get("/rows").status_code == 200

@pytest.mark.xfail(raises=ZeroDivisionError)
def test_fails(client):
    client.get("/keep")
    1 / 0

def double(n):
    '''
    >>> app = shop.make_app()
    >>> with app.app_context():
    ...     held = cart()
    '''
"""


def test_a_test_that_leaves_something_fails_and_says_what_where_and_why(
    run: Run,
) -> None:
    result = run(LEAVING, "--doctest-modules")
    text = result.stdout.str()
    assert left(result) == [
        "test_pushed",
        "test_pushed_request",
        "test_fixture",
        "test_lost",
        "test_thread",
        "test_kept",
        "TestCase.test_kept_in_a_case",
        "test_no_reason",
    ], text
    result.assert_outcomes(passed=20, errors=8, xfailed=1)
    assert "Traceback" not in text
    assert "flask_scopes/" not in text
    line = HEAD.count("\n") + 4
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_pushed *",
            "'cart' (shop.py:13) was left open by this test.",
            f"The context * was pushed at test_it.py:{line}, and never popped:",
            f"    'cart' (shop.py:13), asked for at test_it.py:{line + 1}",
            'If the test means to, mark it: @pytest.mark.scopes_may_leak("why").',
            "*ERROR at teardown of test_lost *",
            "*left open by this test until the garbage collector came*",
            "    'cart' (shop.py:13), asked for at test_it.py:*",
            "*ERROR at teardown of test_kept *",
            "'cart' (shop.py:13) was closed in this test, and is still referenced.",
            "It is a shop.Cart, was asked for at shop.py:*, and is held by:",
            "    a list that is global RECENT of shop (shop.py)",
            "*ERROR at teardown of test_no_reason *",
            "@pytest.mark.scopes_may_leak has no reason.",
        ]
    )


FEW = """\
def test_pushed(app):
    app.app_context().push()
    cart()

def test_kept(client):
    client.get("/keep")

def test_clean(client):
    client.get("/")
"""


def test_it_can_warn_in_workers_too(run: Run) -> None:
    result = run(
        FEW,
        "-n1",
        "-W",
        "default::flask_scopes.pytest_plugin.LeakWarning",
        scopes_leaks="warn",
    )
    result.assert_outcomes(passed=3, warnings=2)
    result.stdout.fnmatch_lines(["*LeakWarning: 'cart' (shop.py:13) was *"])


def test_it_can_be_turned_off_and_asked_for_in_vain(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(FEW, "-p", "no:flask_scopes").assert_outcomes(passed=3)
    options = ("-k", "test_clean", *OPTIONS)
    for name in ("shop", "test_it"):
        # Of another test, in this process.
        monkeypatch.delitem(sys.modules, name, raising=False)
    pytester.makeini("[pytest]\npythonpath = .\nscopes_leaks = off")
    result = pytester.runpytest_inprocess(*options)
    result.assert_outcomes(passed=1, deselected=2)
    pytester.makeini("[pytest]\npythonpath = .\nscopes_leaks = perhaps")
    result = pytester.runpytest_inprocess(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*scopes_leaks is 'perhaps'. To fix it,*"])


SHOWN = """\
def test_requests(client):
    assert client.get("/?a=b").text == "hello"
    assert client.get("/").text == "hello"
    assert client.get("/no").status_code == 404

def test_unit(app):
    with scopes.unit(app):
        cart()

@pytest.fixture
def around(app):
    with scopes.unit(app):
        yield

def test_around(around):
    cart()

def test_raises(app, client):
    with pytest.raises(LookupError):
        client.get("/raise")

def test_errors(app, client):
    @scopes.request
    def stubborn():
        try:
            yield
        finally:
            1 / 0
    @scopes.request
    def absent():
        raise OSError
    @app.get("/both")
    def both():
        stubborn(), cart(), absent()
    app.testing = False
    assert client.get("/both").status_code == 500
"""

PRINTED = """\
test_it.py
            GET /?a=b
              BUILD    R cart                shop.py:13 # ms
              BUILD    A table               shop.py:18 # ms
              CLOSE    R cart                committed # ms
            200 in # ms, 2 built, 0 reused
            GET /
              BUILD    R cart                shop.py:13 # ms
              CLOSE    R cart                committed # ms
            200 in # ms, 1 built, 1 reused
            GET /no
              BUILD    R cart                shop.py:13 # ms
              CLOSE    R cart                rolled back: NotFound # ms
            404 in # ms, 1 built, 0 reused
.
            unit
              BUILD    R cart                shop.py:13 # ms
              CLOSE    R cart                committed # ms
            committed in # ms, 1 built, 0 reused
.
            unit
              BUILD    R cart                shop.py:13 # ms
.
              CLOSE    R cart                committed # ms
            committed in # ms, 1 built, 0 reused
            GET /raise
              BUILD    R cart                shop.py:13 # ms
              raised LookupError
              CLOSE    R cart                rolled back: LookupError # ms
.
            GET /both
              BUILD    R stubborn            test_it.py:# # ms
              BUILD    R cart                shop.py:13 # ms
              FAILED   R absent              OSError # ms
              raised OSError
              CLOSE    R cart                rolled back: OSError # ms
              CLOSE    R stubborn            failed (ZeroDivisionError) # ms
            500 in # ms, 2 built, 0 reused
."""


def test_what_is_built_and_closed_can_be_shown(run: Run) -> None:
    result = run(SHOWN, "--scopes-show", "--no-header")
    result.assert_outcomes(passed=5)
    text = re.sub(r" +[\d.]+ ms", " # ms", result.stdout.str())
    text = re.sub(r"test_it.py:\d+", "test_it.py:#", text)
    text = text.partition("collected 5 items\n\n")[2].partition(" [100%]")[0]
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    assert [line for line in lines if line.strip(" .")] == [
        line for line in PRINTED.splitlines() if line.strip(" .")
    ]


# ---- Overrides ---------------------------------------------------------------


@pytest.fixture
def afterwards() -> c.Iterator[list[c.Callable[[], object]]]:
    """What is called when whatever a test asks for behind it is torn down."""
    calls: list[c.Callable[[], object]] = []
    yield calls
    for call in calls:
        call()


def test_an_override_lasts_until_the_test_ends(
    app: flask.Flask,
    scopes: Scopes,
    afterwards: list[c.Callable[[], object]],
    scopes_override: ScopesOverride,
) -> None:
    @scopes.application
    def name() -> str:
        return "original"

    def check() -> None:
        with app.app_context():
            assert name() == "original"

    scopes_override(name, "first")
    scopes_override(name, factory=lambda: "second")
    with app.app_context():
        assert name() == "second"
    with pytest.raises(TypeError, match="check is no resource"):
        scopes_override(t.cast(t.Any, check), "third")
    afterwards.append(check)


OVERRIDING = """\
log = []

@scopes.request
def rates():
    return "original"

def made(name):
    def factory():
        log.append(f"built {name}")
        yield name
        log.append(f"closed {name}")
    return factory

def test_fails(app, scopes_override):
    scopes_override(rates, factory=made("first"))
    scopes_override(shop.table, "second")
    with app.app_context():
        assert rates() == "first"
    with pytest.raises(Exception):
        scopes_override(rates)
    1 / 0

def test_is_back(app):
    with app.app_context():
        assert rates() == "original"
        assert isinstance(shop.table(), shop.Cart)
    assert log == ["built first", "closed first"]
"""


def test_an_override_ends_with_a_test_that_fails_too(run: Run) -> None:
    result = run(OVERRIDING)
    result.assert_outcomes(passed=1, failed=1)


# ---- The fixture `unit` ------------------------------------------------------

WITHOUT_APP = """\
import flask
import pytest

@pytest.fixture
def unit_app():
    return None

def test_no_app(unit):
    pass

class TestPlain:
    @pytest.fixture
    def app(self):
        return flask.Flask("plain")

    def test_no_scopes(self, unit):
        pass

class TestBroken:
    @pytest.fixture
    def app(self, missing):
        return None

    def test_broken(self, unit):
        pass
"""


def test_a_unit_needs_an_app(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(WITHOUT_APP)
    result = pytester.runpytest_inprocess(*OPTIONS)
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(
        [
            "The fixture 'unit' finds no fixture 'app'.",
            "Asked for by test_a_unit_needs_an_app.py::test_no_app.",
            "To fix it, write a fixture named 'app' that*",
            "The fixture 'unit' finds no app with Scopes in fixture 'app'.",
            "*fixture 'missing' not found",
        ]
    )


ON_SQL = """\
import contextlib
import sqlite3
import flask
import pytest
import sqlalchemy as sa
from flask_scopes import Scopes
from flask_scopes.sqlalchemy import SQL

scopes = Scopes()
sql = SQL(scopes)
metadata = sa.MetaData()
posts = sa.Table("posts", metadata, sa.Column("title", sa.Text, primary_key=True))

def titles():
    return " ".join(sorted(sql.session().scalars(sa.select(posts.c.title))))

def add(title):
    sql.session().execute(sa.insert(posts).values(title=title))

@pytest.fixture(scope="module", params=["sqlite://", "sqlite:///FILE"])
def app(request, tmp_path_factory):
    app = flask.Flask("shop")
    app.testing = True
    file = tmp_path_factory.mktemp("data") / "posts.db"
    app.config["SQLALCHEMY_URL"] = request.param.replace("FILE", str(file))
    scopes.init_app(app)

    @app.get("/")
    def index():
        return titles()

    @app.post("/<title>")
    def write(title):
        add(title)
        return "", int(flask.request.args.get("status", 200))

    @app.post("/by-hand/<title>")
    def by_hand(title):
        with sql.engine().begin() as connection:
            connection.execute(sa.insert(posts).values(title=title))
        with sql.engine().connect() as connection:
            connection.execute(sa.insert(posts).values(title=title + "-lost"))
        return ""

    @app.post("/savepoints/<title>")
    def savepoints(title):
        session = sql.session()
        for status in ("kept", "lost"):
            with session.begin_nested() as nested:
                add(f"{title}-{status}")
                if status == "lost":
                    nested.rollback()
        return ""

    @app.get("/read-only")
    @scopes.read_only
    def read_only():
        return titles()

    if "FILE" in request.param:
        # Its engine is built in a test.
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE posts (title TEXT PRIMARY KEY)")
    else:
        with scopes.unit(app):
            metadata.create_all(sql.engine())
    yield app
    scopes.close(app)

@pytest.fixture
def client(app):
    return app.test_client()

@pytest.mark.parametrize("time", ["first", "second"])
def test_all(app, unit, client, time):
    read = lambda: client.get("/").text
    assert read() == titles() == ""
    add("own")
    assert read() == "own"
    client.post("/a")
    client.post("/b?status=400")
    with pytest.raises(sa.exc.IntegrityError):
        client.post("/a")
    assert read() == "a own"
    client.post("/by-hand/c")
    client.post("/savepoints/d")
    assert client.get("/read-only").text == "a c d-kept own"
    with scopes.unit():
        add("e")
    with pytest.raises(ZeroDivisionError), scopes.unit():
        add("f")
        1 / 0
    assert read() == titles() == "a c d-kept e own"

calls = []
pools = []

def test_unit_of_the_test_is_not_committed(app, unit):
    scopes.after_commit(lambda: calls.append("called"))
    add("g")

@pytest.fixture
def pool(app):
    with scopes.unit(app):
        pools.append(sql.engine().pool)

def test_engine(app, pool, unit):
    assert not calls
    sql.engine().dispose()
    add("h")
    assert titles() == "h"

def test_nothing_was_kept(client):
    assert pools.pop().checkedin() == 0
    assert client.get("/").text == ""
    client.post("/kept")
    assert client.get("/").text == "kept"
"""


def test_what_a_test_does_in_sql_is_rolled_back(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfilterwarnings = error")
    pytester.makepyfile(test_it=ON_SQL)
    result = pytester.runpytest_inprocess(*OPTIONS)
    result.assert_outcomes(passed=10)


ON_MONGO = """\
import flask
import pytest
from pymongo.errors import DuplicateKeyError
from flask_scopes import Scopes
from flask_scopes.mongo import Mongo

scopes = Scopes()
mongo = Mongo(scopes)
blog = mongo.database("test_pytest_plugin")

def titles():
    return " ".join(sorted(post["title"] for post in blog().posts.find()))

def add(title, **more):
    blog().posts.insert_one({"title": title}, **more)

@pytest.fixture(scope="module")
def app():
    app = flask.Flask("shop")
    app.testing = True
    app.config["MONGO_URI"] = "URI"
    scopes.init_app(app)

    @app.get("/")
    def index():
        return titles()

    @app.post("/plain/<title>")
    def plain(title):
        add(title)
        return ""

    @app.post("/<title>")
    def write(title):
        add(title, session=mongo.session())
        add(title + "-plain")
        return "", int(flask.request.args.get("status", 200))

    @app.post("/swallowed/<title>")
    @mongo.transactional
    def swallowed(title):
        blog().posts.insert_many([{"title": title + "-1"}, {"title": title + "-2"}])
        try:
            add(title)
        except DuplicateKeyError:
            pass
        return ""

    @app.post("/audited/<title>")
    def audited(title):
        add(title, session=mongo.session())
        with scopes.unit():
            add(title + "-audit", session=mongo.session())
        flask.abort(404)

    @app.post("/by-hand/<title>")
    def by_hand(title):
        client = mongo.client()
        with client.start_session() as session, session.start_transaction():
            add(title, session=session)
        with client.start_session() as session:
            session.start_transaction()
            add(title + "-lost", session=session)
        with client.start_session() as session:
            session.with_transaction(lambda s: add(title + "-callback", session=s))
        return ""

    with app.app_context():
        blog().posts.create_index("title", unique=True)
    yield app
    with app.app_context():
        mongo.client().drop_database("test_pytest_plugin")
    scopes.close(app)

@pytest.fixture
def client(app):
    return app.test_client()

@pytest.mark.parametrize("time", ["first", "second"])
def test_all(unit, client, time):
    read = lambda: client.get("/").text
    assert read() == titles() == ""
    add("own")
    client.post("/plain/a")
    client.post("/b")
    client.post("/c?status=400")
    assert read() == "a b b-plain c-plain own"
    with pytest.raises(DuplicateKeyError):
        client.post("/plain/a")
    assert read() == "a b b-plain c-plain own"
    with pytest.raises(Exception, match="the view went on|swallowed|DuplicateKey"):
        client.post("/swallowed/a")
    assert read() == "a b b-plain c-plain own"
    client.post("/audited/d")
    client.post("/by-hand/e")
    assert read() == "a b b-plain c-plain d-audit e e-callback own"
    blog().posts.delete_one({"title": "own"})
    blog().posts.update_one({"title": "a"}, {"$set": {"title": "A"}})
    client.post("/f?status=500")
    add("own", session=mongo.session())
    assert titles() == read() == "A b b-plain c-plain d-audit e e-callback f-plain own"

def test_nothing_was_kept(client):
    assert client.get("/").text == ""
    client.post("/kept")
    assert client.get("/").text == "kept kept-plain"

def test_not_everything_is_possible(unit, app):
    blog().posts.estimated_document_count()
"""


@pytest.mark.mongo
def test_what_a_test_does_in_mongodb_is_rolled_back(
    pytester: pytest.Pytester, mongo_uri: str
) -> None:
    pytester.makeini("[pytest]\nfilterwarnings = error")
    pytester.makepyfile(test_it=ON_MONGO.replace('"URI"', repr(mongo_uri)))
    result = pytester.runpytest_inprocess(*OPTIONS)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*multi-document transaction*"])


# ---- The page ----------------------------------------------------------------

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "testing.md"


def test_the_page_says_what_the_plugin_does(pytester: pytest.Pytester) -> None:
    files: dict[str, str] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
        first, _, text = block.partition("\n")
        assert max(map(len, block.splitlines())) <= 92
        files[first.removeprefix("# ").removesuffix(".py")] = "".join(
            [files.get(first.removeprefix("# ").removesuffix(".py"), ""), text]
        )
    pytester.makeini("[pytest]\nfilterwarnings = error\npythonpath = .")
    pytester.makepyfile(**files)
    result = pytester.runpytest_subprocess(*OPTIONS, "--scopes-show")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "            POST /orders/tea",
            "              BUILD    R sql.session         shop.py:* ms",
            "              CLOSE    R outbox",
            "              CLOSE    R sql.session         committed * ms",
            "            201 in * ms, * built, * reused",
        ]
    )
