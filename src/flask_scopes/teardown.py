"""How a generator is finished, and how what went wrong is reported."""

from __future__ import annotations

import collections.abc as c
import typing as t

from . import messages
from .recipe import UNSET

if t.TYPE_CHECKING:
    from .building import Build


def finish(build: Build, error: BaseException | None) -> BaseException | None:
    """Let the generator of *build*, if it has one, run to its end.

    :param error: thrown in at the yield; None just goes on.
    :return: what the generator raised of its own. Letting *error* out is not
        news, and swallowing it changes nothing: it belongs to the unit.
    """
    generator = build.generator
    if generator is None:
        return None
    build.generator = None
    try:
        if error is not None:
            return _throw(build, generator, error)
        if next(generator, UNSET) is UNSET:
            return None
    except BaseException as raised:
        return raised
    return _yielded_again(build, generator)


def _throw(
    build: Build, generator: c.Generator[object, None, None], error: BaseException
) -> BaseException | None:
    traceback = error.__traceback__
    try:
        generator.throw(error)
    except StopIteration:
        return None
    except BaseException as raised:
        # A StopIteration that leaves a generator comes out wrapped.
        stopped = isinstance(error, StopIteration) and raised.__cause__ is error
        return None if raised is error or stopped else raised
    finally:
        # Each generator would add its own frames to the user's traceback.
        error.__traceback__ = traceback
    return _yielded_again(build, generator)


def _yielded_again(
    build: Build, generator: c.Generator[object, None, None]
) -> BaseException:
    frame = getattr(generator, "gi_frame", None)
    failure = messages.second_yield(build.recipe, frame and frame.f_lineno)
    try:
        generator.close()
    except BaseException as raised:
        failure.__cause__ = raised
    return failure


def raise_together(failures: c.Sequence[tuple[Build, BaseException]]) -> None:
    """Raise what teardowns raised as one group that names each resource.

    :raises BaseExceptionGroup: unless *failures* is empty; an
        :exc:`ExceptionGroup` if all are ordinary exceptions.
    """
    if not failures:
        return
    for build, failure in failures:
        failure.add_note(f"Raised when {build.recipe!r} was torn down.")
    # All that a one-line log shows of a group.
    lines = "; ".join(
        f"{messages.named(build.recipe)}: {messages.in_short(failure)}"
        for build, failure in failures
    )
    raise BaseExceptionGroup(
        f"teardown failed: {lines}", [failure for _, failure in failures]
    )


def leaves(error: BaseException) -> list[BaseException]:
    """What :func:`raise_together` has put together, or *error* itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    group = t.cast("BaseExceptionGroup[BaseException]", error)
    return list(group.exceptions)
