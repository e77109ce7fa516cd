"""Writing and reading. `entries()` reaches only what belongs to whoever asks."""

from bson import ObjectId
from flask import Blueprint
from flask import abort
from flask import current_app
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from flask.typing import ResponseReturnValue

from .auth import sign_in_first
from .mail import send
from .models import MOODS
from .models import Draft
from .models import Entry
from .resources import audit
from .resources import entries
from .resources import mongo
from .resources import scopes
from .resources import transaction

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
@scopes.retry(3)  # Two at once change the same number: one begins anew.
def write() -> ResponseReturnValue:
    if request.method == "GET":
        return form(Draft())
    draft = Draft.from_form(request.form)
    if draft.problem:
        return form(draft, draft.problem), 422
    entry_id = entries().add(draft)
    audit().note("wrote an entry")
    to, title = entries().owner.email, draft.title or "A page without a title"
    scopes.after_commit(lambda: send(to, "You wrote an entry", f"{title}: it is kept."))
    if current_app.debug and "fail" in request.form:
        spoil_commit()
    return redirect(url_for(".read", entry_id=entry_id))


@bp.route("/<id:entry_id>/edit", methods=["GET", "POST"])
@scopes.retry(3)
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
@scopes.retry(3)
def delete(entry_id: ObjectId) -> ResponseReturnValue:
    entry = mine(entry_id)
    if request.method == "GET":
        return render_template("delete.html", entry=entry)
    if not entries().remove(entry_id):
        abort(404)
    audit().note("deleted an entry")
    return redirect(url_for(".index"))


def spoil_commit() -> None:
    """Let MongoDB end the transaction, as it does when another server takes over. It
    will refuse the commit: nothing is pretended."""
    mongo().admin.command("killSessions", [transaction().session_id])


def mine(entry_id: ObjectId) -> Entry:
    """The entry, if there is one and it is theirs. Otherwise, 404 for both."""
    return entries().get(entry_id) or abort(404)


def form(
    draft: Draft | Entry, problem: str | None = None, entry_id: ObjectId | None = None
) -> str:
    return render_template(
        "write.html", draft=draft, problem=problem, entry_id=entry_id, moods=MOODS
    )
