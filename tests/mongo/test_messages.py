"""The texts of the errors, whole: each has its four parts, and no secret."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flask_scopes import ScopesError

from .messages import shop

GOLDEN = Path(__file__).parent / "messages"


def text_of(name: str) -> str:
    with pytest.raises(ScopesError) as raised:
        shop.CASES[name]()
    return re.sub(r"[^\s(]*messages/shop\.py", "shop.py", str(raised.value)) + "\n"


@pytest.mark.parametrize("name", sorted(shop.CASES))
def test_message(name: str) -> None:
    text = text_of(name)
    assert text == (GOLDEN / f"{name}.txt").read_text()
    assert "secret" not in text
    assert re.search(r"shop\.py:\d+|as a request began", text)
    assert "To fix it, " in text
    assert len(max(text.splitlines(), key=len)) <= 110


def test_without_pymongo_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['pymongo'] = None; import flask_scopes.mongo"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "pip install 'Flask-Scopes[mongo]'" in done.stderr


def test_the_core_does_without_it() -> None:
    code = "import flask_scopes, sys; assert not {'pymongo', 'bson'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
