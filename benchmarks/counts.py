"""How many instructions it takes, which no other work on the machine changes.

    python benchmarks/counts.py            # counts, and compares with what is kept
    python benchmarks/counts.py --write    # writes it down: the same as `make counts`

Valgrind counts them, in `counted.py`. What is kept are ratios, of a warm read to a call
of `functools.cache`, of a request to one of bare Flask; and for each Python, as it was
compiled, and Flask: these decide how many it takes.
"""

from __future__ import annotations

import argparse
import collections.abc as c
import json
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import version

ROOT = pathlib.Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "counts.json"
ALLOWED = 0.05
"""More or less than what is kept, of itself."""

NOISE = 0.003
"""Of a request to bare Flask, where what is kept is but a small part of it."""

# As `counted.py` comes to them, and in it.
SCENARIOS = ["first", "cache", "application", "request", "bare", "empty", "graph"]
FEW, MORE = 5, 25
# `counted.calls` calls ten times in each turn.
TURNS = {"first": 10, "cache": 10, "application": 10, "request": 10}

Counts = dict[str, float]


class CountError(Exception):
    """The program failed, or valgrind has not seen its marks."""


def key() -> str:
    """What decides, besides our code."""
    flags = str(sysconfig.get_config_var("PY_CFLAGS"))
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    # The last one holds.
    build = re.findall(r"-O\w", flags)[-1:]
    build += [each for each in ("optimizations", "lto") if each in options]
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return f"{python} ({' '.join(build)}), Flask {version('flask')}"


def count() -> Counts:
    """Instructions of each scenario, once.

    :raises CountError: not even when all is counted.
    """
    try:
        dumps = _dumps("--instr-atstart=no")
    except CountError:
        # Where valgrind cannot be told to begin it counts all, five times as long.
        dumps = _dumps("--instr-atstart=yes", "--all")
    counts = {}
    for index, name in enumerate(SCENARIOS):
        _, few, more = dumps[3 * index : 3 * index + 3]
        counts[name] = (more - few) / ((MORE - FEW) * TURNS.get(name, 1))
    return counts


def _dumps(option: str, *arguments: str) -> list[int]:
    """How many instructions up to each mark, from the one before."""
    command = ["valgrind", "--tool=callgrind", option]
    # The function of the C library that `os.getsid` calls.
    command.append("--dump-before=getsid")
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Neither another mode of Python, nor a measurement of coverage.
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COV"))
    }
    environ |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "out")
        command += [f"--callgrind-out-file={out}", sys.executable]
        command += ["-m", "benchmarks.counted", *arguments]
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, check=False
        )
        dumps = [_total(pathlib.Path(f"{out}.{number}")) for number in _numbers(out)]
    if done.returncode or len(dumps) != 3 * len(SCENARIOS):
        raise CountError(len(dumps), done.stderr)
    return dumps


def _numbers(out: pathlib.Path) -> c.Iterable[int]:
    return sorted(int(each.suffix[1:]) for each in out.parent.glob(f"{out.name}.*"))


def _total(dump: pathlib.Path) -> int:
    found = re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE)
    assert found is not None, dump
    return int(found[1])


def ratios(counts: Counts) -> Counts:
    """By what they are ratios of, as they are kept."""
    cache, bare = counts["cache"], counts["bare"]
    return {
        "warm application read / functools.cache": counts["application"] / cache,
        "warm request read / functools.cache": counts["request"] / cache,
        "empty request beyond bare Flask / bare Flask": counts["empty"] / bare - 1,
        "request with the graph beyond bare Flask / bare Flask": counts["graph"] / bare
        - 1,
    }


def differences(counted: Counts, kept: Counts) -> list[str]:
    """What is not as it is kept, in sentences."""
    return [
        f"{name}: {value:.4f} and not {kept[name]:.4f}, {value / kept[name] - 1:+.1%}"
        for name, value in counted.items()
        if abs(value - kept[name]) > _allowed(name, kept[name])
    ]


def _allowed(name: str, kept: float) -> float:
    noise = NOISE if name.endswith("bare Flask") else 0.0
    return max(abs(ALLOWED * kept), noise)


def main() -> None:
    parser = argparse.ArgumentParser(description="Count instructions.")
    parser.add_argument("--write", action="store_true", help="keep what is counted")
    parser.add_argument("--key", action="store_true", help="say what it is kept by")
    chosen = parser.parse_args()
    if chosen.key:
        sys.stdout.write(key())
        return
    counts = count()
    counted = {name: round(value, 4) for name, value in ratios(counts).items()}
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    shown = json.dumps({"counts": counts, "ratios": counted}, indent=1)
    sys.stdout.write(f"{shown}\n")
    if chosen.write:
        kept[key()] = counted
        KEPT.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
    elif key() not in kept:
        sys.exit(f"Nothing is kept for {key()}.")
    elif found := differences(counted, kept[key()]):
        advice = "If that is meant, `make counts` writes it down."
        sys.exit("\n".join([*found, advice]))


if __name__ == "__main__":
    main()
