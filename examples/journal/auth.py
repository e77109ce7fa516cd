"""Registering, signing in and out: what others need is a `before_request` of it."""

import re
from datetime import timedelta

from flask import Blueprint
from flask import current_app
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from flask.typing import ResponseReturnValue
from flask_login import confirm_login  # type: ignore[import-untyped]  # it has none

from flask_scopes.login import EmailTaken
from flask_scopes.login import is_address

from .letters import confirmation
from .resources import audit
from .resources import current_user
from .resources import journal
from .resources import login
from .resources import mongo
from .resources import people
from .resources import scopes
from .seed import demo
from .seed import ready

bp = Blueprint("auth", __name__)
bp.before_request(ready)

NO_MATCH = "That e-mail and that password do not go together."
JUST_NOW = timedelta(minutes=15)


@bp.route("/", methods=["GET", "POST"])
@scopes.commit_on(401)  # The trail remembers who was refused.
def sign_in() -> ResponseReturnValue:
    if request.method == "GET":
        return redirect(after_sign_in()) if current_user() else sign_in_page()
    email, password = request.form.get("email", ""), request.form.get("password", "")
    if not login.sign_in(email, password, remember="remember" in request.form):
        account = people.find(email)
        known = login.user_callback(account.id).name if account else None
        audit().note("was refused at the door", who=known)
        return sign_in_page(NO_MATCH), 401
    audit().note("signed in")
    return redirect(after_sign_in())


@bp.route("/register", methods=["GET", "POST"])
@scopes.retry(3)  # The second of two begins anew, and finds the first one there.
@mongo.transactional
def register() -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("register.html")
    name = request.form.get("name", "").strip()
    email = request.form.get("email", "").strip()
    password = request.form.get("password", "")
    problem = None if 0 < len(name) <= 80 else "Tell us your name."
    if not is_address(email) or not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        problem = problem or "That does not look like an e-mail address."
    problem = problem or password_problem(password)
    if problem:
        return render_template("register.html", problem=problem), 422
    hashed = login.passwords.hash(password)
    try:  # The unique index decides, so two at the same moment cannot both win.
        account = people.add(email, hashed, name=name)
    except EmailTaken:
        problem = "Somebody already registered with this e-mail address."
        return render_template("register.html", problem=problem), 409
    login.sign_in_as(account)
    login.send_confirmation(account, confirmation)
    audit().note("registered")
    scopes.after_commit(lambda: mongo.create_indexes(journal))
    return redirect(url_for("entries.index"))


@bp.route("/password", methods=["GET", "POST"])
@scopes.commit_on(401)
def password() -> ResponseReturnValue:
    """Give it once more, before something that a found telephone should not do."""
    user = current_user()
    if user is None:
        return login.unauthorized()
    if request.method == "POST":
        if login.check(user.email, request.form.get("password", "")):
            confirm_login()
            return redirect(login.next_path(url_for("entries.index")))
        return render_template("password.html", problem="That is not it."), 401
    return render_template("password.html")


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    if current_user():
        audit().note("signed out")
    login.sign_out()
    return redirect(url_for(".sign_in"))


def sign_in_page(problem: str | None = None) -> str:
    shown = demo() if current_app.config["SEED"] else {}
    return render_template("sign_in.html", problem=problem, **shown)


def password_problem(password: str) -> str | None:
    if not 8 <= len(password) <= 1000:
        return "A password needs at least eight characters."
    return None


def after_sign_in() -> str:
    return login.next_path(url_for("entries.index"))


def sign_in_first() -> ResponseReturnValue | None:
    """A `before_request` for what only people who signed in may see."""
    if current_user():
        return None
    if request.method == "GET":
        return login.unauthorized()  # It comes back here afterwards.
    return redirect(url_for("auth.sign_in"))
