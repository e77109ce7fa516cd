"""Who gets in, who stays out, and what they are told."""

import re
from collections.abc import Callable

import pytest
from flask import Flask

from journal.resources import accounts
from journal.tests.conftest import Visitor

pytestmark = pytest.mark.mongo


def test_the_door_introduces_the_demo_people(visitor: Visitor) -> None:
    page = visitor.get("/")

    assert page.status_code == 200
    assert "Mina Okafor" in page.text
    assert "Johan Berg" in page.text


def test_the_door_keeps_silent_without_seed(make_app: Callable[..., Flask]) -> None:
    page = Visitor(make_app(SEED=False)).get("/")

    assert page.status_code == 200
    assert "Okafor" not in page.text


def test_signing_in_leads_to_the_entries(visitor: Visitor) -> None:
    answer = visitor.sign_in("tomasz")

    assert (answer.status_code, answer.location) == (302, "/entries")
    assert "First frost" in visitor.get("/entries").text
    assert visitor.get("/").location == "/entries"


def test_an_email_address_has_no_case(visitor: Visitor) -> None:
    assert visitor.sign_in(" TOMASZ").status_code == 302


def test_a_wrong_password_and_a_stranger_get_the_same_answer(visitor: Visitor) -> None:
    wrong = visitor.post("/", email="tomasz@example.org", password="guess")
    stranger = visitor.post("/", email="nobody@example.org", password="guess")

    assert wrong.status_code == stranger.status_code == 401
    assert "do not go together" in wrong.text
    pages = [re.sub(r'value="[^"]{40,}"', "", each.text) for each in (wrong, stranger)]
    assert pages[0].replace("tomasz", "nobody", 1)[:2000] == pages[1][:2000]
    assert visitor.get("/entries").status_code == 302


def test_signing_in_begins_a_new_session(visitor: Visitor) -> None:
    before = visitor.token()
    visitor.sign_in("tomasz")

    assert visitor.token() != before


def test_the_session_cookie_is_kept_from_scripts_and_strangers(
    visitor: Visitor,
) -> None:
    cookie = visitor.sign_in("tomasz").headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_signing_out(tomasz: Visitor) -> None:
    assert tomasz.get("/sign-out").status_code == 405
    assert tomasz.post("/sign-out").location == "/"
    assert tomasz.get("/entries").status_code == 302


def test_registering_signs_in_and_shows_an_empty_journal(visitor: Visitor) -> None:
    answer = visitor.post(
        "/register", name="Ida <Lund>", email="Ida@Example.org", password="long enough"
    )

    assert answer.location == "/entries"
    page = visitor.get("/entries").text
    assert "Ida &lt;Lund&gt;" in page
    assert "An empty page" in page


def test_somebody_who_registered_can_come_back(visitor: Visitor) -> None:
    form = {"email": "ida@example.org", "password": "long enough"}
    visitor.post("/register", name="Ida", **form)
    visitor.post("/sign-out")

    assert visitor.post("/", **form).location == "/entries"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "  ", "Tell us your name"),
        ("name", "x" * 81, "Tell us your name"),
        ("email", "ida", "not look like an e-mail"),
        ("email", "a b@example.org", "not look like an e-mail"),
        ("email", "i@" + "x" * 300, "not look like an e-mail"),
        ("password", "short", "at least eight"),
    ],
)
def test_a_form_with_a_mistake_comes_back_filled_in(
    visitor: Visitor, field: str, value: str, message: str
) -> None:
    form = {"name": "Ida", "email": "ida@example.org", "password": "long enough"}
    answer = visitor.post("/register", **form | {field: value})

    assert answer.status_code == 422
    assert message in answer.text
    assert f'value="{(form | {field: value})["email"]}"' in answer.text
    assert "long enough" not in answer.text


@pytest.mark.parametrize("email", ["mina@example.org", " MINA@Example.ORG"])
def test_an_email_address_registers_once(
    app: Flask, visitor: Visitor, email: str
) -> None:
    answer = visitor.post("/register", name="M", email=email, password="long enough")

    assert answer.status_code == 409
    assert "already registered" in answer.text
    with app.app_context():
        assert accounts().people.count_documents({}) == 4


@pytest.mark.parametrize("path", ["/entries", "/entries/new", "/entries?q=a+b&page=2"])
def test_who_is_not_signed_in_is_asked_to_and_comes_back(
    visitor: Visitor, path: str
) -> None:
    door = visitor.get(path)
    assert door.status_code == 302
    assert door.location.startswith("/?next=")

    answer = visitor.sign_in("tomasz", door.location)

    assert answer.location == path


@pytest.mark.parametrize(
    "target",
    [
        "https://example.com/",
        "//example.com/",
        "/\\example.com/",
        "\\/example.com",
        "/\t/example.com/",
        "/\n/example.com",
        "/ok\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "entries",
        "",
    ],
)
def test_signing_in_never_leads_to_another_site(visitor: Visitor, target: str) -> None:
    token = visitor.token()
    form = {
        "csrf_token": token,
        "email": "mina@example.org",
        "password": "ink-and-paper",
    }
    answer = visitor.client.post("/", query_string={"next": target}, data=form)

    assert (answer.status_code, answer.location) == (302, "/entries")


@pytest.mark.parametrize(
    "path", ["/", "/register", "/sign-out", "/entries/new", f"/entries/{'a' * 24}/edit"]
)
@pytest.mark.parametrize("token", [None, "", "guess", "gu\u00e9ss"])
def test_a_form_without_the_secret_of_the_session_changes_nothing(
    tomasz: Visitor, path: str, token: str | None
) -> None:
    form = {"text": "x"} if token is None else {"text": "x", "csrf_token": token}
    answer = tomasz.client.post(path, data=form)

    assert answer.status_code == 400
    assert "earlier visit" in answer.text


def test_without_a_session_no_secret_is_right(visitor: Visitor) -> None:
    assert visitor.client.post("/", data={"csrf_token": ""}).status_code == 400


def test_only_those_who_keep_the_house_see_it(
    visitor: Visitor, tomasz: Visitor, mina: Visitor
) -> None:
    assert visitor.get("/admin").location == "/?next=%2Fadmin"
    assert tomasz.get("/admin").status_code == 403
    assert "Not your door" in tomasz.get("/admin").text
    assert "House" not in tomasz.get("/entries").text
    assert mina.get("/admin").status_code == 200


def test_the_trail_tells_what_happened_and_never_what_was_written(
    visitor: Visitor, tomasz: Visitor, mina: Visitor
) -> None:
    visitor.post("/", email="johan@example.org", password="guess")
    visitor.post("/", email="stranger@example.org", password="guess")
    place = tomasz.write("a secret text", title="a secret title")
    tomasz.post(f"{place}/edit", text="another secret")
    tomasz.post(f"{place}/delete")
    tomasz.post("/entries/new", text="")
    tomasz.post("/sign-out")

    page = mina.get("/admin").text
    assert "Johan Berg was refused at the door" in page
    assert "A visitor was refused at the door" in page
    assert "secret" not in page
    lately = page.index("Tomasz Wrona signed out")
    for line in ("deleted an entry", "changed an entry", "wrote an entry", "signed in"):
        assert page.count(f"Tomasz Wrona {line}") == 1
        assert page.index(f"Tomasz Wrona {line}") > lately
        lately = page.index(f"Tomasz Wrona {line}")


def test_a_person_who_is_gone_is_signed_out(app: Flask, tomasz: Visitor) -> None:
    with app.app_context():
        accounts().people.delete_one({"email": "tomasz@example.org"})

    assert tomasz.get("/entries").status_code == 302
