"""For those who keep the house: how many people, and what happened lately."""

from flask import Blueprint
from flask import abort
from flask import render_template
from flask.typing import ResponseReturnValue

from .auth import sign_in_first
from .resources import accounts
from .resources import current_user
from .resources import events
from .resources import journal

bp = Blueprint("admin", __name__, url_prefix="/admin")
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
        people=accounts().people.count_documents({}),
        entries=journal().entries.count_documents({}),
        trail=events().trail.find().sort("at", -1).limit(50),
    )
