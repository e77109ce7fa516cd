"""The hot path takes as many instructions as it did, however busy the machine is."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "benchmarks"


def _counts(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / "counts.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def kept() -> str:
    """What figures are kept by, for this Python and Flask."""
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")
    key = _counts("--key").stdout
    if key not in json.loads((FOLDER / "counts.json").read_text()):
        pytest.skip(f"no counts are kept for {key}; `make counts` writes them down")
    return key


# Valgrind takes a dozen times as long as Python alone, and other tests run beside it.
@pytest.mark.server
def test_reads_and_requests_take_as_many_instructions_as_they_did(kept: str) -> None:
    done = _counts()
    assert done.returncode == 0, f"{kept}\n{done.stdout}{done.stderr}"
