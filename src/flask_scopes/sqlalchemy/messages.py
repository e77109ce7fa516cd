"""What is said of a database that is not set up, or not used, as it should be.

Never an address, which may hold a password, and never a value of a row.
"""

from __future__ import annotations

import collections.abc as c

from ..errors import ClosedError
from ..errors import ReadOnlyError
from ..errors import ScopesError
from ..errors import SetupError
from ..places import caller


class CommitRefused(ScopesError):
    """Raised at the call: a session is committed by its unit, and not by hand."""


URL = 'the address of a database, as in "postgresql+psycopg://localhost/shop"'
OPTIONS = "a dictionary of keyword arguments for create_engine"
BINDS = 'a dictionary of addresses by name, as in {"reports": "sqlite:///reports.db"}'
BIND = 'an address, or a dictionary with the key "url" and options for create_engine'


def no_url() -> SetupError:
    return SetupError(
        "The app's config does not say where its database is: there is no"
        " SQLALCHEMY_URL.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, set it before the first use:\n\n"
        '    app.config["SQLALCHEMY_URL"] = "sqlite:///shop.db"'
    )


def unknown_bind(bind: str, names: c.Sequence[str]) -> SetupError:
    known = ", ".join(map(repr, names)) or "none"
    return SetupError(
        f"The app's config does not say where the database {bind!r} is:"
        f" SQLALCHEMY_BINDS has {known}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, add it:\n\n"
        f'    app.config["SQLALCHEMY_BINDS"] = {{"{bind}": "sqlite:///shop.db"}}'
    )


def no_engine(name: str, reason: Exception) -> SetupError:
    # SQLAlchemy goes on to name its own parts.
    detail = str(reason).partition(", using ")[0]
    return SetupError(
        f"SQLAlchemy cannot make an engine of {name} and SQLALCHEMY_ENGINE_OPTIONS:\n"
        f"{type(reason).__name__}: {detail}\n\n"
        f"Called from {caller()}.\n\n"
        'To fix it, look at how the address begins ("postgresql+psycopg://", and not'
        '\n"postgres://"), whether the driver is installed, and at the names of the'
        " options."
    )


def not_an_engine(given: object) -> SetupError:
    return SetupError(
        f"SQL() takes an Engine of SQLAlchemy; this is a {type(given).__name__}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, pass what create_engine() returns; or leave it out, and set"
        " SQLALCHEMY_URL."
    )


def nothing_to_join(given: object) -> SetupError:
    return SetupError(
        "sql.join() takes a scoped_session, or an extension that has one as its"
        f" attribute\n'session'; this {type(given).__name__} has none.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, pass the SQLAlchemy() of Flask-SQLAlchemy, or the scoped_session."
    )


def called(session: str) -> str:
    return f"Called from {caller()}, for {session}"


def commit_by_hand(where: str) -> CommitRefused:
    return CommitRefused(
        "A session is committed when its unit is finished, with all that belongs to"
        " it, and not by hand.\n\n"
        f"{where}.\n\n"
        "To fix it, leave out commit(), and begin() around it. To have the ids of new"
        " objects, call flush();\nfor what is to be kept whatever comes after it:"
        "  with scopes.unit(): ..."
    )


def read_only(where: str, what: str) -> ReadOnlyError:
    return ReadOnlyError(
        f"A read-only request was about to write: {what}.\n\n"
        f"{where}.\n\n"
        "To fix it, take @scopes.read_only off the view (or have it called by POST, if"
        " it is because of\nSCOPES_READ_ONLY_GET); or write in a unit of its own:"
        "  with scopes.unit(): ..."
    )


def written_late(where: str) -> ClosedError:
    return ClosedError(
        "The unit of this session is finished: what is written now would never be"
        " committed.\n\n"
        f"{where}.\n\n"
        "To fix it, write before the response is complete; or, in a stream, in a unit"
        " of its own:\n\n"
        "    with scopes.unit(app): ..."
    )


def swallowed() -> str:
    """A note for the error of the database."""
    return (
        "The database has ended the transaction with this error, and the view went on"
        " as if nothing was: nothing of it is kept. To fix it, do what may fail in"
        " `with session.begin_nested():`, or answer with a status from 400 on."
    )


def closed_by_hand() -> str:
    """A note for the error of SQLAlchemy."""
    return (
        "The view has closed the session of its unit, and with it all that was not"
        " committed. To fix it, leave out close(), and `with` around the session: the"
        " unit does that."
    )
