"""What is done before the first request: indexes, and four people with a dozen entries
so that the first page is alive."""

import tomllib
from datetime import datetime
from datetime import timedelta
from functools import cache
from hashlib import sha256
from importlib.resources import files

from bson import ObjectId
from flask import current_app
from flask import g
from pymongo import ReturnDocument

from flask_scopes.login import email_key

from .models import Document
from .resources import accounts
from .resources import events
from .resources import journal
from .resources import login
from .resources import mongo
from .resources import records
from .resources import scopes
from .resources import store


@cache
def demo() -> Document:
    """The people, their entries and the password they share, from `seed.toml`."""
    return tomllib.loads(files(__package__).joinpath("seed.toml").read_text("utf-8"))


@scopes.application(eager=True)
def ready() -> None:
    """Make the databases ready. Any number of processes may do this at once.

    It is done once in each, before the first request: what `before_first_request` used
    to be for. A process that cannot reach MongoDB does not begin to serve.
    """
    for database in (accounts, events, store.database, records.database):
        mongo.create_indexes(database)
    # The note goes last, so whoever was interrupted begins again. Each step adds only
    # what is missing, so two at once do no harm. And what people deleted stays so.
    notes = accounts().notes
    if current_app.config["SEED"] and not notes.find_one("seeded"):
        for person in demo()["people"]:
            with scopes.unit():
                seed(person)
        notes.update_one({"_id": "seeded"}, {"$set": {}}, upsert=True)


def seed(person: Document) -> None:
    """Let there be a person, and what they wrote: in a unit of work for them."""
    new = {
        "name": person["name"],
        "email": person["email"],
        "admin": person.get("admin", False),
        "password": login.passwords.hash(demo()["password"]),
        "confirmed": True,
        "entries": len(person["entries"]),
    }
    found = accounts().people.find_one_and_update(
        {"email_key": email_key(person["email"])},
        {"$setOnInsert": new},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    assert found is not None  # an upsert always finds what it has put there
    g.owner = found["_id"]
    mongo.create_indexes(journal)
    for number, entry in enumerate(person["entries"]):
        key = sha256(f"{person['email']} {number}".encode()).digest()[:12]
        day = datetime.now().astimezone() - timedelta(days=entry["days_ago"])
        row = {
            "title": entry["title"],
            "text": entry["text"].strip(),
            "mood": entry["mood"],
            "written": datetime.combine(day, entry["at"], day.tzinfo),
        }
        once, row = {"_id": ObjectId(key)}, {"$setOnInsert": row}
        journal().entries.update_one(once, row, upsert=True)
