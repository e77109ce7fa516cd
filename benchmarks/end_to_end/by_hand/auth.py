"""Signing in and out, and who is signed in."""

from datetime import UTC
from datetime import datetime

import argon2
from argon2.exceptions import VerifyMismatchError
from bson import ObjectId
from flask import Blueprint
from flask import current_app
from flask import g
from flask import redirect
from flask import render_template
from flask import request
from flask import session
from flask import url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager
from flask_login import current_user
from flask_login import login_user

from .database import named
from .models import User
from .transactions import transaction
from .transactions import transactional

bp = Blueprint("auth", __name__)

NO_MATCH = "That e-mail and that password do not go together."

hasher = argon2.PasswordHasher()
nobodys = hasher.hash("nobody")

login_manager = LoginManager()
login_manager.login_view, login_manager.login_message = "auth.sign_in", None


@login_manager.user_loader
def load_user(user_id: str) -> User | None:
    """Called once a request, by Flask-Login, which keeps what comes of it on `g`."""
    row = named("accounts").people.find_one({"_id": ObjectId(user_id)})
    return User.from_row(row) if row else None


def user_or_none() -> User | None:
    user: User = current_user._get_current_object()
    return user if user.is_authenticated else None


@bp.route("/", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    if request.method == "GET":
        return redirect(after_sign_in()) if user_or_none() else sign_in_page()
    email, password = request.form.get("email", ""), request.form.get("password", "")
    people = named("accounts").people
    row = people.find_one({"email_key": email.strip().casefold()})
    if not matches(row["password"] if row else None, password) or row is None:
        note("was refused at the door", who=row["name"] if row else None)
        return sign_in_page(NO_MATCH), 401
    session.clear()
    g.pop("csrf_token", None)  # Flask-WTF keeps the one of before.
    session.renew()
    login_user(User.from_row(row))
    note("signed in")
    return redirect(after_sign_in())


@bp.post("/sign-out")
@transactional
def sign_out() -> ResponseReturnValue:
    if user_or_none():
        note("signed out")
    session.clear()
    return redirect(url_for(".sign_in"))


def matches(hashed: str | None, password: str) -> bool:
    try:
        return hasher.verify(hashed or nobodys, password) and hashed is not None
    except VerifyMismatchError:
        return False


def sign_in_page(problem: str | None = None) -> str:
    shown = current_app.config.get("SHOWN", {})
    return render_template("sign_in.html", problem=problem, **shown)


def after_sign_in() -> str:
    said = request.values.get("next", "")
    is_local = said.startswith("/") and not said.startswith(("//", "/\\"))
    return said if is_local else url_for("entries.index")


def sign_in_first() -> ResponseReturnValue | None:
    if user_or_none():
        return None
    if request.method == "GET":
        return login_manager.unauthorized()
    return redirect(url_for("auth.sign_in"))


def note(what: str, who: str | None = None) -> None:
    user = user_or_none()
    who = who or (user.name if user else "A visitor")
    line = {"at": datetime.now(UTC), "who": who, "what": what}
    named("events").trail.insert_one(line, session=transaction())
