"""What is said of a unit of work that fails, and of an app that is not set up.

Each text has the four parts that ``messages.py`` tells of.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

from .errors import ClosedError
from .errors import CommitFailed
from .errors import OutsideScopeError
from .errors import RetryError
from .errors import SetupError
from .errors import UnitFailed
from .messages import Described
from .messages import in_short
from .messages import named
from .messages import own_unit
from .places import caller
from .places import name_of
from .places import place_of


def commit_failed(
    failures: c.Sequence[tuple[Described, Exception]], committed: c.Sequence[Described]
) -> CommitFailed:
    """*failures*: the first one is why; the others happened while rolling back."""
    recipe, cause = failures[0]
    path = "".join(f"    finished before it   {named(step)}\n" for step in committed)
    path += f"    failed               {named(recipe)}\n"
    path += "".join(
        f"    failed to roll back  {named(step)}: {in_short(failure)}\n"
        for step, failure in failures[1:]
    )
    stays = "What was finished before it stays so. " if committed else ""
    for step, failure in failures:
        failure.add_note(f"Raised when {step!r} was torn down.")
    return CommitFailed(
        f"{named(recipe)} could not be finished: {in_short(cause)}\n\n"
        f"{path}\n"
        f"{stays}The objects built before it were rolled back.\n\n"
        f"{_TO_FIX}",
        [failure for _, failure in failures],
        recipe.name,
        [step.name for step in committed],
    )


def refused(
    recipe: Described, cause: Exception, committed: c.Sequence[Described]
) -> CommitFailed:
    """*recipe* cannot be committed, which was found before anything was."""
    path = "".join(f"    committed by hand   {named(step)}\n" for step in committed)
    path += f"    failed              {named(recipe)}\n"
    cause.add_note(f"Raised before anything was committed, by {recipe!r}.")
    return CommitFailed(
        f"{named(recipe)} cannot be committed: {in_short(cause)}\n\n"
        f"{path}\n"
        "It was found before anything else was committed, and all is rolled back.\n\n"
        f"{_TO_FIX}",
        [cause],
        recipe.name,
        [step.name for step in committed],
    )


_TO_FIX: t.Final = (
    "To fix it, look at what it raised. To answer the client, write an\n"
    "@app.errorhandler(CommitFailed); for a conflict that may pass, put"
    " @scopes.retry(3) on the view."
)


def failed_by_status(status: int) -> UnitFailed:
    text = (
        f"The response has status {status}, so what the request did is rolled back."
        f" To keep it, put @scopes.commit_on({status}) on the view."
    )
    return UnitFailed(text, status)


def doomed(reason: str) -> UnitFailed:
    return UnitFailed(f"Doomed at {caller()}: {reason}")


def dropped() -> UnitFailed:
    return UnitFailed("The client went away before the body was sent to its end.")


def already_failed() -> UnitFailed:
    return UnitFailed("The unit had failed when this object became ready.")


def no_unit(what: str) -> OutsideScopeError:
    return OutsideScopeError(
        f"{what} is about a unit of work, and there is none here.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, call it in a view, a command or a unit:\n\n"
        f"{own_unit(what)}"
    )


def unit_over(what: str) -> ClosedError:
    return ClosedError(
        f"{what} comes too late: this unit of work is already finished.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, call it before the response leaves, not in a stream or a teardown"
        " function."
    )


def streamed_retry(view: c.Callable[..., object]) -> RetryError:
    return RetryError(
        f"The view {name_of(view)!r} ({place_of(view)}) is to be retried, and answers"
        " with a stream.\n\n"
        "What a stream does comes after the end of the unit, so no retry would"
        " repeat it.\n\n"
        "To fix it, take @scopes.retry off the view, or return the whole body at once."
    )


def too_large_to_retry(limit: int) -> str:
    """What the client is told."""
    return f"What can be sent here is at most {limit} bytes long."


def bad_statuses(statuses: c.Sequence[object]) -> SetupError:
    given = ", ".join(map(repr, statuses)) or "nothing"
    return SetupError(
        f"commit_on() takes the statuses that are to count as success, from 400 to 599;"
        f" it was given {given}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, name them:  @scopes.commit_on(401, 422)"
    )


def bad_retry(what: str) -> SetupError:
    return SetupError(
        f"retry() cannot be called so: {what}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, say how often to try in all, and perhaps on what:"
        "  @scopes.retry(3, on=StaleData)"
    )


def bad_until(until: object) -> SetupError:
    return SetupError(
        f"A request object lives until the work is finished, or until the response"
        f" was sent; it was given until={until!r}.\n\n"
        f"Called from {caller()}.\n\n"
        'To fix it, write @scopes.request or @scopes.request(until="sent").'
    )


def known_app(app_name: str) -> SetupError:
    return SetupError(
        f"init_app was already called with the app {app_name!r} on these Scopes.\n\n"
        f"Called again from {caller()}.\n\n"
        "To fix it, call it once, where the app is made; Scopes(app) calls it too."
    )


def fixed_interface(app_name: str, app_class: type) -> SetupError:
    return SetupError(
        f"The session interface of the app {app_name!r} cannot be assigned, and it is"
        " where a request is finished.\n\n"
        f"Called from {caller()}.\n\n"
        f"To fix it, let {app_class.__name__}.session_interface be an attribute, or a"
        " property with a setter."
    )


def app_not_set_up(app_name: str) -> OutsideScopeError:
    return OutsideScopeError(
        f"These Scopes do not know the app {app_name!r}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, call scopes.init_app(app) where this app is made."
    )


def no_app(what: str) -> OutsideScopeError:
    return OutsideScopeError(
        f"{what}() does not know which application is meant: there is no application"
        " context here.\n\n"
        f"Called from {caller()}.\n\n"
        f"To fix it, name the app:  scopes.{what}(app)"
    )
