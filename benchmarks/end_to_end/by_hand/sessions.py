"""Sessions in MongoDB: a document for each, found by a hash of what the cookie says.

It is read when somebody first looks into it, and written if it was modified.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from datetime import UTC
from datetime import datetime
from datetime import timedelta
from typing import Any

from flask import Flask
from flask import Request
from flask import Response
from flask import current_app
from flask.sessions import SessionInterface
from flask.sessions import SessionMixin
from pymongo.collection import Collection

from .database import named

IDLE = timedelta(days=14)
LIFETIME = timedelta(days=90)
TOUCH_EVERY = timedelta(minutes=1)


class MongoSession(SessionMixin):
    """What `flask.session` is. A change inside of a value needs `modified = True`."""

    def __init__(self, token: str | None) -> None:
        self.token = token
        self.old_token: str | None = None
        self.document: dict[str, Any] | None = None
        self.values_: dict[str, Any] | None = None
        self.modified = False
        self.accessed = False

    @property
    def loaded(self) -> dict[str, Any]:
        self.accessed = True
        if self.values_ is None:
            if self.token:
                key = {"_id": digest(self.token)}
                self.document = collection().find_one(key)
            found = self.document
            if found is None or found["ends"] <= datetime.now(UTC):
                self.token = self.document = None
            self.values_ = self.document["values"] if self.document else {}
        return self.values_

    def renew(self) -> None:
        """Give it another token: nobody who knew the one before is signed in."""
        _ = self.loaded
        self.old_token, self.token, self.document = self.token, None, None
        self.modified = True

    def __getitem__(self, name: str) -> Any:
        return self.loaded[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.loaded[name] = value
        self.modified = True

    def __delitem__(self, name: str) -> None:
        del self.loaded[name]
        self.modified = True

    def __iter__(self) -> Iterator[str]:
        return iter(self.loaded)

    def __len__(self) -> int:
        return len(self.loaded)

    def __contains__(self, name: object) -> bool:
        return name in self.loaded


class MongoSessionInterface(SessionInterface):
    def open_session(self, app: Flask, request: Request) -> MongoSession:
        return MongoSession(request.cookies.get(self.get_cookie_name(app)))

    def save_session(
        self, app: Flask, session: SessionMixin, response: Response
    ) -> None:
        assert isinstance(session, MongoSession)
        if session.accessed:
            response.vary.add("Cookie")
        if response.status_code >= 500:
            return
        if session.modified:
            self.write(app, session, response)
        elif session.document is not None:
            touch(session.document)

    def write(self, app: Flask, session: MongoSession, response: Response) -> None:
        sessions, flags = collection(), self.flags(app)
        if session.old_token:
            sessions.delete_one({"_id": digest(session.old_token)})
        if not session.loaded:
            if session.token:
                sessions.delete_one({"_id": digest(session.token)})
            response.delete_cookie(self.get_cookie_name(app), **flags)
            return
        now, fields = datetime.now(UTC), {"values": session.loaded}
        fields["user"] = session.get("_user_id")
        if session.document is not None:
            sessions.update_one({"_id": session.document["_id"]}, {"$set": fields})
            return
        session.token = secrets.token_urlsafe(32)
        times = {"created": now, "seen": now, "ends": now + IDLE}
        sessions.insert_one({"_id": digest(session.token), **fields, **times})
        response.set_cookie(self.get_cookie_name(app), session.token, **flags)

    def flags(self, app: Flask) -> dict[str, Any]:
        return {
            "domain": self.get_cookie_domain(app),
            "path": self.get_cookie_path(app),
            "secure": self.get_cookie_secure(app),
            "httponly": True,
            "samesite": self.get_cookie_samesite(app),
        }


def touch(document: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    if now - document["seen"] >= TOUCH_EVERY:
        ends = min(now + IDLE, document["created"] + LIFETIME)
        seen = {"$set": {"seen": now, "ends": ends}}
        collection().update_one({"_id": document["_id"]}, seen)


def collection() -> Collection:
    return named("sessions").sessions


def digest(token: str) -> str:
    key = current_app.config["SECRET_KEY"].encode()
    return hmac.new(key, token.encode(), hashlib.sha256).hexdigest()
