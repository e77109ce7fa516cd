"""An app for a real server to run: a payment is entered in a ledger, and counted."""

from __future__ import annotations

import collections
import os
import typing as t

import flask

from flask_scopes import CommitFailed
from flask_scopes import Scopes
from flask_scopes.mongo import Mongo

scopes = Scopes()
mongo = Mongo(scopes)
bank = mongo.database("bank")
app = flask.Flask("bank")
app.config["MONGO_URI"] = os.environ["MONGO_URI"]
attempts: collections.Counter[str] = collections.Counter()


@app.post("/pay/<payment>")
@scopes.retry(5)
@mongo.transactional
def pay(payment: str) -> dict[str, int]:
    attempts[payment] += 1
    # Its id is another one in each attempt: a second row would be found, not refused.
    bank().ledger.insert_one({"payment": payment})
    account = {"_id": int(payment.partition("-")[0])}
    bank().accounts.update_one(account, {"$inc": {"payments": 1}})
    return {"pid": os.getpid(), "attempts": attempts[payment]}


@app.errorhandler(CommitFailed)
def unknown(error: CommitFailed) -> tuple[dict[str, bool], int]:
    has_label: t.Any = getattr(error.cause, "has_error_label", bool)
    return {"unknown": bool(has_label("UnknownTransactionCommitResult"))}, 500


scopes.init_app(app)
