"""What is in the databases of both, and how it is put there: the same for both."""

from __future__ import annotations

import datetime
import hashlib
import shutil
import typing as t

from bson import ObjectId
from pymongo import IndexModel

if t.TYPE_CHECKING:
    from pymongo import MongoClient

    from .servers import Served

READERS: t.Final = tuple(
    f"{name}@example.org" for name in ("mina", "tomasz", "leila", "johan")
)
WRITERS: t.Final = tuple(f"writer{number}@example.org" for number in range(4))
ENTRIES: t.Final = 10
"""Of each reader: so many stand on their page."""

Client: t.TypeAlias = "MongoClient[dict[str, t.Any]]"


def fill(client: Client, names: t.Sequence[str], password: str) -> None:
    """People and entries, by the same documents for each of *names*."""
    people = [
        _person(email, 0 if email in WRITERS else ENTRIES, password)
        for email in (*READERS, *WRITERS)
    ]
    for name in names:
        accounts = client[f"{name}_accounts"]
        accounts.people.insert_many(people)
        accounts.notes.insert_one({"_id": "seeded"})
        for each in people:
            entries = client[f"{name}_journal_{each['_id']}"].entries
            entries.create_indexes([IndexModel([("written", -1), ("_id", -1)])])
            if each["entries"]:
                entries.insert_many([_entry(each, n) for n in range(ENTRIES)])


def _id(text: str) -> ObjectId:
    return ObjectId(hashlib.sha256(text.encode()).digest()[:12])


def _person(email: str, entries: int, password: str) -> dict[str, t.Any]:
    return {
        "_id": _id(email),
        "name": email.partition("@")[0].title(),
        "email": email,
        "email_key": email,
        "password": password,
        "confirmed": True,
        "admin": False,
        "entries": entries,
    }


def _entry(person: dict[str, t.Any], number: int) -> dict[str, t.Any]:
    first = datetime.datetime(2026, 3, 1, 21, 40, tzinfo=datetime.UTC)
    sentence = "The window was open and the street was so quiet that one heard the tram"
    return {
        "_id": _id(f"{person['email']} {number}"),
        "title": f"Evening {number} of {person['name']}",
        "text": "\n\n".join([f"{sentence} turn the corner. " * 3] * 2).strip(),
        "mood": ("calm", "bright", "")[number % 3],
        "written": first + datetime.timedelta(days=number),
    }


class Kept(t.NamedTuple):
    """What there is of one writer, in each database and in the outbox."""

    entries: int
    counted: int
    """Of these, on the person."""
    trail: int
    letters: int


def kept(client: Client, served: Served, email: str) -> Kept:
    accounts, events = (client[served.prefix + each] for each in ("accounts", "events"))
    person = accounts.people.find_one({"email": email})
    assert person is not None
    entries = client[f"{served.prefix}journal_{person['_id']}"].entries
    letters = len(list((served.folder / "outbox").glob("*")))
    trail = events.trail.count_documents({"who": person["name"]})
    return Kept(entries.count_documents({}), person["entries"], trail, letters)


def forget_writing(client: Client, served: Served) -> None:
    """Let what writers have written be gone, so that each round finds the same."""
    accounts, events = (client[served.prefix + each] for each in ("accounts", "events"))
    for email in WRITERS:
        name = f"{served.prefix}journal_{_id(email)}"
        client[name].entries.delete_many({})
    accounts.people.update_many({"email": {"$in": WRITERS}}, {"$set": {"entries": 0}})
    events.trail.delete_many({})
    shutil.rmtree(served.folder / "outbox", ignore_errors=True)
