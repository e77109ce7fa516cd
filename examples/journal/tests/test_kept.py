"""What is kept together, and what is not kept at all."""

import os
import signal
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Barrier
from threading import Event
from typing import Any

import pytest
from flask import Flask
from flask import Response
from flask import request
from pymongo.client_session import ClientSession

from flask_scopes.embedded import mongod
from journal.entries import spoil_commit
from journal.resources import accounts
from journal.resources import events
from journal.resources import mongo
from journal.tests.conftest import Visitor
from journal.tests.conftest import all_entries
from journal.tests.conftest import opened

pytestmark = pytest.mark.mongo

MakeApp = Callable[..., Flask]


def everything(app: Flask) -> dict[str, list[Any]]:
    """All that there is, in each database and in the outbox."""
    with opened(app):
        return {
            "entries": all_entries(app),
            "people": [*accounts().people.find()],
            "trail": [*events().trail.find()],
            "letters": [*Path(app.instance_path, "outbox").glob("*")],
        }


def trail(app: Flask) -> list[str]:
    return [f"{line['who']} {line['what']}" for line in everything(app)["trail"]]


Steps = list[Callable[[Response], object]]


def last_steps(app: Flask) -> Steps:
    """What is done after each change, and before it is committed."""
    steps: Steps = []

    @app.after_request
    def take(response: Response) -> Response:
        if request.method == "POST":
            for step in steps:
                step(response)
        return response

    return steps


@pytest.fixture
def steps(app: Flask) -> Steps:
    return last_steps(app)


def refuse(response: Response) -> None:
    response.status_code = 500


def spoil(_: Response) -> None:
    spoil_commit()


@pytest.fixture
def debugging(make_app: MakeApp) -> Flask:
    return make_app(DEBUG=True)


def test_the_number_of_entries_goes_with_them(tomasz: Visitor) -> None:
    assert "3 entries" in tomasz.get("/entries").text
    place = tomasz.write("One more")
    assert "4 entries" in tomasz.get("/entries").text

    for _ in range(2):  # The second finds nothing to delete.
        tomasz.post(f"{place}/delete")
    assert "3 entries" in tomasz.get("/entries").text


@pytest.mark.parametrize("verb", ["/entries/new", "{}/edit", "{}/delete", "/sign-out"])
def test_what_is_answered_with_a_failure_leaves_no_trace(
    app: Flask, steps: Steps, tomasz: Visitor, verb: str
) -> None:
    place, before = tomasz.write("Before"), everything(app)
    steps.append(refuse)

    assert tomasz.post(verb.format(place), text="After").status_code == 500

    assert everything(app) == before
    assert tomasz.get(place).status_code == 200


@pytest.mark.parametrize("step", [refuse, spoil])
def test_a_registration_that_fails_leaves_nobody_behind(
    app: Flask, steps: Steps, visitor: Visitor, step: Callable[[Response], None]
) -> None:
    before = everything(app)
    steps.append(step)

    form = {"name": "Ida", "email": "ida@example.org", "password": "long enough"}
    answer = visitor.post("/register", **form)

    assert answer.status_code in {500, 503}
    assert "Set-Cookie" not in answer.headers
    assert everything(app) == before
    assert visitor.get("/entries").status_code == 302


def test_who_is_refused_at_the_door_is_remembered_nevertheless(
    app: Flask, visitor: Visitor
) -> None:
    answer = visitor.post("/", email="johan@example.org", password="guess")

    assert answer.status_code == 401
    assert trail(app) == ["Johan Berg was refused at the door"]


def test_a_letter_is_sent_once_the_entry_is_kept(app: Flask, tomasz: Visitor) -> None:
    tomasz.write("")
    assert everything(app)["letters"] == []

    tomasz.write("x", title="Snow")

    (letter,) = everything(app)["letters"]
    lines = letter.read_text().splitlines()
    assert lines[:2] == ["To: tomasz@example.org", "Subject: You wrote an entry"]
    assert lines[-1] == "Snow: it is kept."


def test_an_entry_stays_although_its_letter_cannot_be_sent(
    app: Flask, tomasz: Visitor
) -> None:
    Path(app.instance_path, "outbox").write_text("This is no folder.")

    assert tomasz.get(tomasz.write("Kept")).status_code == 200


def test_when_the_commit_fails_nothing_is_kept_and_the_visitor_is_told(
    debugging: Flask,
) -> None:
    tomasz = Visitor(debugging)
    tomasz.sign_in("tomasz")
    before = everything(debugging)

    answer = tomasz.post("/entries/new", text="x\ny", title="Snow", fail="")

    assert answer.status_code == 503
    assert "Nothing was kept" in answer.text
    assert "mongo.session() could not be finished" in answer.text
    assert "attempt 3 of 3" in answer.text
    assert everything(debugging) == before


