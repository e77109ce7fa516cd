"""Places in source code, written as ``file:line`` so that editors can open them."""

from __future__ import annotations

import collections.abc as c
import functools
import inspect
import os
import threading
import types
import typing as t

from flask import Flask

_PACKAGE = os.path.dirname(__file__) + os.sep
_passed_through: set[str] = set()


def place_of(factory: c.Callable[..., object]) -> str:
    """Where *factory* is defined; its dotted name if it has no source."""
    target = innermost(factory)
    stated: str | None = getattr(target, "declared_at", None)
    if stated is not None:
        return stated
    code = getattr(target, "__code__", None) or getattr(
        getattr(target, "__init__", None), "__code__", None
    )
    if isinstance(code, types.CodeType) and not _is_made_up(target, code):
        return f"{short_path(code.co_filename)}:{code.co_firstlineno}"
    return f"{getattr(target, '__module__', None)}.{name_of(factory)}"


def _is_made_up(target: object, code: types.CodeType) -> bool:
    """Whether *code* is the ``__init__`` of a dataclass, say: it has no file."""
    return isinstance(target, type) and code.co_filename.startswith("<")


Factory = t.TypeVar("Factory", bound=c.Callable[..., object])


def declared(name: str, place: str = "") -> c.Callable[[Factory], Factory]:
    """For a factory that this package writes for a user: messages call it *name*, and
    say that it stands where the user asked for it, or at *place*.
    """

    def name_it(factory: Factory) -> Factory:
        function: t.Any = factory
        function.__name__ = function.__qualname__ = name
        function.declared_at = place or caller()
        return factory

    return name_it


def innermost(factory: c.Callable[..., t.Any]) -> c.Callable[..., t.Any]:
    """The function behind decorators and partials."""
    while True:
        target = inspect.unwrap(factory)
        if isinstance(target, functools.partial):
            target = target.func
        if target is factory:
            return target
        factory = target


def name_of(factory: c.Callable[..., object]) -> str:
    """The name of *factory*; of its type, where it has none of its own."""
    return getattr(factory, "__name__", None) or type(factory).__name__


def caller() -> str:
    """The user's line that led here: the first frame outside this package; or that
    there is none, as Flask ends a request.

    Names the thread too when it is not the main one: that is most often why
    there is no context.
    """
    frame = user_frame()
    if frame is None:
        return "an unknown place"
    if frame.f_code is Flask.process_response.__code__:
        # It saves the session: no line of the user's has asked for that.
        return "the end of a request"
    place = f"{short_path(frame.f_code.co_filename)}:{frame.f_lineno}"
    thread = threading.current_thread()
    if thread is threading.main_thread():
        return place
    return f"{place}, in thread {thread.name!r}"


def user_frame() -> types.FrameType | None:
    """The first frame outside this package, and of what calls it for the user."""
    frame: types.FrameType | None = inspect.currentframe()
    while frame is not None and (
        is_ours(frame.f_code.co_filename)
        # By the name of the module: some code is made at run time, and has no file.
        or str(frame.f_globals.get("__name__")).partition(".")[0] in _passed_through
    ):
        frame = frame.f_back
    return frame


def pass_through(package: str) -> None:
    """From now on *package* is not where a user calls us, but what they call."""
    _passed_through.add(package)


def is_ours(filename: str) -> bool:
    """Whether *filename* is part of this package."""
    return filename.startswith(_PACKAGE)


def short_path(filename: str) -> str:
    """*filename* relative to the working directory, if it is inside of it."""
    try:
        relative = os.path.relpath(filename)
    except (ValueError, OSError):
        # Another drive, on Windows; or the working directory is gone.
        return filename
    return filename if relative.startswith(os.pardir) else relative
