"""An app for a real server to run: all threads of a process ask at the same time."""

from __future__ import annotations

import contextlib
import os
import threading

import flask

from flask_scopes import Scopes
from flask_scopes.mongo import Mongo

scopes = Scopes()
mongo = Mongo(scopes)
app = flask.Flask("shop")
app.config["MONGO_URI"] = os.environ["MONGO_URI"]
app.config["MONGO_SLOW_MS"] = None


@scopes.application
def all_threads() -> threading.Barrier:
    return threading.Barrier(int(os.environ["THREADS"]))


@app.get("/")
def index() -> str:
    # Where a server has given other processes more to do, some wait in vain.
    with contextlib.suppress(threading.BrokenBarrierError):
        all_threads().wait(1)
        mongo.client().shop.things.find_one({"$where": "sleep(300) || true"})
    if all_threads().broken:
        all_threads().reset()
    return str(os.getpid())


scopes.init_app(app)
