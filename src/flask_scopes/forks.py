"""What a forked process does with the objects of its parent: nothing.

They are neither used nor closed. To close them would end, from the child, what the
parent is still using: a farewell that a client sends over a connection that both
hold, a session that the server then forgets.
"""

from __future__ import annotations

import contextlib
import typing as t
import warnings

from . import process_messages
from .errors import ForkWarning
from .places import user_frame

if t.TYPE_CHECKING:
    import collections.abc as c

    from .building import Build


def keep(thing: object) -> None:
    """Keep *thing* beyond the end of the interpreter, which drops all references, and
    would so close every suspended generator.
    """
    _kept.append(thing)
    # At the end of the interpreter that list goes too, and only a reference that
    # is nobody's stays.
    with contextlib.suppress(ImportError, AttributeError):
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


_kept: list[object] = []


def warn(builds: c.Sequence[Build]) -> None:
    """Say, once per process, what had been built before this one was forked.

    :param builds: all that it does not share.
    """
    if not builds:
        return
    text = process_messages.forked([(build.recipe, build.place) for build in builds])
    frame = user_frame()
    file, line = (frame.f_code.co_filename, frame.f_lineno) if frame else ("", 0)
    warnings.warn_explicit(text, ForkWarning, file, line)