def test_after_a_commit_that_failed_it_can_be_tried_again(debugging: Flask) -> None:
    tomasz = Visitor(debugging)
    tomasz.sign_in("tomasz")

    page = tomasz.post("/entries/new", text="x\ny", title="Snow", fail="").text
    assert 'name="title" value="Snow"' in page
    assert 'name="text" value="x\ny"' in page
    assert "fail" not in page.partition("<form")[2]

    assert tomasz.get(tomasz.write("x\ny", title="Snow")).status_code == 200
    assert trail(debugging) == ["Tomasz Wrona signed in", "Tomasz Wrona wrote an entry"]


def test_a_commit_fails_on_request_only_in_debug(
    app: Flask, tomasz: Visitor, debugging: Flask
) -> None:
    mina = Visitor(debugging)
    mina.sign_in("mina")

    assert "let the commit fail" in mina.get("/entries/new").text
    assert "let the commit fail" not in mina.get(f"{mina.write('x')}/edit").text
    assert "let the commit fail" not in tomasz.get("/entries/new").text
    assert tomasz.get(tomasz.write("x", fail="")).status_code == 200


def test_reasons_are_shown_only_in_debug(steps: Steps, tomasz: Visitor) -> None:
    steps.append(spoil)

    answer = tomasz.post("/entries/new", text="x")

    assert answer.status_code == 503
    assert "Nothing was kept" in answer.text
    assert "could not be finished" not in answer.text


@pytest.mark.server
def test_a_database_that_dies_while_it_commits_may_have_kept_it(
    make_app: MakeApp, tmp_path: Path
) -> None:
    with mongod(tmp_path / "mongodb") as server:
        app = make_app(MONGO_URI=server.uri, MONGO_REQUEST_TIMEOUT=2)
        steps, tomasz = last_steps(app), Visitor(app)
        tomasz.sign_in("tomasz")
        steps.append(lambda _: os.kill(server.pid, signal.SIGKILL))

        answer = tomasz.post("/entries/new", text="x")

    assert answer.status_code == 503
    assert "Perhaps it was kept" in answer.text
    assert "Nothing was kept" not in answer.text


class Together:
    """Transactions of which two are in each other's way: one of them is not committed
    before the other has failed because of it, and what begins anew comes after both."""

    def __init__(self) -> None:
        self.both, self.conflict, self.end = Barrier(2), Event(), Event()
        self.numbers, self.begun = count(1), 0

    def __call__(self, bind: str = "") -> Iterator[ClientSession]:
        if bind:  # The events go through the same client.
            yield mongo.session()
            return
        self.begun = number = next(self.numbers)
        if number > 2:
            assert self.end.wait(30)
        with mongo.client().start_session() as session, session.start_transaction():
            if number <= 2:
                self.both.wait(30)
            try:
                yield session
            except Exception:
                self.conflict.set()
                raise
            assert self.conflict.wait(30)
        self.end.set()


def at_once(path: str, form: dict[str, str], *visitors: Visitor) -> list[int]:
    """What they are answered who send the same at the same moment."""
    forms = [{"csrf_token": visitor.token(), **form} for visitor in visitors]
    together = Together()
    with mongo.session.override(factory=together), ThreadPoolExecutor() as threads:
        posts = [
            threads.submit(visitor.client.post, path, data=data)
            for visitor, data in zip(visitors, forms, strict=True)
        ]
        answers = [post.result(60).status_code for post in posts]
    assert together.begun == 3  # one of them had to begin anew
    return sorted(answers)


def test_two_entries_of_one_person_at_the_same_moment_are_both_kept(
    app: Flask, tomasz: Visitor
) -> None:
    again = Visitor(app)
    again.sign_in("tomasz")

    assert at_once("/entries/new", {"text": "x"}, tomasz, again) == [302, 302]

    assert "5 entries" in tomasz.get("/entries").text
    assert tomasz.get("/entries").text.count("<article>") == 5
    assert trail(app).count("Tomasz Wrona wrote an entry") == 2
    assert len(everything(app)["letters"]) == 2


def test_two_changes_of_one_entry_at_the_same_moment_are_both_made(
    app: Flask, tomasz: Visitor
) -> None:
    place, again = tomasz.write("Before"), Visitor(app)
    again.sign_in("tomasz")

    assert at_once(f"{place}/edit", {"text": "After"}, tomasz, again) == [302, 302]
    assert trail(app).count("Tomasz Wrona changed an entry") == 2


def test_an_entry_that_is_deleted_twice_at_the_same_moment_is_counted_once(
    app: Flask, tomasz: Visitor
) -> None:
    place, again = tomasz.write("Before"), Visitor(app)
    again.sign_in("tomasz")

    assert at_once(f"{place}/delete", {}, tomasz, again) == [302, 404]
    assert "3 entries" in tomasz.get("/entries").text
    assert trail(app).count("Tomasz Wrona deleted an entry") == 1


def test_of_two_who_register_one_address_at_the_same_moment_one_is_told(
    app: Flask,
) -> None:
    form = {"name": "Ida", "email": "ida@example.org", "password": "long enough"}

    assert at_once("/register", form, Visitor(app), Visitor(app)) == [302, 409]
    assert trail(app) == ["Ida registered"]
