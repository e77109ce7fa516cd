"""What the journal is about: people, their entries, and a trail of what happened."""

import re
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from datetime import UTC
from datetime import datetime
from itertools import count
from typing import Any

from bson import ObjectId
from flask_login import UserMixin  # type: ignore[import-untyped]  # it has none
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from werkzeug.datastructures import FileStorage

from flask_scopes.mongo import delete_file
from flask_scopes.mongo import one_or_404
from flask_scopes.mongo import save_file

Document = dict[str, Any]

MOODS = ("bright", "calm", "grateful", "restless", "blue")
PER_PAGE = 20
PICTURES = "pictures"  # the bucket in GridFS

# What the bytes of a file begin with. What its name ends with is only a claim.
BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}


@dataclass(frozen=True)
class User(UserMixin):  # type: ignore[misc]  # Flask-Login has no types
    id: ObjectId
    name: str
    email: str
    confirmed: bool = False
    admin: bool = False
    entries: int = 0

    @classmethod
    def from_row(cls, row: Document) -> "User":
        admin, entries = row.get("admin", False), row.get("entries", 0)
        confirmed = row.get("confirmed", False)
        return cls(row["_id"], row["name"], row["email"], confirmed, admin, entries)


@dataclass(frozen=True)
class Draft:
    """What somebody put into the form, good or not."""

    title: str = ""
    text: str = ""
    mood: str = ""

    @classmethod
    def from_form(cls, form: Mapping[str, str]) -> "Draft":
        text = form.get("text", "").replace("\r\n", "\n").strip()
        return cls(form.get("title", "").strip(), text, form.get("mood", ""))

    @property
    def problem(self) -> str | None:
        if not self.text:
            return "There is nothing here yet. Write at least a word."
        if len(self.text) > 20_000 or len(self.title) > 120:
            return "This is too long: 120 letters for a title, 20,000 for the text."
        if self.mood and self.mood not in MOODS:
            return "Choose one of the moods, or none."
        return None


@dataclass(frozen=True)
class Entry:
    id: ObjectId
    title: str
    text: str
    mood: str
    written: datetime
    picture: ObjectId | None

    @classmethod
    def from_row(cls, row: Document) -> "Entry":
        text = row["title"], row["text"], row["mood"]
        return cls(row["_id"], *text, row["written"].astimezone(), row.get("picture"))


@dataclass(frozen=True)
class Entries:
    """The entries of one person, in a database of their own. How many there are is
    counted on the person.

    No operation has a `session=`: in a view with `@mongo.transactional` all of them are
    part of its transaction. Pictures, which GridFS cannot have in one, go with it."""

    database: Database[Document]
    people: Collection[Document]
    owner: User

    @property
    def rows(self) -> Collection[Document]:
        return self.database.entries

    def latest(self, words: str = "", page: int = 1) -> tuple[list[Entry], bool]:
        """One page, newest first, and whether there are older ones."""
        query: Document = {}
        if words:
            like = {"$regex": re.escape(words), "$options": "i"}
            query["$or"] = [{"title": like}, {"text": like}]
        rows = self.rows.find(query).sort([("written", -1), ("_id", -1)])
        found = [*rows.skip((page - 1) * PER_PAGE).limit(PER_PAGE + 1)]
        return [Entry.from_row(row) for row in found[:PER_PAGE]], len(found) > PER_PAGE

    def get(self, entry_id: ObjectId) -> Entry:
        return Entry.from_row(one_or_404(self.rows, entry_id))

    def add(self, draft: Draft) -> ObjectId:
        row = {**vars(draft), "written": datetime.now(UTC)}
        self.tally(1)
        return ObjectId(self.rows.insert_one(row).inserted_id)

    def change(self, entry: Entry, draft: Draft) -> None:
        self.rows.update_one({"_id": entry.id}, {"$set": vars(draft)})

    def illustrate(self, entry: Entry, file: FileStorage, kind: str) -> None:
        """Put a picture to an entry, in the place of the one that it has."""
        name = file.filename or "picture"
        saved = save_file(self.database, name, file, bucket=PICTURES, content_type=kind)
        self.rows.update_one({"_id": entry.id}, {"$set": {"picture": saved}})
        self.discard(entry.picture)

    def remove(self, entry: Entry) -> None:
        self.rows.delete_one({"_id": entry.id})
        self.discard(entry.picture)
        self.tally(-1)

    def discard(self, picture: ObjectId | None) -> None:
        if picture:  # It goes once all of this is kept.
            delete_file(self.database, picture, bucket=PICTURES)

    def tally(self, more: int) -> None:
        me, change = {"_id": self.owner.id}, {"$inc": {"entries": more}}
        self.people.update_one(me, change)


def picture_type(file: FileStorage | None) -> str | None:
    """Of which type a picture is, by what it begins with."""
    if file is None:
        return None
    begins = file.stream.read(12)
    file.stream.seek(0)
    known = (kind for first, kind in BEGINNINGS.items() if begins.startswith(first))
    return next(known, None)


def browser_name(agent: str) -> str:
    """What a browser calls itself, in short. It may say anything."""
    names = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome"}
    names |= {"Safari": "Safari", "curl": "curl"}
    systems = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android"}
    systems |= {"Windows": "Windows", "Mac OS": "macOS", "Linux": "Linux"}
    name = next((names[each] for each in names if f"{each}/" in agent), None)
    system = next((systems[each] for each in systems if each in agent), None)
    if name is None:
        return agent[:60] or "A browser without a name"
    return f"{name} on {system}" if system else name


@dataclass(frozen=True)
class Audit:
    """Lines about what somebody did, never about what they wrote."""

    trail: Collection[Document]
    who: str
    transaction: ClientSession

    def note(self, what: str, who: str | None = None) -> None:
        line = {"at": datetime.now(UTC), "who": who or self.who, "what": what}
        self.trail.insert_one(line, session=self.transaction)


@dataclass(frozen=True)
class House:
    """Since when we are open, and the numbers of our pages (threads may share it)."""

    since: datetime = field(default_factory=lambda: datetime.now().astimezone())
    pages: Iterator[int] = field(default_factory=lambda: count(1))
