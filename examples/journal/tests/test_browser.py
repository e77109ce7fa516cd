"""The whole story in a real browser: register, confirm, sign in, be remembered, see the
devices, make a token, forget the password, sign out everywhere."""

import email
import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request
from urllib.request import urlopen

import pytest

from journal.tests.test_process import running

api: Any = pytest.importorskip(
    "playwright.sync_api", reason="only the tools for development bring Playwright"
)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# A folder to keep pictures in, for the documentation.
PICTURES = os.environ.get("JOURNAL_PICTURES")

pytestmark = [pytest.mark.mongo, pytest.mark.server]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as playwright:
        options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
        browser = playwright.chromium.launch(**options)
        yield browser
        browser.close()


class Reader:
    """Somebody with a browser of their own, and a mailbox."""

    def __init__(self, chromium: Any, address: str, folder: Path) -> None:
        self.context = chromium.new_context(viewport={"width": 1000, "height": 760})
        self.page = self.context.new_page()
        self.address = address
        self.folder = folder

    def go(self, path: str) -> None:
        self.page.goto(self.address + path)

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            self.page.fill(f"form [name={name}]", value)

    def press(self, text: str) -> None:
        self.page.click(f"button:has-text('{text}')")

    def sees(self, text: str) -> bool:
        return text in str(self.page.inner_text("body"))

    def sign_in(self, password: str, remember: bool = False) -> None:
        self.go("/")
        panel = self.page.locator(".panel")
        panel.locator("[name=email]").fill("ida@example.org")
        panel.locator("[name=password]").fill(password)
        if remember:
            panel.locator("[name=remember]").check()
        self.press("Open my journal")

    def letter(self, subject: str) -> str:
        """The path in the last letter with this subject."""
        texts = []
        for path in sorted((self.folder / "outbox").glob("*.eml")):
            letter = email.message_from_bytes(path.read_bytes())
            if letter["Subject"] == subject:
                assert letter["To"] == "Ida@Example.org"
                texts.append(str(letter.get_payload()))
        found = re.search(r"http://[^/]+(/\S+)", texts[-1])
        assert found
        return found[1]

    def restart(self) -> None:
        """Close the browser, and open it again: the session is gone."""
        kept = [each for each in self.context.cookies() if each["expires"] > 0]
        self.context.clear_cookies()
        self.context.add_cookies(kept)

    def picture(self, name: str) -> None:
        if PICTURES:
            self.page.screenshot(path=Path(PICTURES, f"{name}.png"))


def asks(address: str, token: str, **entry: str) -> tuple[int, Any]:
    """What a program gets from `/api/entries` that has this token."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = json.dumps(entry).encode() if entry else None
    try:
        with urlopen(Request(f"{address}/api/entries", data, headers)) as answer:
            return int(answer.status), json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_whole_story(chromium: Any, tmp_path: Path) -> None:
    with running(tmp_path, signal.SIGINT) as address:
        here = Reader(chromium, address, tmp_path)
        there = Reader(chromium, address, tmp_path)
        registers_and_confirms(here)
        is_remembered(here)
        has_two_devices(here, there)
        makes_a_token(here, address)
        forgets_the_password(here, there)
        here.context.close()
        there.context.close()


def registers_and_confirms(here: Reader) -> None:
    here.go("/register")
    here.fill(name="Ida Lund", email="Ida@Example.org", password="long enough")
    here.press("Begin")
    assert here.sees("An empty page")
    assert here.sees("Is Ida@Example.org yours?")
    here.press("Send another")
    assert here.sees("A letter is on its way")
    here.go(here.letter("Is this your address?"))
    here.picture("confirm")
    here.press("It is mine")
    assert not here.sees("in your mailbox")


def is_remembered(here: Reader) -> None:
    here.press("Sign out")
    here.sign_in("not this one")
    assert here.sees("do not go together")
    here.picture("sign-in")
    here.sign_in("long enough", remember=True)
    assert here.sees("An empty page")
    here.restart()
    here.go("/entries")
    assert here.sees("An empty page")


def has_two_devices(here: Reader, there: Reader) -> None:
    there.sign_in("long enough")
    here.go("/devices")
    here.picture("devices")
    here.page.locator(".devices form button").first.click()
    there.go("/entries")
    assert there.sees("Sign in")


def makes_a_token(here: Reader, address: str) -> None:
    here.go("/tokens")
    # It was remembered: the password, please.
    assert here.sees("Is it still you?")
    here.fill(password="long enough")
    here.press("Go on")
    here.fill(name="a script")
    here.press("Make a token")
    token = str(here.page.inner_text(".made code"))
    here.picture("tokens")
    assert asks(address, token) == (200, [])
    assert asks(address, token, text="By a script.")[0] == 403
    here.go("/tokens")
    here.fill(name="a pen")
    here.page.check("[name=may][value=write]")
    here.press("Make a token")
    pen = str(here.page.inner_text(".made code"))
    assert asks(address, pen, text="By a script.")[0] == 201
    assert asks(address, token)[1][0]["text"] == "By a script."
    here.go("/entries")
    assert here.sees("By a script.")
    here.go("/tokens")
    for _ in range(2):
        here.page.locator("button:has-text('Revoke')").first.click()
    assert asks(address, token) == (401, {"error": "invalid_token"})


def forgets_the_password(here: Reader, there: Reader) -> None:
    there.go("/forgotten")
    there.fill(email="ida@example.org")
    there.press("Write to me")
    assert there.sees("A letter is on its way")
    link = there.letter("A new password")
    there.go(link)
    there.picture("reset")
    there.fill(password="something else")
    there.press("Keep it")
    there.go(link)
    assert there.sees("This link is used up")
    # It has signed out all devices, and what was remembered.
    here.go("/entries")
    assert here.sees("Sign in")
    there.sign_in("something else")
    assert there.sees("By a script.")
    here.sign_in("something else")
    here.go("/devices")
    here.press("Sign out all others")
    there.go("/entries")
    assert there.sees("Sign in")
