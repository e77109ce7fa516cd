"""The texts of the errors, whole: each has its four parts, and no secret."""

from __future__ import annotations

import re
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
