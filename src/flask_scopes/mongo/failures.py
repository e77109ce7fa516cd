"""Pages for a MongoDB that is away or takes too long, if nobody handles the error.

To have another page, write an error handler for 503 and 504, or for the errors of
PyMongo.
"""

from __future__ import annotations

import typing as t

from pymongo.errors import ConnectionFailure
from pymongo.errors import PyMongoError
from pymongo.errors import ServerSelectionTimeoutError
from pymongo.errors import WaitQueueTimeoutError
from werkzeug.exceptions import GatewayTimeout
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import ServiceUnavailable

from ..errors import CommitFailed
from .transactions import UNKNOWN

# Of seconds. An election takes about as long.
_RETRY_AFTER: t.Final = 10


def page_for(error: Exception) -> HTTPException | None:
    """What to answer with for *error*; None if it is of another kind."""
    if isinstance(error, CommitFailed):
        cause = error.cause
        if isinstance(cause, PyMongoError) and cause.has_error_label(UNKNOWN):
            # It may have been committed: nobody is told to try again.
            return GatewayTimeout()
        return page_for(cause)
    # The last two are time-outs as well, of waiting for a server, or a connection.
    away = ServerSelectionTimeoutError | WaitQueueTimeoutError
    if isinstance(error, away):
        return ServiceUnavailable(retry_after=_RETRY_AFTER)
    if isinstance(error, PyMongoError) and error.timeout:
        return GatewayTimeout()
    if isinstance(error, ConnectionFailure):
        return ServiceUnavailable(retry_after=_RETRY_AFTER)
    return None
