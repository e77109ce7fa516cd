"""Which views are loaded, and who asks for them."""

from __future__ import annotations

import collections.abc as c
import typing as t

from .browser import Browser
from .data import READERS
from .data import WRITERS

TEXT: t.Final = "Forty lengths, then ten more, because the lane was empty. " * 6
CLIENTS: t.Final = 4


class Visitor(t.NamedTuple):
    """Somebody who asks for one thing, again and again."""

    browser: Browser
    request: bytes
    status: int
    contains: bytes
    """In the answer, head or body."""


class View(t.NamedTuple):
    key: str
    title: str
    visitor: c.Callable[[int, int], Visitor]
    """Called with a port and a number below ``CLIENTS``."""
    share: float = 1.0
    """Of the requests that others get in a round."""


def _front(port: int, number: int) -> Visitor:
    browser = Browser(port)
    browser.get("/")  # From here on there is a session.
    return Visitor(browser, browser.request("GET", "/"), 200, b"A few lines<br>a day.")


def _page(port: int, number: int) -> Visitor:
    browser = Browser(port)
    browser.sign_in(READERS[number])
    text = b"10 entries"
    return Visitor(browser, browser.request("GET", "/entries"), 200, text)


def _write(port: int, number: int) -> Visitor:
    browser = Browser(port)
    browser.sign_in(WRITERS[number])
    fields = {"title": "Before work", "text": TEXT, "mood": "calm"}
    token = browser.token("/entries/new")
    request = browser.request("POST", "/entries/new", csrf_token=token, **fields)
    return Visitor(browser, request, 302, b"Location: /entries/")


def _nothing(port: int, number: int) -> Visitor:
    browser = Browser(port)
    return Visitor(browser, browser.request("GET", "/healthz"), 200, b"alive")


VIEWS: t.Final = (
    View("nothing", "`GET /healthz`: uses nothing", _nothing, 2.0),
    View("front", "`GET /`: the front page, nobody signed in", _front),
    View("page", "`GET /entries`: a reader's page", _page),
    View("write", "`POST /entries/new`: a write", _write, 0.5),
)
