"""What lives as long as the application, and what as long as a request."""

import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bson import ObjectId
from flask import Flask
from pymongo import MongoClient
from pymongo.errors import InvalidOperation

from flask_scopes import ClosedError
from journal import secret_key
from journal.models import Document
from journal.models import User
from journal.resources import accounts
from journal.resources import current_user
from journal.resources import events
from journal.resources import mongo
from journal.resources import page
from journal.resources import scopes
from journal.tests.conftest import Visitor
from journal.tests.conftest import all_entries
from journal.tests.conftest import journal_of
from journal.tests.conftest import opened

pytestmark = pytest.mark.mongo

MakeApp = Callable[..., Flask]


def count_everything(app: Flask) -> tuple[int, int]:
    with opened(app):
        return accounts().people.count_documents({}), len(all_entries(app))


def same_databases(app: Flask) -> dict[str, str]:
    return {"MONGO_DATABASE_PREFIX": app.config["MONGO_DATABASE_PREFIX"]}


def test_many_requests_at_once_share_one_client(app: Flask) -> None:
    app.add_url_rule("/which", view_func=lambda: f"{id(mongo.client())} {page()}")

    with ThreadPoolExecutor(8) as threads:
        answers = [*threads.map(lambda _: Visitor(app).get("/which").text, range(40))]

    assert len({answer.split()[0] for answer in answers}) == 1
    assert len({answer.split()[1] for answer in answers}) == 40


def test_closing_the_application_closes_the_client(make_app: MakeApp) -> None:
    app = make_app()
    with app.app_context():
        client = mongo.client()
        client.admin.command("ping")

    scopes.close(app)

    with pytest.raises(InvalidOperation):
        client.admin.command("ping")
    with app.app_context(), pytest.raises(ClosedError):
        mongo.client()


def test_a_request_object_is_the_same_all_over_the_page(visitor: Visitor) -> None:
    first, second = visitor.get("/").text, visitor.get("/").text

    assert "Page 1 and all" in first
    assert "Page 2 and all" in second


def test_a_test_can_say_who_is_asking(visitor: Visitor) -> None:
    guest = User(ObjectId(), "A Guest", "guest@example.org", admin=True)

    with current_user.override(guest):
        assert "A Guest" in visitor.get("/entries").text
        place = visitor.write("I was here")
        assert visitor.get(place).status_code == 200
        assert "A Guest wrote an entry" in visitor.get("/admin").text

    assert visitor.get(place).status_code == 302


def test_two_applications_do_not_mix(make_app: MakeApp) -> None:
    one, two = make_app(), make_app()
    here, there = Visitor(one), Visitor(two)
    here.sign_in("tomasz")
    there.sign_in("tomasz")
    place = here.write("Only here")

    assert here.get(place).status_code == 200
    assert there.get(place).status_code == 404
    with one.app_context(), two.app_context():
        inner = mongo.client()
    with one.app_context():
        assert mongo.client() is not inner


def test_seeding_happens_once(make_app: MakeApp) -> None:
    app = make_app()
    assert count_everything(app) == (4, 12)
    journal_of(app, "Tomasz").entries.delete_one({"title": "First frost"})

    again = make_app(**same_databases(app))

    assert count_everything(again) == (4, 11)


def test_an_interrupted_seeding_is_completed(make_app: MakeApp) -> None:
    app = make_app()
    with opened(app):
        accounts().notes.delete_many({})
        tomasz = accounts().people.find_one({"email": "tomasz@example.org"})
    journal_of(app, "Tomasz").entries.delete_one({"title": "First frost"})

    again = make_app(**same_databases(app))

    assert count_everything(again) == (4, 12)
    with again.app_context():
        assert accounts().people.find_one({"email": "tomasz@example.org"}) == tomasz


def test_workers_may_seed_at_the_same_time(make_app: MakeApp) -> None:
    same = same_databases(make_app())
    workers = [make_app(**same) for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        assert {*threads.map(count_everything, workers)} == {(4, 12)}


def test_without_seed_the_databases_are_empty_but_ready(make_app: MakeApp) -> None:
    app = make_app(SEED=False)

    assert count_everything(app) == (0, 0)
    with app.app_context():
        assert accounts().people.index_information()["email_key_1"]["unique"]
        assert "at_1" in events().trail.index_information()


def test_a_new_journal_has_its_indexes(app: Flask, visitor: Visitor) -> None:
    form = {"name": "Ida", "email": "ida@example.org", "password": "long enough"}
    visitor.post("/register", **form)

    assert "written_-1__id_-1" in journal_of(app, "Ida").entries.index_information()
    command = app.test_cli_runner().invoke(args=["scopes", "indexes"])
    assert command.exit_code == 0, command.output


def test_an_unreachable_database_has_a_page_and_is_tried_again(
    make_app: MakeApp, mongo_uri: str
) -> None:
    app = make_app()
    visitor = Visitor(app)
    nowhere = "mongodb://127.0.0.1:1"

    with MongoClient[Document](nowhere, timeoutMS=200) as client:
        app.config["MONGO_REQUEST_TIMEOUT"] = 10
        with mongo.client.override(client):
            answer = visitor.get("/entries")
    assert answer.status_code == 503
    assert "The archive is closed" in answer.text
    assert int(answer.headers["Retry-After"]) > 0

    assert visitor.sign_in("tomasz").status_code == 302


def test_the_secret_key_is_made_once_and_kept_to_oneself(
    make_app: MakeApp, tmp_path: Path
) -> None:
    one = make_app()
    visitor = Visitor(one)
    visitor.sign_in("tomasz")
    kept = tmp_path / "secret_key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert len(kept.read_text()) == 64

    restarted = make_app(**same_databases(one))
    cookie = visitor.client.get_cookie("journal")
    assert cookie
    visitor.client = restarted.test_client()
    visitor.client.set_cookie("journal", cookie.value)

    assert restarted.secret_key == one.secret_key
    assert visitor.get("/entries").status_code == 200


def test_workers_that_start_together_agree_on_the_secret_key(
    tmp_path: Path,
) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = {*threads.map(secret_key, [tmp_path / "new" / "folder"] * 8)}

    assert len(keys) == 1
