"""Registering, signing in and out, and two small guards that the others use."""

import re
from hmac import compare_digest
from secrets import token_urlsafe

from bson import ObjectId
from flask import Blueprint
from flask import abort
from flask import current_app
from flask import redirect
from flask import render_template
from flask import request
from flask import session
from flask import url_for
from flask.typing import ResponseReturnValue
from pymongo.errors import DuplicateKeyError
from werkzeug.security import check_password_hash
from werkzeug.security import generate_password_hash

from .resources import accounts
from .resources import audit
from .resources import current_user
from .resources import journal
from .resources import mongo
from .resources import nobody
from .resources import scopes
from .seed import demo
from .seed import ready

bp = Blueprint("auth", __name__)
bp.before_request(ready)


@bp.route("/", methods=["GET", "POST"])
@scopes.commit_on(401)  # The trail remembers who was refused.
def sign_in() -> ResponseReturnValue:
    if request.method == "GET":
        return redirect(after_sign_in()) if current_user() else sign_in_page()
    email = request.form.get("email", "").strip().casefold()
    row = accounts().people.find_one({"email": email})
    known = row["password"] if row else nobody()
    if not check_password_hash(known, request.form.get("password", "")) or not row:
        audit().note("was refused at the door", who=row["name"] if row else None)
        return sign_in_page("That e-mail and that password do not go together."), 401
    start_session(row["_id"])
    audit().note("signed in", who=row["name"])
    return redirect(after_sign_in())


@bp.route("/register", methods=["GET", "POST"])
@scopes.retry(3)  # The second of two begins anew, and finds the first one there.
@mongo.transactional
def register() -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("register.html")
    name = request.form.get("name", "").strip()
    email = request.form.get("email", "").strip().casefold()
    password = request.form.get("password", "")
    if not 0 < len(name) <= 80:
        return render_template("register.html", problem="Tell us your name."), 422
    if len(email) > 254 or not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        problem = "That does not look like an e-mail address."
        return render_template("register.html", problem=problem), 422
    if not 8 <= len(password) <= 1000:
        problem = "A password needs at least eight characters."
        return render_template("register.html", problem=problem), 422
    hashed = generate_password_hash(password, current_app.config["PASSWORD_METHOD"])
    row = {"name": name, "email": email, "password": hashed}
    try:  # The unique index decides, so two at the same moment cannot both win.
        person = accounts().people.insert_one(row).inserted_id
    except DuplicateKeyError:
        problem = "Somebody already registered with this e-mail address."
        return render_template("register.html", problem=problem), 409
    start_session(person)
    audit().note("registered", who=name)
    scopes.after_commit(lambda: mongo.create_indexes(journal))
    return redirect(url_for("entries.index"))


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    if current_user():
        audit().note("signed out")
    session.clear()
    return redirect(url_for(".sign_in"))


def sign_in_page(problem: str | None = None) -> str:
    shown = demo() if current_app.config["SEED"] else {}
    return render_template("sign_in.html", problem=problem, **shown)


def start_session(person: ObjectId) -> None:
    """Begin anew, so that nothing from before the sign-in is carried over."""
    session.clear()
    session["user"] = str(person)


def after_sign_in() -> str:
    """Where to go next: a path on this site, never the address of another one."""
    target = request.values.get("next", "")
    local = re.fullmatch(r"/(?![/\\])[^\s\\\x00-\x1f]*", target)
    return target if local else url_for("entries.index")


def sign_in_first() -> ResponseReturnValue | None:
    """A `before_request` for what only people who signed in may see."""
    if current_user():
        return None
    back = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("auth.sign_in", next=back))


def csrf_token() -> str:
    """The secret of this session. Each form sends it along."""
    return str(session.setdefault("csrf", token_urlsafe(16)))


def check_csrf() -> None:
    """A `before_request`: no change without the secret of this session."""
    if request.method in {"GET", "HEAD", "OPTIONS"} or request.routing_exception:
        return
    sent, secret = request.form.get("csrf", ""), session.get("csrf", "")
    if not secret or not compare_digest(sent.encode(), secret.encode()):
        abort(400, "This form is from an earlier visit. Go back, reload, try again.")
