"""Everything the journal holds on to, and how long it holds it.

There are two lifetimes. An *application* object is built once, shared by every
thread and closed when the process ends, however that comes about. A *request* object
is built at its first call in a request and finished before the answer leaves: what it
did is kept if the request succeeded, and undone if it did not.

There is nothing else to learn: import what you need and call it where you need it.

    from .resources import entries

    entries().latest()
"""

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

from bson import ObjectId
from flask import abort
from flask import current_app
from flask import session
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from werkzeug.security import generate_password_hash

from flask_scopes import Scopes
from flask_scopes.embedded import mongod

from .models import Audit
from .models import Document
from .models import Entries
from .models import House
from .models import User
from .seed import prepare

scopes = Scopes()


# ---- As long as the application ----------------------------------------------
#
# These factories see `current_app` but no request: nothing of one person's visit
# can find its way into an object that everybody shares.


@scopes.application
def server() -> Iterator[str]:
    """The address of our own MongoDB. It starts only if nobody named another one,
    and it stops with the application."""
    with mongod(Path(current_app.instance_path, "mongodb")) as running:
        yield running.uri


def ping(client: MongoClient[Document]) -> None:
    """Raises, if MongoDB does not answer: `/readyz` asks."""
    client.admin.command("ping")


@scopes.application(eager=True, ping=ping)
def mongo() -> Iterator[MongoClient[Document]]:
    """The one connection pool: every thread and every database goes through it.

    It is built before the first request, and handed out only once the databases are
    ready. (This is the work that `before_first_request` used to do.) A process that
    cannot reach MongoDB does not begin to serve.
    """
    with MongoClient[Document](
        current_app.config["MONGO_URI"] or server(),
        serverSelectionTimeoutMS=current_app.config["MONGO_TIMEOUT_MS"],
        tz_aware=True,
        appname="journal",
    ) as client:
        prepare(client)
        yield client


@scopes.application
def nobody() -> str:
    """The password hash of nobody, so that refusing an unknown e-mail address takes
    as long as refusing a wrong password."""
    return generate_password_hash(token_hex(), current_app.config["PASSWORD_METHOD"])


@scopes.application
def house() -> House:
    """Since when we are open, and how many pages we have made. The footer tells."""
    return House()


# ---- As long as one request ----------------------------------------------------
#
# These may use everything above and each other, simply by calling. However often
# they are called while a page is made, from whichever module, they are built once.


@scopes.request
def transaction() -> Iterator[ClientSession]:
    """What this request writes, in whichever database: all of it is kept, or none.
    A request that writes nothing asks MongoDB nothing."""
    with mongo().start_session() as client, client.start_transaction():
        yield client


@scopes.request
def accounts() -> Database[Document]:
    """The database that knows who people are."""
    return mongo()[current_app.config["DB_PREFIX"] + "accounts"]


@scopes.request
def journal() -> Database[Document]:
    """The database that keeps what they wrote."""
    return mongo()[current_app.config["DB_PREFIX"] + "journal"]


@scopes.request
def events() -> Database[Document]:
    """The database that remembers what happened."""
    return mongo()[current_app.config["DB_PREFIX"] + "events"]


@scopes.request
def current_user() -> User | None:
    """Who is asking. The session keeps an id; the person is read once a request."""
    if "user" not in session:
        return None
    row = accounts().people.find_one({"_id": ObjectId(session["user"])})
    return User.from_row(row) if row else None


@scopes.request
def entries() -> Entries:
    """The entries of the person who is asking. There is no way to anybody else's."""
    user = current_user() or abort(401)
    return Entries(journal().entries, accounts().people, user, transaction())


@scopes.request
def audit() -> Audit:
    """The trail of what happened: it tells of what was kept, and of nothing else."""
    user = current_user()
    return Audit(events().trail, user.name if user else "A visitor", transaction())


@scopes.request
def page() -> int:
    """The number of this page, the same wherever on the page it is asked for."""
    return next(house().pages)
