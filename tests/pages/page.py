"""A page of the documentation, whose python blocks are written out and imported."""

from __future__ import annotations

import contextlib
import importlib
import re
import socket
import sys
import threading
import typing as t
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

if t.TYPE_CHECKING:
    import pytest


class Page:
    """One page in docs/, by its name without ".md"."""

    def __init__(self, name: str) -> None:
        self.path = DOCS / f"{name}.md"
        self.text = self.path.read_text()

    def blocks(self, kind: str = "python") -> list[str]:
        found = re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.S | re.M)
        return [text for its_kind, text in found if its_kind == kind]

    def modules(self) -> dict[str, str]:
        """The code by its file, in order. A block that names none goes on with the
        file of the one before it.
        """
        found: dict[str, str] = {}
        file = ""
        for block in self.blocks():
            named = re.match(r"# (\w+\.py)\n", block)
            file = named[1] if named else file
            found[file] = found.get(file, "") + block + "\n"
        return found

    def rows(self) -> list[list[str]]:
        """The cells of all tables, without the lines of their heads."""
        lines = re.findall(r"^\|(.+)\|$", self.text, re.M)
        cells = [[cell.strip() for cell in line.split(" | ")] for line in lines]
        heads = {
            number - 1 for number, line in enumerate(lines) if not line.strip("-| ")
        }
        return [
            row
            for number, row in enumerate(cells)
            if number not in heads and number - 1 not in heads
        ]

    def write(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the modules into *folder*, where Python then finds them."""
        monkeypatch.syspath_prepend(folder)
        monkeypatch.chdir(folder)
        for file, code in self.modules().items():
            (folder / file).write_text(code)
            # Another page, or test, may have had one of that name.
            monkeypatch.delitem(sys.modules, file.removesuffix(".py"), raising=False)

    def check(self) -> None:
        """That its code is narrow enough, and that its links lead somewhere."""
        assert self.blocks(), "a page shows something"
        for block in self.blocks():
            assert max(map(len, block.splitlines())) <= 92
        for link, anchor in re.findall(r"\]\(([\w./-]*)(#[\w-]+)?\)", self.text):
            target = self.path.parent / link if link else self.path
            assert target.exists(), link
            if anchor:
                assert anchor[1:] in _anchors(target.read_text()), anchor


def _anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#{1,3} (.+)$", text, re.M)
    kept = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.strip().replace(" ", "-") for title in kept}


def meet_as_they_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two threads connect at once, if both do."""
    both = threading.Barrier(2)
    connect = socket.create_connection

    def slowly(address: tuple[str, int]) -> socket.socket:
        # Until both are here, or it is certain that the other one only waits.
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(1)
        return connect(address)

    monkeypatch.setattr(socket, "create_connection", slowly)


def load(name: str) -> t.Any:
    return importlib.import_module(name)
