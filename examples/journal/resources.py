"""Everything the journal holds on to, and how long it holds it.

There are three lifetimes. An *application* object is built once, shared by every
thread and closed when the process ends, however that comes about. A *session* object
is made once for each visitor, and is there again with their next request. A *request*
object is built at its first call in a request and finished before the answer leaves:
what it did is kept if the request succeeded, and undone if it did not.

There is nothing else to learn: import what you need and call it where you need it.

    from .resources import entries

    entries().latest()
"""

from datetime import timedelta

from bson import ObjectId
from flask import abort
from flask import g
from pymongo import IndexModel

from flask_scopes import Scopes
from flask_scopes.login import Login
from flask_scopes.login.mongo import MongoRecords
from flask_scopes.login.mongo import MongoUsers
from flask_scopes.mongo import Mongo
from flask_scopes.sessions import ServerSessions
from flask_scopes.sessions.mongo import MongoStore

from .models import Audit
from .models import Entries
from .models import House
from .models import User

scopes = Scopes()
mongo = Mongo(scopes)


# ---- As long as the application ----------------------------------------------
#
# These factories see `current_app` but no request: nothing of one person's visit
# can find its way into an object that everybody shares.


# One `MongoClient` is for all threads: `mongo.client()`. The events may be kept by
# another server; as long as they are not, they go through the same client.

QUARTER = int(timedelta(days=90).total_seconds())

people = MongoUsers(mongo, "accounts", collection="people")
accounts = people.database
"""The database that knows who people are."""

events = mongo.database(
    "events",
    bind="events",
    indexes={"trail": [IndexModel("at", expireAfterSeconds=QUARTER)]},
)
"""The database that remembers what happened."""


@scopes.application
def house() -> House:
    """Since when we are open, and how many pages we have made. The footer tells."""
    return House()


# ---- As long as one visitor --------------------------------------------------
#
# Plain data, kept in their session when it has changed and the request succeeded. The
# sessions are in MongoDB: a list of who is signed in where, and a way to end it.

store = MongoStore(mongo, "sessions")
sessions = ServerSessions(scopes, store)


@scopes.session
def looked_for() -> list[str]:
    """What this visitor has searched for lately, the newest first."""
    return []


# ---- As long as one request ----------------------------------------------------
#
# These may use everything above and each other, simply by calling. However often
# they are called while a page is made, from whichever module, they are built once.


# Attempts to guess a password, devices that are remembered, and tokens of programs.
records = MongoRecords(scopes, mongo, "sessions")
login = Login(
    scopes,
    add_context_processor=False,  # templates call `current_user()`, as views do
    users=people,
    records=records,
    sessions=sessions,
)
login.login_view, login.login_message = "auth.sign_in", None
login.refresh_view, login.needs_refresh_message = "auth.password", None


@login.user
def current_user(user_id: str) -> User | None:
    """Who is asking. The session, or a token, has an id; the person is read once a
    request, when somebody first asks."""
    row = accounts().people.find_one({"_id": ObjectId(user_id)})
    return User.from_row(row) if row else None


def owner() -> User | ObjectId | None:
    """Whose journal it is: of the person who is asking, or of whom a job is for."""
    return g.get("owner") or current_user()


journal = mongo.tenant(
    owner,
    prefix="journal_",
    indexes={"entries": [IndexModel([("written", -1), ("_id", -1)])]},
)
"""The database of the person who is asking. There is no way to anybody else's."""


@scopes.request
def entries() -> Entries:
    """The entries of the person who is asking."""
    user = current_user() or abort(401)
    return Entries(journal(), accounts().people, user)


@scopes.request
def audit() -> Audit:
    """The trail of what happened: it tells of what was kept, and of nothing else.

    The transaction of a view is for one client. The events may have another, so this
    names its own; it is the same one as long as they share a client."""
    user = current_user()
    who = user.name if user else "A visitor"
    return Audit(events().trail, who, mongo.session("events"))


@scopes.request
def page() -> int:
    """The number of this page, the same wherever on the page it is asked for."""
    return next(house().pages)
