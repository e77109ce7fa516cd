"""Decorators of views: something that is done just before, or around, each call.

Done by the call and not by the name of the endpoint, so that it works wherever in a
stack of decorators it stands, and on the methods of class-based views.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import functools
import inspect
import typing as t

View = t.TypeVar("View", bound=c.Callable[..., t.Any])

_NOTHING: t.Final = contextlib.nullcontext()


def before_view(step: c.Callable[[], object]) -> c.Callable[[View], View]:
    """A decorator of views, async ones too, that calls *step* first."""

    def enter() -> contextlib.AbstractContextManager[None]:
        step()
        return _NOTHING

    return around_view(enter)


def around_view(
    enter: c.Callable[[], contextlib.AbstractContextManager[object]],
) -> c.Callable[[View], View]:
    """A decorator of views, async ones too, that are called inside of what *enter*
    makes for each call.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def call(*args: t.Any, **kwargs: t.Any) -> t.Any:
            with enter():
                return view(*args, **kwargs)

        @functools.wraps(view)
        async def call_async(*args: t.Any, **kwargs: t.Any) -> t.Any:
            with enter():
                return await view(*args, **kwargs)

        # Flask looks at the function to know whether it is async.
        is_async = inspect.iscoroutinefunction(view)
        return t.cast(View, call_async if is_async else call)

    return decorate
