"""A MongoDB beside the journal, for whoever has none."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask_scopes.embedded import mongod


@contextmanager
def own_mongodb() -> Iterator[None]:
    """Run one as long as a `with` block, unless `MONGO_URI` names another. It is for
    all processes of the journal, and has to outlive them."""
    if os.environ.get("MONGO_URI"):
        yield
        return
    here = Path(__file__).parent / "instance"
    folder = Path(os.environ.get("JOURNAL_INSTANCE") or here, "mongodb")
    with mongod(folder) as running:
        os.environ["MONGO_URI"] = running.uri
        yield
