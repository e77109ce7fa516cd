"""What a project makes once: who is signed in, and how they come to be."""

from __future__ import annotations

import datetime
import typing as t

import flask
from flask import request_started

from .. import clock
from .. import commands
from .. import hooks
from . import messages
from .accounts import Accounts
from .devices import SessionsAndDevices
from .identity import let_requests_have_it
from .links import Links
from .loader import around_attempts
from .passwords import Passwords
from .remember import Devices
from .throttle import Attempts
from .throttle import Throttle
from .tokens import Tokens
from .upstream import current_user
from .upstream import user_logged_in
from .upstream import user_logged_out
from .upstream import user_login_confirmed

if t.TYPE_CHECKING:
    from ..application import Application
    from ..extension import Scopes
    from ..sessions import Device
    from ..sessions import ServerSessions
    from .records import Records
    from .users import Users


class Login(Accounts):
    """Who is signed in, on Flask-Login: a ``LoginManager``, with all that one has. One
    per project, beside its ``Scopes``; lives as long as the program.

    ::

        login = Login(scopes)

        @login.user
        def current_user(user_id: str) -> User | None:
            return users.get(user_id)

    With nothing more it is that. What is handed over adds to it:

    :param scopes: which the apps are set up with.
    :param app: calls :meth:`init_app` with it.
    :param add_context_processor: whether templates have ``current_user``.
    :param users: where accounts are, for :meth:`sign_in` and letters.
    :param records: where attempts, devices and tokens are kept. Without, nobody is
        slowed down, no device remembered, and there are no tokens.
    :param sessions: whose sessions end with a change of the password, and whose devices
        are listed.
    :param passwords: how they are hashed.
    :param throttle: how much guessing is too much.
    :param token_prefix: what tokens begin with.
    :param reset_within: how long a letter to choose a new password is good.
    :param confirm_within: how long one to confirm an address is.
    :raises SetupError: something is not what it should be.
    """

    def __init__(
        self,
        scopes: Scopes,
        app: flask.Flask | None = None,
        add_context_processor: bool = True,
        *,
        users: Users | None = None,
        records: Records | None = None,
        sessions: ServerSessions | None = None,
        passwords: Passwords | None = None,
        throttle: Throttle = Throttle(),  # noqa: B008  # it is frozen
        token_prefix: str = "pat",
        reset_within: datetime.timedelta = datetime.timedelta(hours=1),
        confirm_within: datetime.timedelta = datetime.timedelta(days=3),
    ) -> None:
        super().__init__(scopes)
        self._adds_context_processor = add_context_processor
        self._users = users
        self._records = records
        self._sessions = sessions
        self.passwords = passwords or Passwords(scopes)
        """How passwords are hashed, for those who register."""
        self._tokens = self._attempts = self._devices = None
        if records is not None:
            self._tokens = Tokens(records, token_prefix)
            self._attempts = Attempts(scopes, records, throttle)
            self._devices = Devices(records, self._end_sessions_of)
        self._both = SessionsAndDevices(sessions, self._devices)
        times = reset_within, confirm_within
        if min(times) < datetime.timedelta(seconds=1):
            raise messages.bad_times()
        self._links = None if users is None else Links(users, *times)
        if app is not None:
            self.init_app(app, add_context_processor)
        scopes.on_init_app(self._set_up)

    def init_app(self, app: flask.Flask, add_context_processor: bool = True) -> None:
        """Let *app* know its users. It is done by ``scopes.init_app(app)``, and calls
        that, if nobody has.
        """
        self._adds_context_processor = add_context_processor
        home: Application | None = app.extensions.get("scopes")
        if home is None or self._scopes not in home.members:
            self._scopes.init_app(app)
            if getattr(app, "login_manager", None) is not self:
                # Before there were any who would have told us.
                self._set_up(app)

    def _set_up(self, app: flask.Flask) -> None:
        if getattr(app, "login_manager", None) is self:
            return
        super().init_app(app, False)
        if self._adds_context_processor:
            app.context_processor(_for_templates)
        let_requests_have_it(app, self)
        home: Application = app.extensions["scopes"]
        home.answers.append(messages.page_for)
        home.around_requests.append(around_attempts)
        hooks.wrap_requests(app, home)
        request_started.connect(self._begin, app)
        user_logged_in.connect(self._logged_in, app)
        user_login_confirmed.connect(self._note_freshness, app)
        user_logged_out.connect(self._logged_out, app)
        about = "Look after attempts, devices and tokens."
        does = "Remove what is over. MongoDB does that by itself."
        commands.add_purge(app, "login", about, does, "record", self.purge)

    @property
    def tokens(self) -> Tokens:
        """Tokens for programs.

        :raises SetupError: this Login was not told where to keep them.
        """
        if self._tokens is None:
            raise messages.missing("login.tokens", "records")
        return self._tokens

    def devices(self, user: object) -> list[Device]:
        """Where *user* is signed in, or will be without being asked: sessions, and
        devices that are remembered and have none now; last used first.

        :param user: their id, or what is the same as text.
        """
        here = flask.session.get("_remembered") if self._has_session else None
        return self._both.of(str(user), here)

    def sign_out_device(self, user: object, device_id: str) -> bool:
        """End the session of *user* on a device, and do not remember it, at once.

        :param device_id: the id of one of :meth:`devices`.
        :return: whether there was such a one of theirs.
        """
        return self._both.end(str(user), device_id)

    def purge(self) -> int:
        """Remove records that are over, where the database does not by itself. For SQL;
        ``flask scopes login purge`` does it.

        :return: how many there were.
        :raises SetupError: there are none.
        """
        if self._records is None:
            raise messages.missing("login.purge()", "records")
        return self._records.purge(clock.now())

    def _end_sessions_of(self, user: str, device: str) -> None:
        """End what a remembered *device* of *user* has begun, but for what this request
        has come with: that ends by itself.
        """
        self._both.end_sessions(user, device)


def _for_templates() -> dict[str, t.Any]:
    """As Flask-Login does it; but who looks at no user, loads none."""
    return {"current_user": current_user}
