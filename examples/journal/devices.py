"""Where somebody is signed in. Each browser has a session of its own, on the server,
and perhaps a cookie that makes another one: both can be ended from here, and then the
browser that has them is nobody's."""

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
from .resources import login
from .seed import ready

bp = Blueprint("devices", __name__, url_prefix="/devices")
bp.before_request(ready)
bp.before_request(sign_in_first)
bp.add_app_template_filter(browser_name)


@bp.get("")
def index() -> ResponseReturnValue:
    user = current_user() or abort(401)
    return render_template("devices.html", devices=login.devices(user.id))


@bp.post("/<device_id>/sign-out")
def sign_out(device_id: str) -> ResponseReturnValue:
    user = current_user() or abort(401)
    if not login.sign_out_device(user.id, device_id):
        abort(404)  # It is over already, or somebody else's.
    audit().note("signed out a device")
    return redirect(url_for(".index"))


@bp.post("/sign-out-others")
def sign_out_others() -> ResponseReturnValue:
    user = current_user() or abort(401)
    audit().note("signed out all other devices")
    login.sign_out_everywhere(user.id, but_here=True)
    return redirect(url_for(".index"))
