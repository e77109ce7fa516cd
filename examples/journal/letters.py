"""What is done by a link in a letter: confirming an address, choosing a new password.

A link opens a page, and only the button there does something: those who look into
letters for viruses open all links."""

from flask import Blueprint
from flask import abort
from flask import redirect
from flask import render_template
from flask import request
from flask import url_for
from flask.typing import ResponseReturnValue

from flask_scopes.login import Account

from .mail import send
from .resources import audit
from .resources import current_user
from .resources import login
from .resources import people
from .resources import scopes
from .seed import ready

bp = Blueprint("letters", __name__)
bp.before_request(ready)


def confirmation(account: Account, text: str) -> None:
    link = url_for("letters.confirm", text=text, _external=True)
    send(account.email, "Is this your address?", f"If so, say it here:\n\n{link}\n")


def way_back(account: Account, text: str) -> None:
    link = url_for("letters.reset", text=text, _external=True)
    words = "Choose a new password within the hour. If it was not you who asked, do"
    send(account.email, "A new password", f"{words} nothing.\n\n{link}\n")


@bp.route("/confirm/<text>", methods=["GET", "POST"])
def confirm(text: str) -> ResponseReturnValue:
    if request.method == "GET" and login.links.to_confirm(text):
        return render_template("letter.html", kind="confirm")
    account = login.confirm_email(text) if request.method == "POST" else None
    if account is None:
        return render_template("letter.html", kind="over"), 410
    audit().note("confirmed an address", who=login.user_callback(account.id).name)
    return redirect(url_for("entries.index"))


@bp.post("/confirm")
def confirm_again() -> ResponseReturnValue:
    user = current_user() or abort(401)
    account = people.get(user.get_id()) or abort(404)
    login.send_confirmation(account, confirmation)
    return render_template("letter.html", kind="again")


@bp.route("/forgotten", methods=["GET", "POST"])
def forgotten() -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("letter.html", kind="forgotten")
    login.send_reset(request.form.get("email", ""), way_back)
    return render_template("letter.html", kind="sent")


@bp.route("/reset/<text>", methods=["GET", "POST"])
def reset(text: str) -> ResponseReturnValue:
    if login.links.to_reset(text) is None:
        return render_template("letter.html", kind="over"), 410
    if request.method == "GET":
        return render_template("letter.html", kind="reset")
    new = request.form.get("password", "")
    if not 8 <= len(new) <= 1000:
        problem = "A password needs at least eight characters."
        return render_template("letter.html", kind="reset", problem=problem), 422
    account = login.reset_password(text, new)
    if account is None:  # Two at once: the other one was quicker.
        return render_template("letter.html", kind="over"), 410
    audit().note("chose a new password", who=login.user_callback(account.id).name)
    scopes.after_commit(lambda: tell(account))
    return redirect(url_for("auth.sign_in"))


def tell(account: Account) -> None:
    words = "Your password was changed, and all your devices are signed out."
    send(account.email, "Your new password", words)
