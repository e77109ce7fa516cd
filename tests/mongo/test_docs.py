"""What the page "MongoDB" shows is run."""

from __future__ import annotations

import collections.abc as c
import importlib
import io
import re
import secrets
import sys
import typing as t
from pathlib import Path

import pytest
from bson import ObjectId
from pymongo import MongoClient

pytestmark = pytest.mark.mongo

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "mongodb.md", DOCS / "coming-from-flask-pymongo.md"]


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.S)


@pytest.fixture
def shop(
    mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> c.Iterator[t.Any]:
    """The page's blocks, one after the other, as one module."""
    prefix = f"docs_{secrets.token_hex(4)}_"
    monkeypatch.setenv("MONGO_URI", mongo_uri)
    monkeypatch.setenv("LOGS_URI", mongo_uri + "&appname=logs")
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "shop.py").write_text("\n".join(blocks(PAGES[0])))
    module: t.Any = importlib.import_module("shop")
    module.app.config["MONGO_DATABASE_PREFIX"] = prefix
    module.customer_of = lambda key: ObjectId(key) if key else None
    yield module
    module.scopes.close(module.app)
    with MongoClient[t.Any](mongo_uri) as client:
        for name in client.list_database_names():
            if name.startswith(prefix):
                client.drop_database(name)


def rows(shop: t.Any, collection: str) -> int:
    with shop.app.app_context():
        return int(shop.catalog()[collection].count_documents({}))


def test_items_and_their_log(shop: t.Any) -> None:
    client = shop.app.test_client()
    item = client.post("/items/apple").json
    assert client.get(f"/items/{item['_id']}").json == item
    assert client.get(f"/items/{'0' * 24}").status_code == 404
    assert client.get("/items/nonsense/picture").status_code == 404
    assert client.get("/count").text == "1"
    with shop.app.app_context():
        assert shop.logs().lines.find_one()["text"] == "added apple"
        assert shop.logs().client is not shop.catalog().client


def test_orders(shop: t.Any) -> None:
    client = shop.app.test_client()
    client.post("/items/apple")
    answers = [client.post("/orders/apple").status_code for _ in range(5)]
    assert answers == [201, 201, 201, 409, 409]
    assert rows(shop, "orders") == 3
    assert rows(shop, "visits") == 5


def test_tenants(shop: t.Any) -> None:
    client = shop.app.test_client()
    ann, ben = ({"Api-Key": str(ObjectId())} for _ in range(2))
    assert client.post("/notes/a").status_code == 401
    assert client.post("/notes/a", headers=ann).text == "1 notes"
    assert client.post("/notes/a", headers=ben).text == "1 notes"
    assert client.post("/notes/a", headers=ann).text == "2 notes"
    with shop.scopes.unit(shop.app):
        shop.g.customer = ObjectId(ann["Api-Key"])
        assert shop.orders_of().notes.count_documents({}) == 2


def test_pictures(shop: t.Any) -> None:
    client = shop.app.test_client()
    item = client.post("/items/apple").json["_id"]
    where = f"/items/{item}/picture"
    assert client.get(where).status_code == 404
    for content in (b"first", b"second"):
        form = {"picture": (io.BytesIO(content), "a.png")}
        assert client.post(where, data=form).location == where
        assert client.get(where).data == content
    assert rows(shop, "pictures.files") == 1


def test_the_commands(shop: t.Any) -> None:
    runner = shop.app.test_cli_runner()
    shop.app.test_client().post("/notes/a", headers={"Api-Key": str(ObjectId())})
    lines = re.findall(r"^flask (scopes indexes.*?)(?:#|$)", PAGES[0].read_text(), re.M)
    said = [runner.invoke(args=line.split()).output for line in lines]
    assert "2 missing" in said[0]
    assert "created   name_1" in said[1]
    assert "missing" not in said[2]


def test_slow_commands_are_logged_as_the_page_shows(
    shop: t.Any, caplog: pytest.LogCaptureFixture
) -> None:
    shop.app.config["MONGO_SLOW_MS"] = 0
    with shop.app.app_context():
        shop.catalog().items.find_one()
    (shown,) = re.findall(r"^    (slow: .*)$", PAGES[0].read_text(), re.M)
    said = (
        caplog.records[-1]
        .getMessage()
        .replace(shop.app.config["MONGO_DATABASE_PREFIX"], "")
    )
    assert re.sub(r"\d+", "231", said) == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_pages_say_what_the_code_does(page: Path) -> None:
    for block in blocks(page):
        assert max(map(len, block.splitlines())) <= 92
    for link in re.findall(r"\]\(([\w./-]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link
