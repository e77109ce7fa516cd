"""What the page "SQLAlchemy" shows is run."""

from __future__ import annotations

import collections.abc as c
import importlib
import re
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"
PAGES = [DOCS / "sqlalchemy.md", DOCS / "coming-from-flask-sqlalchemy.md"]


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.S | re.M)


def module(page: Path, name: str) -> str:
    """The block of *page* that is a module of its own."""
    (found,) = [each for each in blocks(page) if each.startswith(f"# {name}\n")]
    return found


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> c.Iterator[t.Any]:
    """The page's blocks, one after the other, as one module; but for Alembic's."""
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    env = module(PAGES[0], "env.py")
    rest = [each for each in blocks(PAGES[0]) if each != env]
    (tmp_path / "shop.py").write_text("\n".join(rest))
    shop: t.Any = importlib.import_module("shop")
    sa.event.remove(sa.Engine, "connect", shop.side_by_side)
    shop.app.instance_path = str(tmp_path)
    runner = shop.app.test_cli_runner()
    assert runner.invoke(args=["create"], catch_exceptions=False).exit_code == 0
    yield shop
    shop.scopes.close(shop.app)


@pytest.fixture
def client(shop: t.Any) -> FlaskClient:
    return t.cast(FlaskClient, shop.app.test_client())


def names(shop: t.Any, bind: str = "") -> list[str]:
    with shop.app.app_context():
        items = sa.select(shop.Item.name).order_by(shop.Item.name)
        return list(shop.sql.session(bind).scalars(items))


def test_add(shop: t.Any, client: FlaskClient) -> None:
    assert client.post("/items/apple").json == {"id": 1, "name": "apple"}
    assert client.post("/items/apple").status_code == 500
    assert names(shop) == ["apple"]
    assert (Path(shop.app.instance_path) / "reports.db").exists()


def test_order(shop: t.Any, client: FlaskClient) -> None:
    client.post("/items/apple")
    assert client.post("/orders/apple").text == "ordered"
    assert names(shop) == ["apple", "asked for apple"]
    assert client.get("/items/1").json == {"name": "apple", "left": 2}
    assert client.post("/orders/pear").status_code == 404
    assert "asked for pear" in names(shop)


def test_import(shop: t.Any, client: FlaskClient) -> None:
    form = {"name": ["apple", "pear", "apple"]}
    assert client.post("/import", data=form).text == "1 were known"
    assert names(shop) == ["apple", "pear"]


def test_export(shop: t.Any, client: FlaskClient) -> None:
    client.post("/items/apple")
    assert client.get("/items.csv").text == "apple\n"
    assert names(shop) == ["apple", "exported"]


def test_restock(shop: t.Any, client: FlaskClient) -> None:
    client.post("/items/apple")
    assert client.post("/restock/1/9").text == "restocked"
    assert names(shop, "reports") == ["restocked 1"]
    assert client.post("/restock/2/9").status_code == 404


def test_take(client: FlaskClient) -> None:
    client.post("/items/apple")
    answers = [client.post("/take/1").text for _ in range(3)]
    assert answers == ["2", "1", "0"]
    assert client.post("/take/1").status_code == 409


def test_index(client: FlaskClient) -> None:
    for number in range(45):
        client.post(f"/items/item {number:02}")
    page: t.Any = client.get("/items?page=2").json
    assert page["items"][0] == "item 20"
    assert (page["next"], page["pages"]) == (3, [1, 2, 3])


def test_the_pragma(shop: t.Any, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/other.db")
    sa.event.listen(engine, "connect", shop.side_by_side)
    with engine.connect() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    engine.dispose()
    assert mode == "wal"


def test_an_app_for_a_test(shop: t.Any, tmp_path: Path) -> None:
    tested = shop.app_for_a_test(str(tmp_path))
    with tested.app_context():
        items = sa.select(shop.Item.name)
        assert shop.sql.session().scalars(items).all() == ["apple"]
    shop.scopes.close(tested)
    assert names(shop) == []


EXTRA = """
class Extra(Base):
    __tablename__ = "extra"
    id: Mapped[int] = mapped_column(primary_key=True)

"""


def run(folder: Path, *command: str) -> None:
    """In a process of its own: both set up logging anew, for all that there is."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def append(folder: Path, text: str) -> None:
    with (folder / "shop.py").open("a") as file:
        file.write(text)


def tables(shop: t.Any) -> list[str]:
    with shop.app.app_context():
        return list(sa.inspect(shop.sql.engine()).get_table_names())


def test_alembic(shop: t.Any, tmp_path: Path) -> None:
    """With the page's lines in the place of what its template connects with."""
    append(tmp_path, f"app.instance_path = {str(tmp_path)!r}\n{EXTRA}")
    run(tmp_path, "alembic", "init", "migrations")
    (tmp_path / "migrations" / "env.py").write_text(module(PAGES[0], "env.py"))
    run(tmp_path, "alembic", "revision", "--autogenerate", "-m", "extra")
    run(tmp_path, "alembic", "upgrade", "head")
    assert "extra" in tables(shop)


def test_flask_migrate(shop: t.Any, tmp_path: Path) -> None:
    append(tmp_path, f"app.instance_path = {str(tmp_path)!r}\n{EXTRA}")
    append(tmp_path, "import flask_migrate\nflask_migrate.Migrate(app, Migrated())\n")
    for command in ("init", "migrate", "upgrade"):
        run(tmp_path, "flask", "--app", "shop", "db", command)
    assert "extra" in tables(shop)


def test_the_transfer_of_the_readme(shop: t.Any, client: FlaskClient) -> None:
    class Account(shop.Base):  # type: ignore[misc]  # made at run time
        __tablename__ = "accounts"
        id = sa.Column(sa.Integer, primary_key=True)
        balance = sa.Column(sa.Integer, sa.CheckConstraint("balance >= 0"))

    (code,) = [each for each in blocks(README) if each.startswith("sql = SQL(scopes)")]
    names = {**vars(shop), "Account": Account}
    exec(code.partition("\n")[2], names)
    with shop.app.app_context():
        shop.Base.metadata.create_all(shop.sql.engine())
        shop.sql.session().add_all([Account(balance=10), Account(balance=0)])
    assert client.post("/transfers/1/2/7").text == "done"
    assert client.post("/transfers/1/2/7").status_code == 500
    assert client.post("/transfers/1/9/1").status_code == 404
    with shop.app.app_context():
        balances: t.Any = sa.select(Account.balance).order_by(Account.id)
        assert shop.sql.session().scalars(balances).all() == [3, 7]


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_can_be_read(page: Path) -> None:
    text = page.read_text()
    for block in blocks(page):
        assert max(map(len, block.splitlines())) <= 92
    for link, _, anchor in re.findall(r"\]\(([\w./-]+)(#([\w-]+))?\)", text):
        target = page.parent / link
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            slugs = [re.sub(r"[^\w -]", "", each.lower()) for each in titles]
            assert anchor in [each.replace(" ", "-") for each in slugs], anchor


def test_the_pages_name_the_config() -> None:
    text = PAGES[0].read_text()
    source = DOCS.parent / "src" / "flask_scopes"
    for name in re.findall(r"^\| `([A-Z_]+)`", text, re.M):
        found = [f for f in source.rglob("*.py") if f'"{name}"' in f.read_text()]
        assert found, name
