"""What gunicorn runs: either application, told by the environment what to use."""

from __future__ import annotations

import os
import tomllib
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    import flask

ROOT = Path(__file__).parents[2]
KEY = "a key that both have, so that their work is the same"


def ours() -> flask.Flask:
    from journal import create_app

    return create_app(
        {
            "MONGO_DATABASE_PREFIX": os.environ["PREFIX"],
            "MONGO_URI": os.environ["MONGO_URI"],
            "SECRET_KEY": KEY,
        }
    )


def by_hand() -> flask.Flask:
    from .by_hand import create_app

    seed = (ROOT / "examples" / "journal" / "seed.toml").read_text("utf-8")
    return create_app(
        {
            "INSTANCE_PATH": os.environ["JOURNAL_INSTANCE"],
            "MONGO_DATABASE_PREFIX": os.environ["PREFIX"],
            "MONGO_URI": os.environ["MONGO_URI"],
            "SECRET_KEY": KEY,
            "SHOWN": tomllib.loads(seed),
        }
    )
