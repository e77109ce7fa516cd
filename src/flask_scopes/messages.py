"""What is said of an object that cannot be had.

Each text has four parts, in this order: what happened, which resource (with
``file:line``), the path that led there, and what to do.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

from .errors import ArgumentsError
from .errors import ClosedError
from .errors import CycleError
from .errors import OutsideScopeError
from .errors import ScopeMismatchError
from .errors import SetupError
from .errors import YieldError
from .places import caller
from .places import name_of
from .places import place_of
from .scope import Scope

if t.TYPE_CHECKING:
    import inspect


class Described(t.Protocol):
    """What the sentences say of a resource; its recipe knows it."""

    @property
    def name(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def scope(self) -> Scope: ...
    @property
    def signature(self) -> inspect.Signature | None: ...


_LIVES = {
    Scope.APPLICATION: "lives as long as the application",
    Scope.SESSION: "lives as long as a visitor's session",
    Scope.SENT: "lives until the response was sent",
    Scope.REQUEST: "lives for one request",
}


IS_ASYNC = "it is async, and its object is asked for by a plain call"


def outside(recipe: Described) -> OutsideScopeError:
    streams = (
        "In the body of a stream, wrap its generator in flask.stream_with_context.\n"
        if recipe.scope is Scope.SENT
        else ""
    )
    return OutsideScopeError(
        f"{named(recipe)} {_LIVES[recipe.scope]}, and there is no application or"
        " request here.\n\n"
        f"Called from {caller()}.\n\n"
        f"{streams}To fix it, call it where Flask has a context (a view, a command, a"
        " test client's request),\nor give the work a unit of its own:\n\n"
        f"{own_unit(_call(recipe))}",
        [recipe.name],
    )


def unknown_app(recipe: Described, app_name: str) -> OutsideScopeError:
    return OutsideScopeError(
        f"{named(recipe)} {_LIVES[recipe.scope]}, but its Scopes do not know the app"
        f" {app_name!r}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, call scopes.init_app(app) where this app is made.",
        [recipe.name],
    )


def no_g(recipe: Described) -> OutsideScopeError:
    return OutsideScopeError(
        f"{named(recipe)} {_LIVES[recipe.scope]}, so its factory cannot"
        " use flask.g,\nwhich lives for one request.\n\n"
        f"Used at {caller()}.\n\n"
        "To fix it, read app.config (current_app works here), or make the resource"
        " request scoped.",
        [recipe.name],
    )


def mismatch(chain: c.Sequence[Described], recipe: Described) -> ScopeMismatchError:
    holder = chain[-1]
    path = [*chain, recipe]
    return ScopeMismatchError(
        f"{holder.name!r} {_LIVES[holder.scope]}, but uses {recipe.name!r}, which"
        f" {_LIVES[recipe.scope]}.\n\n"
        f"{_stairs(path)}  <- would be kept after its end\n\n"
        "To fix it, do one of:\n"
        f"  * {_shorten(holder, recipe)};\n"
        f"  * call {recipe.name}() where {holder.name!r} is used, and pass in what"
        " you need;\n"
        f"  * keep the function, not the object: {recipe.name} may be held,"
        f" {recipe.name}() may not.",
        [step.name for step in path],
    )


def _shorten(holder: Described, recipe: Described) -> str:
    if holder.scope is Scope.SENT:
        return f'let {recipe.name!r} live as long: @scopes.request(until="sent")'
    if recipe.scope is Scope.SENT:
        return f'make {holder.name!r} request scoped: @scopes.request(until="sent")'
    if recipe.scope is Scope.SESSION:
        return f"make {holder.name!r} request scoped"
    return f"make {holder.name!r} {recipe.scope} scoped"


def cycle(path: c.Sequence[Described], threads: bool = False) -> CycleError:
    """*path* begins and ends with what was asked for while it was being built."""
    first = path[0]
    where = " by several threads at once" if threads else ""
    return CycleError(
        f"Building {first.name!r} needs {first.name!r}{where}.\n\n"
        f"{_loop(path[:-1], first)}\n\n"
        "To fix it, do one of:\n"
        "  * move what both sides need into a resource of its own;\n"
        f"  * keep the function and call {first.name}() later, when it is used.",
        [step.name for step in path],
    )


def no_yield(recipe: Described) -> YieldError:
    return YieldError(
        f"{named(recipe)} did not yield an object.\n\n"
        f"Called from {caller()}.\n\n"
        "A generator factory yields one object; what follows the yield is its"
        " teardown.\nTo fix it, let every path through the factory reach the yield, or"
        " raise.",
        [recipe.name],
    )


def second_yield(recipe: Described, line: int | None) -> YieldError:
    file = recipe.place.rpartition(":")[0]
    at = "" if line is None else f" Second yield at {file}:{line}."
    return YieldError(
        f"{named(recipe)} yielded twice.{at}\n\n"
        "It was found when the object was torn down.\n\n"
        "A generator factory yields one object; what follows the yield is its"
        " teardown.\nTo fix it, remove the second yield; for several objects, write"
        " several resources.",
        [recipe.name],
    )


def closed(recipe: Described, *, ending: bool) -> ClosedError:
    """*ending*: others of its scope are still there, only this object is gone."""
    if ending:
        what = "was already torn down, and is not built again for a teardown"
        cure = "take what the teardown needs from it before the yield."
    elif recipe.scope is Scope.APPLICATION:
        what = "lives as long as the application, and the application was closed"
        cure = "call scopes.close(app) last, or make a new app."
    elif recipe.scope is Scope.SENT:
        what = "lives until the response was sent, and this one was sent or dropped"
        cure = f"give late work a unit of its own:\n\n{own_unit(_call(recipe))}"
    elif recipe.scope is Scope.SESSION:
        what = "is kept in a visitor's session, and this request's session is saved"
        cure = (
            "use it before the response leaves: not in a stream, and not after a test"
            " client's request."
        )
    else:
        what = "lives for one request, and this request (or app context) has ended"
        cure = (
            "use it before the response leaves. What a streamed body needs is"
            ' decorated with\n@scopes.request(until="sent"); late work gets a unit of'
            f" its own:\n\n{own_unit(_call(recipe))}"
        )
    return ClosedError(
        f"{named(recipe)} {what}.\n\nCalled from {caller()}.\n\nTo fix it, {cure}",
        [recipe.name],
    )


def bad_arguments(
    recipe: Described, signature: inspect.Signature, reason: TypeError
) -> ArgumentsError:
    return ArgumentsError(
        f"{named(recipe)} cannot be called so: {reason}.\n\n"
        f"Called from {caller()}.\n\n"
        f"Its factory takes {signature.replace(return_annotation=signature.empty)}."
        " There is one object per distinct arguments.\n"
        "To fix it, pass what it takes, each hashable: a name or an id, not a list or"
        " a dict.",
        [recipe.name],
    )


def bad_override(recipe: Described) -> SetupError:
    return SetupError(
        f"{named(recipe)} is overridden by one thing: an object, or a factory that"
        " can be called.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, write one of:\n"
        f"  * with {recipe.name}.override(obj): ...\n"
        f"  * with {recipe.name}.override(factory=function): ...",
        [recipe.name],
    )


IS_CONTEXT_MANAGER = "it is made by @contextmanager, and would not be entered"


def no_request(recipe: Described) -> str:
    """A note for the error that Flask itself raises."""
    return (
        f"{named(recipe)} {_LIVES[recipe.scope]}, so its factory sees no request"
        " and no session, even while one is handled. Read app.config (current_app works"
        " here), or make the resource request scoped."
    )


def bad_factory(
    scope: Scope, factory: c.Callable[..., object], reason: str
) -> SetupError:
    return SetupError(
        f"{name_of(factory)!r} ({place_of(factory)}) cannot be {scope} scoped:"
        f" {reason}.\n\n"
        f"Seen at {caller()}.\n\n"
        "To fix it, decorate a plain function that returns the object, or a generator"
        " that\nyields it once."
    )


def own_unit(body: str) -> str:
    return f"    with scopes.unit(app):\n        {body}"


def in_short(error: BaseException) -> str:
    """As much of *error* as fits on a line."""
    text = str(error)
    first = text.partition("\n")[0][:200]
    more = "" if first == text else " ..."
    return f"{type(error).__name__}: {first}{more}" if text else type(error).__name__


def _call(recipe: Described) -> str:
    return f"{recipe.name}({'...' if recipe.signature else ''})"


def named(recipe: Described) -> str:
    return f"{recipe.name!r} ({recipe.place})"


def _stairs(path: c.Sequence[Described]) -> str:
    """One line a step, each further in: how the last one was reached."""
    lines: list[str] = []
    width = max(len(step.name) + 4 * index for index, step in enumerate(path))
    for index, step in enumerate(path):
        arrow = "    " * (index - 1) + "└─> " if index else ""
        name = (arrow + step.name).ljust(width)
        lines.append(f"    {step.scope!s:<11}  {name}  {step.place}")
    return "\n".join(lines)


def _loop(steps: c.Sequence[Described], first: Described) -> str:
    """The steps inside a loop drawn on the left, back from the last to the first."""
    width = max(len(step.name) for step in steps)
    rows = [f"{step.name:<{width}}  {step.place}" for step in steps]
    if len(rows) == 1:
        return f"  ╭─> {rows[0]}\n  ╰── calls {first.name}()"
    head, *middle, tail = rows
    lines = [f"  ╭─> {head}", *(f"  │   {row}" for row in middle)]
    return "\n".join([*lines, f"  ╰── {tail}  calls {first.name}()"])
