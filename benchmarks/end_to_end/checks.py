"""Whether both do the same, and do it right. An assertion that fails ends the run."""

from __future__ import annotations

import contextlib
import difflib
import re
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .browser import Answer
from .browser import Browser
from .data import READERS
from .data import WRITERS
from .data import Client
from .data import forget_writing
from .data import kept

if t.TYPE_CHECKING:
    import collections.abc as c

    from .servers import Served

# What may differ between two answers that are the same otherwise.
_OWN: t.Final = (
    (r'value="[\w.-]+">', 'value="a secret">'),
    (r"/entries/[0-9a-f]{24}", "/entries/an id"),
    (r"Open since \d\d:\d\d", "Open since then"),
    (r"Page \d+ ", "Page "),
    (r'datetime="[^"]+">[^<]+', "some time"),
)
# (Not `Vary`: Flask-Login looks into the session at the end of each request.)
_HEADERS: t.Final = ("Content-Type", "Content-Security-Policy", "Cache-Control")


# Only ours counts attempts: here alone the number of questions to MongoDB may differ.
_REFUSED: t.Final = "wrong password"


def essence(answer: Answer) -> tuple[t.Any, ...]:
    """Status, the headers that matter, and all of the page but what is its own."""
    body, location = answer.body, answer.location or ""
    for pattern, instead in _OWN:
        body, location = (re.sub(pattern, instead, each) for each in (body, location))
    lines = [line.strip() for line in body.splitlines() if line.strip()]
    headers = [answer.header(each) for each in _HEADERS]
    flags = (answer.header("Set-Cookie") or "").partition(";")[2]
    return answer.status, location, headers, flags, lines


def walk(served: Served) -> c.Iterator[tuple[str, Answer]]:
    """From the front page to the end of a session, and what comes of each step."""
    browser, stranger = Browser(served.port), Browser(served.port)
    yield "front page, first visit", browser.get("/")
    yield "front page", browser.get("/")
    yield "healthz", browser.get("/healthz")
    yield "not signed in", stranger.get("/entries?page=2")
    yield "nowhere", stranger.get("/nowhere")
    yield "no secret", browser.ask("POST", "/entries/new", text="x")
    guess = {"email": WRITERS[0], "password": "guess"}
    yield _REFUSED, browser.post("/", form_of="/", **guess)
    yield "signed in", browser.sign_in(WRITERS[0])
    yield "no entries", browser.get("/entries")
    yield "a form", browser.get("/entries/new")
    yield "an empty one", browser.post("/entries/new", title="Kept?", text="")
    written = browser.post("/entries/new", title="Snow", text="One.\n\nTwo & three.")
    yield "written", written
    place = written.location
    assert place
    yield "read", browser.get(place)
    yield "found", browser.get("/entries?q=snow")
    yield "looked for lately", browser.get("/entries")
    yield "edited", browser.post(f"{place}/edit", title="Snow", text="Two.")
    yield "read again", browser.get(place)
    yield "deleted", browser.post(f"{place}/delete")
    yield "is gone", browser.get(place)
    reader = Browser(served.port)
    yield "a reader", reader.sign_in(READERS[0])
    yield "their page", reader.get("/entries")
    yield "signed out", browser.post("/sign-out")
    yield "after that", browser.get("/entries")


def same(one: Served, other: Served) -> int:
    """How many answers were compared."""
    compared = 0
    for (step, first), (_, second) in zip(walk(one), walk(other), strict=True):
        if step == _REFUSED:
            first, second = map(_with_any_number_of_questions, (first, second))
        assert essence(first) == essence(second), _difference(step, first, second)
        compared += 1
    return compared


def _with_any_number_of_questions(answer: Answer) -> Answer:
    return answer._replace(body=re.sub(r"; \d+ questions?", "", answer.body))


def _difference(step: str, first: Answer, second: Answer) -> str:
    both = [
        [str(part) for part in each[:-1]] + each[-1]
        for each in (essence(first), essence(second))
    ]
    return "\n".join([step, *difflib.unified_diff(*both, lineterm="", n=1)])


def right(served: Served, client: Client) -> list[str]:
    """What was seen to hold, each time from outside."""
    checks = (
        sessions_are_renewed,
        entries_are_theirs,
        a_failed_write_leaves_nothing,
        two_at_once_are_both_kept,
    )
    for check in checks:
        forget_writing(client, served)
        check(served, client)
    forget_writing(client, served)
    return [each.__name__.replace("_", " ") for each in checks]


def sessions_are_renewed(served: Served, client: Client) -> None:
    browser, thief = Browser(served.port), Browser(served.port)
    browser.get("/")
    before = browser.cookie
    browser.sign_in(WRITERS[0])
    assert browser.cookie != before
    thief.cookie = before
    assert thief.get("/entries").status == 302
    thief.cookie = browser.cookie
    assert thief.get("/entries").status == 200
    browser.post("/sign-out")
    assert thief.get("/entries").status == 302


def entries_are_theirs(served: Served, client: Client) -> None:
    one, other = Browser(served.port), Browser(served.port)
    one.sign_in(WRITERS[0])
    other.sign_in(WRITERS[1])
    place = one.post("/entries/new", text="Mine alone").location
    assert place
    assert one.get(place).status == 200
    assert other.get(place).status == 404
    assert other.post(f"{place}/edit", text="Hers now").status == 404
    assert "Mine alone" in one.get(place).body


@contextlib.contextmanager
def a_trail_that_refuses(client: Client, served: Served) -> c.Generator[None]:
    """The third of three operations in a write is refused, by MongoDB itself."""
    events = client[f"{served.prefix}events"]
    events.command("collMod", "trail", validator={"never": {"$exists": True}})
    try:
        yield
    finally:
        events.command("collMod", "trail", validator={})


def a_failed_write_leaves_nothing(served: Served, client: Client) -> None:
    browser = Browser(served.port)
    browser.sign_in(WRITERS[0])
    assert browser.post("/entries/new", text="One").status == 302
    before = kept(client, served, WRITERS[0])
    assert before[:2] == (1, 1)
    assert before.letters == 1
    with a_trail_that_refuses(client, served):
        answer = browser.post("/entries/new", text="Two")
        assert answer.status == 500
        assert "Something broke" in answer.body
    assert browser.post("/entries/new", text="", title="Kept?").status == 422
    assert kept(client, served, WRITERS[0]) == before


def two_at_once_are_both_kept(served: Served, client: Client) -> None:
    """They change the same number. MongoDB refuses one of them, which begins anew."""
    browsers = [Browser(served.port) for _ in range(2)]
    for each in browsers:
        each.sign_in(WRITERS[0])
    with ThreadPoolExecutor(2) as pool:
        for number in range(10):
            # Two tokens first, so that the writes themselves are at once.
            tokens = [each.token("/entries/new") for each in browsers]
            text = f"entry {number}"
            writing = [
                pool.submit(
                    each.ask, "POST", "/entries/new", csrf_token=token, text=text
                )
                for each, token in zip(browsers, tokens, strict=True)
            ]
            assert [each.result().status for each in writing] == [302, 302]
    assert kept(client, served, WRITERS[0])[:2] == (20, 20)
