"""Addresses that the templates mention, of what is not written by hand: they are not
found. Nothing of this is counted or measured.
"""

from typing import NoReturn

from flask import Blueprint
from flask import Flask
from flask import abort
from flask.blueprints import BlueprintSetupState

bp = Blueprint("elsewhere", __name__)

MENTIONED = {
    "admin.index": "/admin",
    "auth.register": "/register",
    "devices.index": "/devices",
    "entries.add_picture": "/entries/<objectid:entry_id>/picture",
    "entries.picture": "/entries/<objectid:entry_id>/picture",
    "letters.confirm_again": "/confirm",
    "letters.forgotten": "/forgotten",
    "tokens.index": "/tokens",
}


def missing(**arguments: object) -> NoReturn:
    abort(404)


@bp.record
def mention(state: BlueprintSetupState) -> None:
    app: Flask = state.app
    for endpoint, rule in MENTIONED.items():
        app.add_url_rule(rule, endpoint, missing, methods=["GET", "POST"])
