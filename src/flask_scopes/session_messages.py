"""What is said of an object that a session cannot keep.

Each text has the four parts that ``messages.py`` tells of.
"""

from __future__ import annotations

import collections.abc as c

from .errors import ArgumentsError
from .errors import OutsideScopeError
from .errors import SessionTooLarge
from .errors import SessionValueError
from .errors import SetupError
from .messages import Described
from .messages import named
from .places import caller

_KEPT = "a session keeps plain data"
_OTHERWISE = (
    "To fix it, do one of:\n"
    "  * make it plain data: a dataclass, an attrs class, a TypedDict, a list;\n"
    "  * @scopes.application, for what all may share: a client, a pool, a lock;\n"
    "  * @scopes.request, for what one request needs: a connection, an open file;\n"
    "  * keep what it can be made from: an id, a name, a path."
)


def bad_type(recipe: Described, what: str) -> SetupError:
    return SetupError(
        f"{named(recipe)} cannot be session scoped: {_KEPT}, and it is annotated to"
        f" return\n(or to have in it) what is none: {what}.\n\n"
        f"Called from {caller()}.\n\n{_OTHERWISE}",
        [recipe.name],
    )


def not_annotated(recipe: Described) -> SetupError:
    return SetupError(
        f"{named(recipe)} does not say what it returns, which is what a session"
        " keeps, and gives back.\n\n"
        f"Called from {caller()}.\n\n"
        f"To fix it, annotate it:  def {recipe.name}() -> Cart: ...",
        [recipe.name],
    )


def yields(recipe: Described) -> SetupError:
    return SetupError(
        f"{named(recipe)} cannot be session scoped: it is a generator, and {_KEPT},"
        "\nwhich nobody tears down.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, return the object. What has to be closed is an application or a"
        " request object.",
        [recipe.name],
    )


def name_taken(recipe: Described, earlier: Described) -> SetupError:
    return SetupError(
        f"{named(recipe)} and {named(earlier)} would be one object:\n"
        f"sessions have both under one name.\n\n"
        f"Called from {caller()}.\n\n"
        'To fix it, give one of them another:  @scopes.session(name="...")',
        [earlier.name, recipe.name],
    )


def bad_key(recipe: Described, what: str) -> ArgumentsError:
    return ArgumentsError(
        f"{named(recipe)} cannot be called so: its arguments are part of the name that"
        f" a session keeps\nit under, and these are no plain data: {what}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, pass a name or an id.",
        [recipe.name],
    )


def not_plain(recipe: Described, value: object, what: str) -> SessionValueError:
    return SessionValueError(
        f"{named(recipe)} cannot be kept in the session: {_KEPT}, and in this"
        f" {type(value).__name__}:\n{what}.\n\n"
        f"Found at {caller()}.\n\n{_OTHERWISE}",
        [recipe.name],
    )


def other_type(recipe: Described, value: object, what: str) -> SessionValueError:
    return SessionValueError(
        f"{named(recipe)} cannot be kept in the session: this {type(value).__name__} is"
        f" not what its factory is\nannotated to return: {what}.\n\n"
        f"Found at {caller()}.\n\n"
        "To fix it, see where it got that; or annotate what it may be as well.",
        [recipe.name],
    )


def old_shape(recipe: Described, what: str) -> str:
    """What is logged."""
    return (
        f"{named(recipe)} no longer fits what sessions have of it ({what}): it is made"
        " anew for each visitor of whom this is so. Said once."
    )


def no_visitor(recipe: Described) -> OutsideScopeError:
    return OutsideScopeError(
        f"{named(recipe)} lives as long as a visitor's session, and there is no request"
        " here.\n\n"
        f"Called from {caller()}.\n\n"
        f"To fix it, call {recipe.name}() in a view, and pass on what others need. In a"
        " test, use a test client,\nor with app.test_request_context(): ...",
        [recipe.name],
    )


def no_secret_key(recipe: Described) -> SetupError:
    return SetupError(
        f"{named(recipe)} lives as long as a visitor's session, and this app has none:"
        " it has no secret key.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, set SECRET_KEY in the app's config.",
        [recipe.name],
    )


def too_large(
    size: int, limit: int, largest: c.Sequence[tuple[str, int]]
) -> SessionTooLarge:
    rows = "".join(f"    {length:>6} characters  {name}\n" for name, length in largest)
    return SessionTooLarge(
        f"The session would be a cookie of {size} bytes, and browsers drop what is over"
        f" {limit}: it was not changed.\n\n"
        f"{rows}\n"
        "To fix it, keep less in it, or keep sessions on the server:"
        " flask_scopes.sessions.",
        size,
        limit,
    )
