"""Indexes, and four people with a dozen entries so that the first page is alive."""

import tomllib
from datetime import datetime
from datetime import timedelta
from functools import cache
from hashlib import sha256
from importlib.resources import files

from bson import ObjectId
from flask import current_app
from pymongo import MongoClient
from pymongo import ReturnDocument
from pymongo.collection import Collection as Rows
from werkzeug.security import generate_password_hash

from .models import Document


@cache
def demo() -> Document:
    """The people, their entries and the password they share, from `seed.toml`."""
    return tomllib.loads(files(__package__).joinpath("seed.toml").read_text("utf-8"))


def prepare(client: MongoClient[Document]) -> None:
    """Make the databases ready. Any number of processes may do this at once."""
    prefix = current_app.config["DB_PREFIX"]
    accounts, journal = client[prefix + "accounts"], client[prefix + "journal"]
    accounts.people.create_index("email", unique=True)
    journal.entries.create_index([("owner", 1), ("written", -1)])
    quarter = timedelta(days=90).total_seconds()
    client[prefix + "events"].trail.create_index("at", expireAfterSeconds=int(quarter))

    # The note goes last, so whoever was interrupted begins again. Each step adds only
    # what is missing, so two at once do no harm. And what people deleted stays so.
    if current_app.config["SEED"] and not accounts.notes.find_one("seeded"):
        for person in demo()["people"]:
            seed(person, accounts.people, journal.entries)
        accounts.notes.update_one({"_id": "seeded"}, {"$set": {}}, upsert=True)


def seed(person: Document, people: Rows[Document], entries: Rows[Document]) -> None:
    method = current_app.config["PASSWORD_METHOD"]
    new = {
        "name": person["name"],
        "admin": person.get("admin", False),
        "password": generate_password_hash(demo()["password"], method),
        "entries": len(person["entries"]),
    }
    found = people.find_one_and_update(
        {"email": person["email"]},
        {"$setOnInsert": new},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    assert found is not None  # an upsert always finds what it has put there
    for number, entry in enumerate(person["entries"]):
        key = sha256(f"{person['email']} {number}".encode()).digest()[:12]
        day = datetime.now().astimezone() - timedelta(days=entry["days_ago"])
        row = {
            "owner": found["_id"],
            "title": entry["title"],
            "text": entry["text"].strip(),
            "mood": entry["mood"],
            "written": datetime.combine(day, entry["at"], day.tzinfo),
        }
        entries.update_one({"_id": ObjectId(key)}, {"$setOnInsert": row}, upsert=True)
