"""What is said of a MongoDB that is not set up as it should be.

Never an address, which may hold a password, and never the value of a document.
"""

from __future__ import annotations

import collections.abc as c

from ..errors import ArgumentsError
from ..errors import ScopesError
from ..errors import SetupError
from ..places import caller


class TenantError(ScopesError):
    """Raised at the call: what was found out about a tenant names no database."""


URI = 'the address of a server, as in "mongodb://localhost:27017/shop"'
OPTIONS = "a dictionary of keyword arguments for MongoClient"
BINDS = 'a dictionary of addresses by name, as in {"logs": "mongodb://localhost/logs"}'
BIND = 'an address, or a dictionary with the key "uri" and options for MongoClient'
SECONDS = "a number of seconds, or None for no limit"
PREFIX = "text that the name of a database can begin with"
MILLISECONDS = "a number of milliseconds, or None for none"


def no_uri() -> SetupError:
    return SetupError(
        "The app's config does not say where MongoDB is: there is no MONGO_URI.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, set it before the first use:\n\n"
        '    app.config["MONGO_URI"] = "mongodb://localhost:27017/shop"'
    )


def unknown_bind(bind: str, names: c.Sequence[str]) -> SetupError:
    known = ", ".join(map(repr, names)) or "none"
    return SetupError(
        f"The app's config does not say where the MongoDB {bind!r} is: MONGO_BINDS has"
        f" {known}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, add it:\n\n"
        f'    app.config["MONGO_BINDS"] = {{{bind!r}: "mongodb://localhost:27017/shop"}}'
    )


def not_connected(bind: str, reason: Exception, detail: str) -> SetupError:
    name = f"MONGO_BINDS[{bind!r}]" if bind else "MONGO_URI"
    return SetupError(
        f"PyMongo cannot make a client of {name} and MONGO_OPTIONS:"
        f" {type(reason).__name__}{detail}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, look at the address (user name and password are to be quoted with"
        "\nurllib.parse.quote_plus) and at the names of the options."
    )


def not_a_client(given: object) -> SetupError:
    return SetupError(
        f"Mongo() takes a MongoClient, or an extension that has one as its attribute"
        f" 'cx'; this {type(given).__name__} has none.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, call its init_app(app) first; or leave it out, and set MONGO_URI."
    )


def not_heard(bind: str) -> SetupError:
    name = f"client {bind!r}" if bind else "default client"
    return SetupError(
        f"The {name} was made elsewhere and handed in, so nobody counts what it"
        " does.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, set its address in the app's config instead; or give it a listener"
        "\nof your own, see pymongo.monitoring."
    )


def no_default_database(bind: str) -> SetupError:
    name = f"MONGO_BINDS[{bind!r}]" if bind else "MONGO_URI"
    return SetupError(
        f"mongo.database() without a name is the one in {name}, and that has none.\n\n"
        f"Called from {caller()}.\n\n"
        'To fix it, put its name into the address ("mongodb://localhost:27017/shop"),'
        '\nor into the call: mongo.database("shop").'
    )


def bad_database_name(name: object) -> SetupError:
    return SetupError(
        f"{name!r} cannot be the name of a database.\n\n"
        f"Called from {caller()}.\n\n"
        'To fix it, use up to 63 bytes without a space or any of / \\ . " $ * < > : | ?'
    )


def bad_prefix(prefix: object) -> SetupError:
    return SetupError(
        f"The names of tenants' databases cannot begin with {prefix!r}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, use a letter and then letters, digits, _ or -, 31 at the most, that"
        '\nno other database begins with:  mongo.tenant(current_user, prefix="shop_")'
    )


def bad_tenant(resource: str, place: str, key: object) -> TenantError:
    text = ""
    if isinstance(key, str):
        text = (
            "\nText may come from whoever asks, and must not choose a database. If it"
            " is one of a few\nthat you know, name them:"
            '  mongo.tenant(..., allow=("acme", "globex"))'
        )
    return TenantError(
        f"{resource} ({place}) cannot name a database after a value of type"
        f" {type(key).__name__!r}.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, let its function return an ObjectId, a UUID or a number from 0 on,"
        f" or an object\nthat has one as its attribute 'id'.{text}"
    )


def no_filter(collection: str) -> ArgumentsError:
    return ArgumentsError(
        f"one_or_404() was asked for None of {collection!r}: that would find any"
        " document at all.\n\n"
        f"Called from {caller()}.\n\n"
        "To fix it, see why it is None, or pass {} if any one will do."
    )


def not_in_a_transaction(place: str) -> str:
    """A note for the error of the database."""
    return (
        "MongoDB cannot do this in a transaction, and it was part of one, of"
        f" mongo.session() ({place}): by session=, or by @mongo.transactional. To fix"
        " it, do it outside of the transaction:  with scopes.unit(): ..."
    )


def needs_replica_set(place: str) -> str:
    """The same."""
    return (
        f"mongo.session() ({place}) is a transaction, and this MongoDB is a single"
        " server, which has none. To fix it, start it with --replSet and call"
        " rs.initiate() once (one server is enough), or do without a session."
    )


def other_client(place: str) -> str:
    """The same."""
    return (
        f"What has no session= of its own belongs, in a view with @mongo.transactional"
        f" ({place}), to one client. To fix it, pass the session of the other one:"
        ' session=mongo.session("its bind").'
    )


def swallowed() -> str:
    """The same."""
    return (
        "MongoDB ended the transaction with this error, and the view went on as if"
        " nothing was: nothing of it is kept. To fix it, answer with a status from 400"
        " on; or ask so that it is no error, with upsert=True, for one."
    )
