"""Who is measured in ``benchmarks/`` does the work, as far as they are installed."""

from __future__ import annotations

import importlib
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HERE = ["plain", "cached", "by_hand", "proxies", "with_svcs", "with_dishka"]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], None]:
    monkeypatch.syspath_prepend(ROOT)
    correct: t.Any = importlib.import_module("benchmarks.compare.correct")
    contenders: t.Any = importlib.import_module("benchmarks.compare.contenders")
    return lambda name: correct.check(contenders.contender(name))


@pytest.mark.parametrize("name", [*HERE, "with_scopes"])
def test_a_contender_does_the_work(check: t.Callable[[str], None], name: str) -> None:
    check(name)


def test_who_closes_nothing_is_not_measured(
    check: t.Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand: t.Any = importlib.import_module("benchmarks.compare.contenders.by_hand")
    make = type(by_hand.contender).make

    def careless(self: t.Any, things: t.Any) -> t.Any:
        made = make(self, things)
        made.app.teardown_appcontext_funcs.clear()
        return made

    monkeypatch.setattr(type(by_hand.contender), "make", careless)
    with pytest.raises(AssertionError, match="by hand"):
        check("by_hand")
