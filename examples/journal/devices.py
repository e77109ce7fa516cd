"""Where somebody is signed in. Each browser has a session of its own, on the server:
it can be ended from here, and then the browser that has it is nobody's."""

from flask import Blueprint
from flask import abort
from flask import redirect
from flask import render_template
from flask import url_for
from flask.typing import ResponseReturnValue

from .auth import sign_in_first
from .models import browser_name
from .resources import audit
from .resources import current_user
from .resources import sessions
from .seed import ready

bp = Blueprint("devices", __name__, url_prefix="/devices")
bp.before_request(ready)
bp.before_request(sign_in_first)
bp.add_app_template_filter(browser_name)


@bp.get("")
def index() -> ResponseReturnValue:
    user = current_user() or abort(401)
    return render_template("devices.html", devices=sessions.of(user.id))


@bp.post("/<device_id>/sign-out")
def sign_out(device_id: str) -> ResponseReturnValue:
    user = current_user() or abort(401)
    if device_id not in {device.id for device in sessions.of(user.id)}:
        abort(404)  # It is over already, or somebody else's.
    audit().note("signed out a device")
    sessions.revoke(device_id)
    return redirect(url_for(".index"))


@bp.post("/sign-out-others")
def sign_out_others() -> ResponseReturnValue:
    user = current_user() or abort(401)
    audit().note("signed out all other devices")
    sessions.revoke_all(user.id, but=sessions.current)
    return redirect(url_for(".index"))
