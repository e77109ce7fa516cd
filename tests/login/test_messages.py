"""The texts of the errors about signing in, whole."""

from __future__ import annotations

import pathlib
import re

import pytest

from flask_scopes import ScopesError

from . import cases
from .site import OpenSite

GOLDEN = pathlib.Path(__file__).parent / "messages"


@pytest.mark.parametrize("name", sorted(cases.CASES))
def test_message(name: str, open_site: OpenSite) -> None:
    with pytest.raises(ScopesError) as raised:
        cases.CASES[name](open_site)
    text = re.sub(r"[^\s(]*login/(cases|site)\.py", r"shop.py", str(raised.value))
    path = GOLDEN / f"{name}.txt"

    assert f"{text}\n" == path.read_text()
    assert "To fix it" in text
    assert len(max(text.splitlines(), key=len)) <= 110
