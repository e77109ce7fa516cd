"""Writing and reading."""

import re
from datetime import UTC
from datetime import datetime

from bson import ObjectId
from flask import Blueprint
from flask import abort
from flask import g
from flask import redirect
from flask import render_template
from flask import request
from flask import session
from flask import url_for
from flask.typing import ResponseReturnValue
from pymongo.database import Database

from .auth import note
from .auth import sign_in_first
from .auth import user_or_none
from .database import named
from .mail import send
from .models import MOODS
from .models import PER_PAGE
from .models import Document
from .models import Draft
from .models import Entry
from .models import User
from .transactions import transaction
from .transactions import transactional

bp = Blueprint("entries", __name__, url_prefix="/entries")
bp.before_request(sign_in_first)


def owner() -> User:
    return user_or_none() or abort(401)


def journal() -> Database:
    """The database of the person who is asking. No view is to use another."""
    if "journal" not in g:
        g.journal = named(f"journal_{owner().id}")
    found: Database = g.journal
    return found


@bp.get("")
def index() -> ResponseReturnValue:
    words = request.args.get("q", "").replace("\0", "").strip()[:100]
    number = min(max(request.args.get("page", 1, type=int), 1), 10_000)
    found, older = latest(words, number)
    if words and found:
        before = [each for each in session.get("looked_for", []) if each != words]
        session["looked_for"] = [words, *before][:5]
    return render_template(
        "entries.html", entries=found, older=older, words=words, number=number
    )


@bp.get("/<objectid:entry_id>")
def read(entry_id: ObjectId) -> ResponseReturnValue:
    return render_template("entry.html", entry=get(entry_id))


@bp.route("/new", methods=["GET", "POST"])
@transactional
def write() -> ResponseReturnValue:
    if request.method == "GET":
        return form(Draft())
    draft = Draft.from_form(request.form)
    if draft.problem:
        return form(draft, draft.problem), 422
    row = {**vars(draft), "written": datetime.now(UTC)}
    tally(1)
    entry_id = journal().entries.insert_one(row, session=transaction()).inserted_id
    note("wrote an entry")
    to, title = owner().email, draft.title or "A page without a title"
    letter = to, "You wrote an entry", f"{title}: it is kept."
    g.after_commit.append(lambda: send(*letter))
    return redirect(url_for(".read", entry_id=entry_id))


@bp.route("/<objectid:entry_id>/edit", methods=["GET", "POST"])
@transactional
def edit(entry_id: ObjectId) -> ResponseReturnValue:
    entry = get(entry_id)
    if request.method == "GET":
        return form(entry, entry_id=entry_id)
    draft = Draft.from_form(request.form)
    if draft.problem:
        return form(draft, draft.problem, entry_id), 422
    change = {"$set": vars(draft)}
    journal().entries.update_one({"_id": entry_id}, change, session=transaction())
    note("changed an entry")
    return redirect(url_for(".read", entry_id=entry_id))


@bp.route("/<objectid:entry_id>/delete", methods=["GET", "POST"])
@transactional
def delete(entry_id: ObjectId) -> ResponseReturnValue:
    entry = get(entry_id)
    if request.method == "GET":
        return render_template("delete.html", entry=entry)
    journal().entries.delete_one({"_id": entry_id}, session=transaction())
    tally(-1)
    note("deleted an entry")
    return redirect(url_for(".index"))


def latest(words: str, page: int) -> tuple[list[Entry], bool]:
    """One page, newest first, and whether there are older ones."""
    query: Document = {}
    if words:
        like = {"$regex": re.escape(words), "$options": "i"}
        query["$or"] = [{"title": like}, {"text": like}]
    rows = journal().entries.find(query).sort([("written", -1), ("_id", -1)])
    found = [*rows.skip((page - 1) * PER_PAGE).limit(PER_PAGE + 1)]
    return [Entry.from_row(row) for row in found[:PER_PAGE]], len(found) > PER_PAGE


def get(entry_id: ObjectId) -> Entry:
    row = journal().entries.find_one({"_id": entry_id}, session=transaction())
    return Entry.from_row(row or abort(404))


def tally(more: int) -> None:
    me, change = {"_id": owner().id}, {"$inc": {"entries": more}}
    named("accounts").people.update_one(me, change, session=transaction())


def form(
    draft: Draft | Entry, problem: str | None = None, entry_id: ObjectId | None = None
) -> str:
    return render_template(
        "write.html", draft=draft, problem=problem, entry_id=entry_id, moods=MOODS
    )
