"""People, drafts and entries, as the journal has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from flask_login import UserMixin

Document = dict[str, Any]

MOODS = ("bright", "calm", "grateful", "restless", "blue")
PER_PAGE = 20


@dataclass(frozen=True)
class User(UserMixin):
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
