"""MongoDB: clients and databases by name, tenants, transactions, files.

::

    mongo = Mongo(scopes)
    blog = mongo.database("blog")
"""

from __future__ import annotations

from ..extras import brought_by

with brought_by("mongo", "pymongo", "flask_scopes.mongo works with PyMongo"):
    import pymongo as pymongo

from .clients import Document
from .extension import Mongo
from .file_response import send_file
from .files import delete_file
from .files import save_file
from .indexes import Indexes
from .messages import TenantError
from .monitor import RequestStats
from .monitor import Stats
from .views import ObjectIdConverter
from .views import one_or_404

__all__ = [
    "Document",
    "Indexes",
    "Mongo",
    "ObjectIdConverter",
    "RequestStats",
    "Stats",
    "TenantError",
    "delete_file",
    "one_or_404",
    "save_file",
    "send_file",
]
