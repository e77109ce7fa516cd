"""Hooks for a gunicorn configuration file::

    # gunicorn.conf.py
    from flask_scopes.gunicorn import post_worker_init

Without it, what is eager is built by the first request of each worker. Closing needs
no hook.
"""

from __future__ import annotations

from gunicorn.errors import AppImportError

from .errors import StartError
from .starting import start_all


def post_worker_init(worker: object) -> None:
    """Build what is eager. Runs in each worker, after the fork and after its app was
    loaded, before it takes its first request.

    :raises AppImportError: it could not be built. gunicorn prints why, and stops.
    """
    try:
        start_all()
    except StartError as error:
        raise AppImportError(*error.args) from None
