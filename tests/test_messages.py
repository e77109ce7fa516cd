"""The texts of the errors, whole: each has its four parts, and reads well."""

from __future__ import annotations

import collections.abc as c
import pathlib
import re
import threading
import typing as t

import flask
import pytest

from flask_scopes import ScopesError

from .messages import processes
from .messages import shop

GOLDEN = pathlib.Path(__file__).parent / "messages"


def text_of(use: c.Callable[[], object]) -> str:
    with pytest.raises((ScopesError, ExceptionGroup)) as raised:
        use()
    error: t.Any = raised.value
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return shortened(str(error))


def shortened(text: str) -> str:
    return re.sub(r"[^\s(]*messages/(shop|processes)\.py", "shop.py", text) + "\n"


@pytest.mark.parametrize("name", sorted(shop.CASES))
def test_message(name: str) -> None:
    assert text_of(shop.CASES[name]) == (GOLDEN / f"{name}.txt").read_text()


def test_the_warning_of_a_fork() -> None:
    text = shortened(processes.forked(*processes.an_app()))
    text = re.sub(r"process \d+", "process 42", text)
    assert text == (GOLDEN / "forked.txt").read_text()


def test_the_thread_is_named() -> None:
    texts: list[str] = []

    def work() -> None:
        texts.append(text_of(shop.CASES["outside"]))

    thread = threading.Thread(target=work, name="mailer")
    thread.start()
    thread.join(10)

    assert "in thread 'mailer'" in texts[0]


def test_every_error_has_what_happened_where_and_what_to_do() -> None:
    for name in shop.CASES:
        text = (GOLDEN / f"{name}.txt").read_text()
        first, *_ = text.strip().split("\n\n")
        assert re.search(r"shop\.py:\d+|'\w+'|\w\(", first), name
        assert "To fix it" in text, name
        assert re.search(r"shop\.py:\d+", text), name
        assert len(max(text.splitlines(), key=len)) <= 110, name


def test_the_path_is_an_attribute() -> None:
    with pytest.raises(ScopesError) as raised:
        shop.CASES["cycle"]()

    assert raised.value.path == ("orders", "prices", "discounts", "orders")
    assert isinstance(raised.value, RuntimeError)


def test_no_context_is_left() -> None:
    for use in shop.CASES.values():
        text_of(use)
    assert not flask.has_app_context()
