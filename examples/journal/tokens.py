"""Tokens for programs that read and write on somebody's behalf, and what they call."""

from datetime import timedelta

from flask import Blueprint
from flask import abort
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from flask.typing import ResponseReturnValue

from .auth import JUST_NOW
from .auth import sign_in_first
from .models import Draft
from .resources import audit
from .resources import current_user
from .resources import entries
from .resources import login
from .resources import mongo
from .resources import scopes
from .seed import ready

bp = Blueprint("tokens", __name__, url_prefix="/tokens")
bp.before_request(ready)
bp.before_request(sign_in_first)
api = Blueprint("api", __name__, url_prefix="/api")
api.before_request(ready)

MAY = {"read": "read my entries", "write": "write entries"}


@bp.route("", methods=["GET", "POST"])
@login.fresh(JUST_NOW)  # Or whoever finds the telephone makes a key for later.
def index() -> ResponseReturnValue:
    user = current_user() or abort(401)
    made, name = None, request.form.get("name", "").strip()[:80]
    if request.method == "POST" and name:
        may = [each for each in request.form.getlist("may") if each in MAY]
        days = timedelta(days=90)
        made = login.tokens.create(user.id, name, scopes=may, expires=days)
        audit().note("made a token")
    tokens = login.tokens.of(user.id)
    return render_template("tokens.html", tokens=tokens, made=made, MAY=MAY)


@bp.post("/<token_id>/revoke")
def revoke(token_id: str) -> ResponseReturnValue:
    user = current_user() or abort(401)
    if not login.tokens.revoke(user.id, token_id):
        abort(404)
    audit().note("revoked a token")
    return redirect(url_for(".index"))


@api.get("/entries")
@login.requires("read")
def read() -> ResponseReturnValue:
    found, _ = entries().latest()
    return [
        {"id": str(each.id), "title": each.title, "text": each.text} for each in found
    ]


@api.post("/entries")
@login.requires("write")
@scopes.retry(3)
@mongo.transactional
def write() -> ResponseReturnValue:
    draft = Draft.from_form(request.get_json())
    if draft.problem:
        return {"error": draft.problem}, 422
    entry_id = entries().add(draft)
    audit().note("wrote an entry, by a token" if login.token else "wrote an entry")
    return {"id": str(entry_id)}, 201
