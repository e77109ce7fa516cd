"""`make serve`: the journal in two processes of four threads, behind gunicorn.

    gunicorn --config journal/gunicorn.conf.py

A reload (`kill -HUP` to the first process) loads new code without losing a request:
the old processes finish what they have begun, close what they have built, and go.
"""

import os
from contextlib import ExitStack
from typing import Any

from flask_scopes.gunicorn import post_worker_init as post_worker_init
from journal.server import own_mongodb

wsgi_app = "journal:create_app()"
bind = f"127.0.0.1:{os.environ.get('PORT', '8000')}"
workers = 2
threads = 4
proc_name = "journal"
control_socket_disable = True


def on_starting(arbiter: Any) -> None:
    """One MongoDB for all processes, as each would start its own. It belongs to the
    first, which serves nothing and outlives them."""
    arbiter.open = ExitStack()
    arbiter.open.enter_context(own_mongodb())


def on_exit(arbiter: Any) -> None:
    arbiter.open.close()
