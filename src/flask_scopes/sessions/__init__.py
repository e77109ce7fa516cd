"""Sessions that are kept on the server: listed, revoked, and given new ids.

::

    sessions = ServerSessions(scopes, MongoStore(mongo, "sessions"))

Each store is in a module of its own, beside the library that it is for:
``flask_scopes.sessions.mongo``, ``.redis`` and ``.sql``.
"""

from .extension import ServerSessions
from .messages import SessionConflict
from .messages import SessionStoreError
from .records import Change
from .records import Device
from .records import Head
from .records import Row
from .records import Store
from .records import Stored

__all__ = [
    "Change",
    "Device",
    "Head",
    "Row",
    "ServerSessions",
    "SessionConflict",
    "SessionStoreError",
    "Store",
    "Stored",
]
