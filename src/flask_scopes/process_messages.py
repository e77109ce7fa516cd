"""What is said of application objects when a process starts, forks or ends.

Each text has the four parts that ``messages.py`` tells of.
"""

from __future__ import annotations

import collections.abc as c
import os
import traceback
import typing as t

from .errors import CloseTimeout
from .errors import SetupError
from .errors import StartError
from .errors import UnitFailed
from .messages import Described
from .messages import in_short
from .messages import named
from .places import caller
from .places import is_ours
from .places import short_path


def forked(built: c.Sequence[tuple[Described, str]]) -> str:
    """*built*: what the parent has, and where that was first used."""
    recipe, _ = built[0]
    more = f" and {len(built) - 1} more" if len(built) > 1 else ""
    path = "".join(
        f"    {named(each)}, first used at {place}\n" for each, place in built
    )
    return (
        f"{named(recipe)}{more} had been built before process {os.getpid()} was"
        " forked.\n\n"
        f"{path}\n"
        "This process neither uses nor closes these, and builds its own. What they"
        " hold open stays\nopen here as well, and their threads do not run here.\n\n"
        "To fix it, build nothing before the fork: not while the app is imported or"
        " made. What is\nmeant to be shared (plain data, and no connection) says so:"
        ' @scopes.application(fork="share").'
    )


def close_timeout(recipe: Described, seconds: float, limit: float) -> CloseTimeout:
    return CloseTimeout(
        f"{named(recipe)} was not closed within {seconds:.3g} s, and is given up.\n\n"
        f"That was its share of the {limit:.3g} s that closing everything may take."
        " What else is open is\nstill closed.\n\n"
        "To fix it, give the call that waits after its yield a time limit of its own,"
        ' or raise\napp.config["SCOPES_CLOSE_TIMEOUT"].',
        [recipe.name],
    )


def bad_close_timeout(value: object, app_name: str) -> SetupError:
    return SetupError(
        f"SCOPES_CLOSE_TIMEOUT cannot be {value!r}, in app.config of {app_name!r}.\n\n"
        f"Read at {caller()}.\n\n"
        "To fix it, set it to a number of seconds above 0: how long closing all"
        " application objects may take."
    )


def unit_left() -> UnitFailed:
    return UnitFailed("The process ended before this unit was finished.")


def bad_options(recipe: Described, problem: str) -> SetupError:
    return SetupError(
        f"{named(recipe)} cannot be kept like that: {problem}.\n\n"
        f"Seen at {caller()}.\n\n"
        "To fix it, write for example one of:\n"
        "  * @scopes.application(check=is_well, every=30)   every in seconds\n"
        "  * @scopes.application(eager=True, ping=is_well)   is_well takes the object\n"
        '  * @scopes.application(fork="share")',
        [recipe.name],
    )


def not_started(recipe: Described, error: BaseException) -> StartError:
    return StartError(
        f"{named(recipe)} could not be built: {in_short(error)}\n\n"
        f"{_raised(error)}"
        "It is eager, so nothing is served without it.\n\n"
        "To fix it, look at what it raised; or drop eager=True, and it is built when"
        " it is first used.",
        [*getattr(error, "path", [recipe.name])],
    )


def _raised(error: BaseException) -> str:
    """Where users would look: their own last line, and where the library raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        f"    {frame.name:<20}  {short_path(frame.filename)}:{frame.lineno}\n"
        for frame in frames
        if not is_ours(frame.filename)
    ]
    if not lines:
        return ""
    if len(lines) > _FRAMES:
        lines[_FRAMES - 1 : -1] = ["    ...\n"]
    return f"It was raised by:\n\n{''.join(lines)}\n"


_FRAMES: t.Final = 6
