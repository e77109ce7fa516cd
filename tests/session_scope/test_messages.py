"""The texts of the errors about session objects, whole."""

from __future__ import annotations

import pathlib
import re

import pytest

from flask_scopes import ScopesError

from . import cases

GOLDEN = pathlib.Path(__file__).parent / "messages"


def text_of(name: str) -> str:
    with pytest.raises(ScopesError) as raised:
        cases.CASES[name]()
    text = re.sub(r"[^\s(]*session_scope/cases\.py", "shop.py", str(raised.value))
    # A signature has the time in it, and is not always of one length.
    return re.sub(r"a cookie of \d+ bytes", "a cookie of 123 bytes", text) + "\n"


@pytest.mark.parametrize("name", sorted(cases.CASES))
def test_message(name: str) -> None:
    text = text_of(name)

    assert text == (GOLDEN / f"{name}.txt").read_text()
    assert "To fix it" in text
    assert len(max(text.splitlines(), key=len)) <= 110
