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

from flask_scopes.mongo import send_file

from .auth import sign_in_first
from .mail import send
from .models import MOODS
from .models import PICTURES
from .models import Draft
from .models import Entry
from .models import picture_type
from .resources import audit
from .resources import entries
from .resources import journal
from .resources import looked_for
from .resources import mongo
from .resources import scopes
from .seed import ready

bp = Blueprint("entries", __name__, url_prefix="/entries")
bp.before_request(ready)
bp.before_request(sign_in_first)


@bp.get("")
def index() -> ResponseReturnValue:
    words = request.args.get("q", "").replace("\0", "").strip()[:100]
    number = min(max(request.args.get("page", 1, type=int), 1), 10_000)
    found, older = entries().latest(words, number)
    if words and found:
        before = [each for each in looked_for() if each != words]
        looked_for()[:] = [words, *before][:5]
    return render_template(
        "entries.html", entries=found, older=older, words=words, number=number
    )


@bp.get("/<objectid:entry_id>")
def read(entry_id: ObjectId) -> ResponseReturnValue:
    return render_template("entry.html", entry=entries().get(entry_id))


@bp.route("/new", methods=["GET", "POST"])
@scopes.retry(3)  # Two at once change the same number: one begins anew.
@mongo.transactional
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


@bp.route("/<objectid:entry_id>/edit", methods=["GET", "POST"])
@scopes.retry(3)
@mongo.transactional
def edit(entry_id: ObjectId) -> ResponseReturnValue:
    entry = entries().get(entry_id)
    if request.method == "GET":
        return form(entry, entry_id=entry_id)
    draft = Draft.from_form(request.form)
    if draft.problem:
        return form(draft, draft.problem, entry_id), 422
    entries().change(entry, draft)
    audit().note("changed an entry")
    return redirect(url_for(".read", entry_id=entry_id))


@bp.route("/<objectid:entry_id>/delete", methods=["GET", "POST"])
@scopes.retry(3)
@mongo.transactional
def delete(entry_id: ObjectId) -> ResponseReturnValue:
    entry = entries().get(entry_id)
    if request.method == "GET":
        return render_template("delete.html", entry=entry)
    entries().remove(entry)
    audit().note("deleted an entry")
    return redirect(url_for(".index"))


@bp.get("/<objectid:entry_id>/picture")
def picture(entry_id: ObjectId) -> ResponseReturnValue:
    shown = entries().get(entry_id).picture or abort(404)
    return send_file(journal(), shown, bucket=PICTURES)


@bp.post("/<objectid:entry_id>/picture")
@mongo.transactional
def add_picture(entry_id: ObjectId) -> ResponseReturnValue:
    entry, file = entries().get(entry_id), request.files.get("picture")
    kind = picture_type(file)
    if not file or not kind:
        problem = "This is no picture that we know: choose a PNG, a JPEG or a GIF."
        return render_template("entry.html", entry=entry, problem=problem), 422
    entries().illustrate(entry, file, kind)
    audit().note("put a picture to an entry")
    return redirect(url_for(".read", entry_id=entry_id))


def allow_pictures() -> None:
    """A `before_request`: a picture may be larger than any form."""
    if request.endpoint == "entries.add_picture":
        request.max_content_length = current_app.config["MAX_PICTURE_LENGTH"]


def spoil_commit() -> None:
    """Let MongoDB end the transaction, as it does when another server takes over. It
    will refuse the commit: nothing is pretended."""
    client, ours = mongo.client(), mongo.session().session_id
    with client.start_session() as other:  # as it cannot be part of the transaction
        client.admin.command("killSessions", [ours], session=other)


def form(
    draft: Draft | Entry, problem: str | None = None, entry_id: ObjectId | None = None
) -> str:
    return render_template(
        "write.html", draft=draft, problem=problem, entry_id=entry_id, moods=MOODS
    )
