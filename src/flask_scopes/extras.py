"""What an integration says when its library is not there: which extra brings it."""

from __future__ import annotations

import collections.abc as c
import contextlib


@contextlib.contextmanager
def brought_by(extra: str, package: str, what: str) -> c.Generator[None, None, None]:
    """Around the import of *package*.

    :param what: what works with it, and how that is called.
    :raises ImportError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        text = (
            f"{what}, which is not installed.\n\n"
            f"To fix it, run:  pip install 'Flask-Scopes[{extra}]'"
        )
        raise ImportError(text, name=package) from None
