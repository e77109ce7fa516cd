"""SQLAlchemy: engines by name, and a session that commits when its unit succeeds.

::

    sql = SQL(scopes)
    sql.session().add(Post(title="hello"))
"""

from __future__ import annotations

from ..extras import brought_by

with brought_by(
    "sqlalchemy", "sqlalchemy", "flask_scopes.sqlalchemy works with SQLAlchemy"
):
    import sqlalchemy as sqlalchemy

from .extension import SQL
from .messages import CommitRefused
from .pages import Page
from .pages import paginate
from .queries import first_or_404
from .queries import get_or_404
from .queries import one_or_404

__all__ = [
    "SQL",
    "CommitRefused",
    "Page",
    "first_or_404",
    "get_or_404",
    "one_or_404",
    "paginate",
]
