"""For those who keep the house: how many people, and what happened lately."""

from flask import Blueprint
from flask import abort
from flask import render_template
from flask.typing import ResponseReturnValue

from .auth import sign_in_first
from .resources import accounts
from .resources import current_user
from .resources import events
from .seed import ready

bp = Blueprint("admin", __name__, url_prefix="/admin")
bp.before_request(ready)
bp.before_request(sign_in_first)


@bp.before_request
def admins_only() -> None:
    user = current_user()
    if not user or not user.admin:
        abort(403)


@bp.get("")
def index() -> ResponseReturnValue:
    return render_template(
        "admin.html",
        people=[*accounts().people.find({}, {"entries": 1})],
        trail=events().trail.find().sort("at", -1).limit(50),
    )
