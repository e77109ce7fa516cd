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
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

Document = dict[str, Any]

MOODS = ("bright", "calm", "grateful", "restless", "blue")
PER_PAGE = 20


@dataclass(frozen=True)
class User:
    id: ObjectId
    name: str
    email: str
    admin: bool = False
    entries: int = 0

    @classmethod
    def from_row(cls, row: Document) -> "User":
        admin, entries = row.get("admin", False), row.get("entries", 0)
        return cls(row["_id"], row["name"], row["email"], admin, entries)


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

    @classmethod
    def from_row(cls, row: Document) -> "Entry":
        written = row["written"].astimezone()
        return cls(row["_id"], row["title"], row["text"], row["mood"], written)


@dataclass(frozen=True)
class Entries:
    """The entries of one person: each query asks for the owner as well. How many there
    are is counted on the person, in the same transaction."""

    rows: Collection[Document]
    people: Collection[Document]
    owner: User
    transaction: ClientSession

    def latest(self, words: str = "", page: int = 1) -> tuple[list[Entry], bool]:
        """One page, newest first, and whether there are older ones."""
        query: Document = {"owner": self.owner.id}
        if words:
            like = {"$regex": re.escape(words), "$options": "i"}
            query["$or"] = [{"title": like}, {"text": like}]
        rows = self.rows.find(query).sort([("written", -1), ("_id", -1)])
        found = [*rows.skip((page - 1) * PER_PAGE).limit(PER_PAGE + 1)]
        return [Entry.from_row(row) for row in found[:PER_PAGE]], len(found) > PER_PAGE

    def get(self, entry_id: ObjectId) -> Entry | None:
        row = self.rows.find_one(self.mine(entry_id))
        return Entry.from_row(row) if row else None

    def add(self, draft: Draft) -> ObjectId:
        row = {**vars(draft), "owner": self.owner.id, "written": datetime.now(UTC)}
        done = self.rows.insert_one(row, session=self.transaction)
        self.tally(1)
        return ObjectId(done.inserted_id)

    def change(self, entry_id: ObjectId, draft: Draft) -> bool:
        mine, new = self.mine(entry_id), {"$set": vars(draft)}
        done = self.rows.update_one(mine, new, session=self.transaction)
        return done.matched_count == 1

    def remove(self, entry_id: ObjectId) -> bool:
        done = self.rows.delete_one(self.mine(entry_id), session=self.transaction)
        self.tally(-done.deleted_count)
        return done.deleted_count == 1

    def mine(self, entry_id: ObjectId) -> Document:
        return {"_id": entry_id, "owner": self.owner.id}

    def tally(self, more: int) -> None:
        me, change = {"_id": self.owner.id}, {"$inc": {"entries": more}}
        self.people.update_one(me, change, session=self.transaction)


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
