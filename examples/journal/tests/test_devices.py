"""Where somebody is signed in, and how that ends."""

import re

import pytest
from flask import Flask

from journal.models import browser_name
from journal.resources import sessions
from journal.tests.conftest import Visitor

pytestmark = pytest.mark.mongo

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36"


def signed_in(app: Flask, name: str, agent: str) -> Visitor:
    visitor = Visitor(app)
    visitor.client.environ_base["HTTP_USER_AGENT"] = agent
    visitor.sign_in(name)
    return visitor


def doors(visitor: Visitor) -> list[str]:
    """Where the buttons of the page lead."""
    page = visitor.get("/devices").text
    return re.findall(r'action="(/devices/[^"]+)"', page)


def test_each_browser_is_a_device(app: Flask) -> None:
    here = signed_in(app, "tomasz", FIREFOX)
    signed_in(app, "tomasz", CHROME)
    signed_in(app, "mina", CHROME)

    page = here.get("/devices").text

    assert page.count("<li>") == 2
    assert "Firefox on Linux" in page
    assert "Chrome on Windows" in page
    assert page.count("This one") == 1


def test_another_browser_is_signed_out_from_here(app: Flask) -> None:
    here, there = (signed_in(app, "tomasz", each) for each in (FIREFOX, CHROME))
    assert there.get("/entries").status_code == 200
    (end, _others) = doors(here)

    answer = here.post(end)

    assert (answer.status_code, answer.location) == (302, "/devices")
    assert there.get("/entries").location.startswith("/?next=")
    assert here.get("/entries").status_code == 200
    assert doors(here) == []


def test_all_others_are_signed_out(app: Flask) -> None:
    here, *others = (signed_in(app, "tomasz", FIREFOX) for _ in range(3))
    mina = signed_in(app, "mina", CHROME)

    here.post("/devices/sign-out-others")

    assert [each.get("/entries").status_code for each in others] == [302, 302]
    assert here.get("/entries").status_code == 200
    assert mina.get("/entries").status_code == 200


def test_nobody_ends_what_is_somebody_elses(app: Flask) -> None:
    tomasz, mina = signed_in(app, "tomasz", FIREFOX), signed_in(app, "mina", CHROME)
    other = mina.client.get_cookie("journal")
    assert other

    answer = tomasz.post(f"/devices/{other.value.partition('.')[0]}/sign-out")

    assert answer.status_code == 404
    assert mina.get("/entries").status_code == 200


def test_a_copy_of_the_cookie_is_worth_nothing_after_signing_out(app: Flask) -> None:
    here = signed_in(app, "tomasz", FIREFOX)
    cookie = here.client.get_cookie("journal")
    assert cookie
    thief = Visitor(app)
    thief.client.set_cookie("journal", cookie.value)
    assert thief.get("/entries").status_code == 200

    here.post("/sign-out")

    assert thief.get("/entries").status_code == 302


def test_it_is_for_those_who_are_signed_in(visitor: Visitor) -> None:
    assert visitor.get("/devices").location == "/?next=%2Fdevices"
    assert visitor.post("/devices/sign-out-others").location == "/"


def test_what_a_browser_says_of_itself_is_only_text(app: Flask) -> None:
    here = signed_in(app, "tomasz", "<script>alert(1)</script>")

    page = here.get("/devices").text

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (CHROME, "Chrome on Windows"),
        (CHROME + " Edg/142.0", "Edge on Windows"),
        ("curl/8.5.0", "curl"),
        ("", "A browser without a name"),
        ("x" * 300, "x" * 60),
    ],
)
def test_the_name_of_a_browser(agent: str, name: str) -> None:
    assert browser_name(agent) == name


def test_the_search_remembers_what_was_looked_for(app: Flask) -> None:
    tomasz, mina = signed_in(app, "tomasz", FIREFOX), signed_in(app, "mina", CHROME)
    for words in ("frost", "the", "nothing-of-it", "frost"):
        tomasz.get(f"/entries?q={words}")

    page = tomasz.get("/entries").text

    lately = page[page.index("Looked for lately") :].partition("</p>")[0]
    assert re.findall(r">(\w+)</a>", lately) == ["frost", "the"]
    assert "Looked for lately" not in mina.get("/entries").text


def test_the_sessions_are_on_the_server(app: Flask, tomasz: Visitor) -> None:
    cookie = tomasz.client.get_cookie("journal")
    assert cookie
    with app.app_context():
        stored = sessions.store.load(cookie.value.partition(".")[0])
    assert stored
    assert stored.head.digest not in cookie.value
