"""An app for a real server to run: each request holds a connection for a while."""

from __future__ import annotations

import os

import flask

from flask_scopes import Scopes
from flask_scopes.mongo import Mongo

scopes = Scopes()
mongo = Mongo(scopes)
app = flask.Flask("shop")
app.config["MONGO_URI"] = os.environ["MONGO_URI"]
app.config["MONGO_SLOW_MS"] = None


@app.get("/")
def index() -> str:
    mongo.client().shop.things.find_one({"$where": "sleep(200) || true"})
    return str(os.getpid())


scopes.init_app(app)
