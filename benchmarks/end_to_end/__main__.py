"""`python -m benchmarks.end_to_end`: see the package."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import argon2
from pymongo import MongoClient

from flask_scopes.embedded import mongod

from . import checks
from . import commands
from . import report
from .browser import PASSWORD
from .data import Client
from .data import fill
from .data import forget_writing
from .lines import table
from .load import run_block
from .servers import Served
from .servers import serving
from .views import CLIENTS
from .views import VIEWS
from .views import View
from .views import Visitor

_ROUNDS, _QUICK_ROUNDS = 10, 2
_REQUESTS, _QUICK_REQUESTS = 300, 80

Visitors: t.TypeAlias = dict[str, dict[str, list[Visitor]]]


def main() -> None:
    options = _options()
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        running = stack.enter_context(mongod(folder / "mongod"))
        client: Client = stack.enter_context(MongoClient(running.uri))
        fill(client, list(report.NAMES), argon2.PasswordHasher().hash(PASSWORD))
        apps = [
            stack.enter_context(serving(name, running.uri, folder))
            for name in report.NAMES
        ]
        compared = checks.same(*apps)
        say(f"{compared} answers are the same.")
        for each in apps:
            say(f"{each.name}: {', '.join(checks.right(each, client))}.")
        visitors = come(apps)
        counts = count(client, apps, visitors)
        blocks = measure(options, client, running.pid, apps, visitors)
        about = report.about(client.server_info()["version"], options.rounds)
        lines = table()
        made = report.as_json(blocks, counts, lines, about)
        text = report.as_markdown(blocks, counts, lines, about)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "end_to_end.json").write_text(json.dumps(made, indent=1))
        (options.out / "end_to_end.md").write_text(text)
    sys.stdout.write(text)
    say(f"It took {time.monotonic() - began:.0f} s.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.end_to_end")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="less than a minute")
    options = parser.parse_args()
    options.requests = _QUICK_REQUESTS if options.quick else _REQUESTS
    options.rounds = options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS)
    return options


def come(apps: list[Served]) -> Visitors:
    """Those who ask: signed in, and with the secrets of their forms."""
    visitors = {
        view.key: {
            app.name: [view.visitor(app.port, n) for n in range(CLIENTS)]
            for app in apps
        }
        for view in VIEWS
    }
    for by_app in visitors.values():
        for each in [*by_app["ours"], *by_app["by_hand"]]:
            each.browser.close()  # gunicorn would not wait for so long.
    return visitors


def count(client: Client, apps: list[Served], visitors: Visitors) -> report.Counts:
    counts = {
        view.key: {
            app.name: commands.asked(client, visitors[view.key][app.name][0])
            for app in apps
        }
        for view in VIEWS
    }
    for app in apps:
        forget_writing(client, app)
    return counts


def measure(
    options: argparse.Namespace,
    client: Client,
    database: int,
    apps: list[Served],
    visitors: Visitors,
) -> report.Blocks:
    blocks: report.Blocks = {
        view.key: {name: [] for name in report.NAMES} for view in VIEWS
    }
    for number in range(-1, options.rounds):  # The first warms up.
        say(f"round {number + 1} of {options.rounds}")
        for place, view in enumerate(VIEWS):
            # Who is first takes turns, in each round and with each view.
            turned = (number + place) % 2
            for app in apps[turned:] + apps[:turned]:
                asking = visitors[view.key][app.name]
                requests = _requests(options, view)
                block = run_block(app, database, asking, requests)
                if number >= 0:
                    blocks[view.key][app.name].append(block)
                if view.key == "write":
                    forget_writing(client, app)
    return blocks


def _requests(options: argparse.Namespace, view: View) -> int:
    return int(options.requests * view.share)


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()
