"""A transaction around a view: committed before the response leaves, given up if that
is a failure, and begun anew if MongoDB says that another attempt may succeed.
"""

import functools
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask import Response
from flask import current_app
from flask import g
from flask import make_response
from flask import request
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from .database import client

View = Callable[..., Any]
ATTEMPTS = 3


class NotCommitted(Exception):
    """The view has done its work, and MongoDB has refused the commit."""


def init_app(app: Flask) -> None:
    app.teardown_appcontext(end_session)


def transactional(view: View) -> View:
    @functools.wraps(view)
    def wrapped(**arguments: Any) -> Any:
        if request.method == "GET":
            return view(**arguments)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return run_once(view, arguments)
            except (PyMongoError, NotCommitted) as error:
                if attempt == ATTEMPTS or not may_succeed(error):
                    raise
        raise AssertionError

    return wrapped


def may_succeed(error: PyMongoError | NotCommitted) -> bool:
    cause = error.__cause__ if isinstance(error, NotCommitted) else error
    transient = "TransientTransactionError"
    return isinstance(cause, PyMongoError) and cause.has_error_label(transient)


def run_once(view: View, arguments: dict[str, Any]) -> Response:
    session = g.mongo_session = client().start_session()
    g.after_commit = []
    try:
        session.start_transaction()
        try:
            response = make_response(view(**arguments))
        except BaseException:
            session.abort_transaction()
            raise
        if response.status_code >= 400:
            session.abort_transaction()
            return response
        commit(session)
    finally:
        end_session()
    for step in g.after_commit:
        try:
            step()
        except Exception:
            current_app.logger.exception("After the commit")
    return response


def commit(session: ClientSession) -> None:
    try:
        session.commit_transaction()  # PyMongo asks once more by itself.
    except PyMongoError as error:
        raise NotCommitted from error


def end_session(error: BaseException | None = None) -> None:
    """A `teardown_appcontext` as well, should a view have been left in between."""
    session = g.pop("mongo_session", None)
    if session is not None:
        session.end_session()


def transaction() -> ClientSession | None:
    """For the `session=` of each operation; None where there is no transaction."""
    return g.get("mongo_session")
