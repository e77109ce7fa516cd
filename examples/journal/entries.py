"""Writing and reading. `entries()` reaches only what belongs to whoever asks."""

from bson import ObjectId
from flask import Blueprint
from flask import abort
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from flask.typing import ResponseReturnValue

from .auth import sign_in_first
from .models import MOODS
from .models import Draft
from .models import Entry
from .resources import audit
from .resources import entries

bp = Blueprint("entries", __name__, url_prefix="/entries")
bp.before_request(sign_in_first)


@bp.get("")
def index() -> ResponseReturnValue:
    words = request.args.get("q", "").replace("\0", "").strip()[:100]
    number = min(max(request.args.get("page", 1, type=int), 1), 10_000)
    found, older = entries().latest(words, number)
    return render_template(
        "entries.html", entries=found, older=older, words=words, number=number
    )


@bp.get("/<id:entry_id>")
def read(entry_id: ObjectId) -> ResponseReturnValue:
    return render_template("entry.html", entry=mine(entry_id))


@bp.route("/new", methods=["GET", "POST"])
def write() -> ResponseReturnValue:
    if request.method == "GET":
        return form(Draft())
    draft = Draft.from_form(request.form)
    if draft.problem:
        return form(draft, draft.problem), 422
    entry_id = entries().add(draft)
    audit().note("wrote an entry")
    return redirect(url_for(".read", entry_id=entry_id))


@bp.route("/<id:entry_id>/edit", methods=["GET", "POST"])
def edit(entry_id: ObjectId) -> ResponseReturnValue:
    entry = mine(entry_id)
    if request.method == "GET":
        return form(entry, entry_id=entry_id)
    draft = Draft.from_form(request.form)
    if draft.problem:
        return form(draft, draft.problem, entry_id), 422
    if not entries().change(entry_id, draft):
        abort(404)
    audit().note("changed an entry")
    return redirect(url_for(".read", entry_id=entry_id))


@bp.route("/<id:entry_id>/delete", methods=["GET", "POST"])
def delete(entry_id: ObjectId) -> ResponseReturnValue:
    entry = mine(entry_id)
    if request.method == "GET":
        return render_template("delete.html", entry=entry)
    if not entries().remove(entry_id):
        abort(404)
    audit().note("deleted an entry")
    return redirect(url_for(".index"))


def mine(entry_id: ObjectId) -> Entry:
    """The entry, if there is one and it is theirs. Otherwise, 404 for both."""
    return entries().get(entry_id) or abort(404)


def form(
    draft: Draft | Entry, problem: str | None = None, entry_id: ObjectId | None = None
) -> str:
    return render_template(
        "write.html", draft=draft, problem=problem, entry_id=entry_id, moods=MOODS
    )
