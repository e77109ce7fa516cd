"""Signing in with a password, signing out, and what letters do."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import typing as t

import flask
from werkzeug.exceptions import MethodNotAllowed

from .. import clock
from . import messages
from .guards import Guards
from .upstream import login_user
from .upstream import logout_user
from .users import Account
from .users import email_key
from .users import is_address

if t.TYPE_CHECKING:
    from ..sessions import ServerSessions
    from .links import Links
    from .passwords import Passwords
    from .throttle import Attempts
    from .users import Users

_RESET, _SIGN_IN = "reset", "sign-in"


class Accounts(Guards):
    """See :class:`~flask_scopes.login.Login`, of which this is the part about accounts:
    it needs ``users=``.
    """

    passwords: Passwords
    _attempts: Attempts | None
    _links: Links | None
    _sessions: ServerSessions | None
    _users: Users | None

    @property
    def users(self) -> Users:
        """Where accounts are.

        :raises SetupError: this Login was not told.
        """
        if self._users is None:
            raise messages.missing("login.users", "users")
        return self._users

    @property
    def links(self) -> Links:
        """What is behind the slash of links in letters.

        :raises SetupError: this Login was not told where accounts are.
        """
        if self._links is None:
            raise messages.missing("login.links", "users")
        return self._links

    def check(self, email: str, password: str) -> Account | None:
        """The account that has this address and this password; None if there is none
        such, which takes as long. Each call is an attempt, and counted, whatever
        becomes of the request. A hash that is no longer the best is replaced.

        :raises TooManyAttempts: there were too many, here or from this address.
        :raises TooBusy: too many others are signing in.
        """
        users, name, address = self.users, email_key(email), _address()
        attempts = self._attempts
        counted = attempts and attempts.begin(_SIGN_IN, name, address)
        account = users.find(email) if is_address(email) else None
        hashed = None if account is None else account.password
        if not self.passwords.verify(hashed, password) or account is None or not hashed:
            return None
        if attempts and counted:
            attempts.succeeded(_SIGN_IN, name, address, counted)
        if self.passwords.needs_rehash(hashed):
            better = self.passwords.hash(password)
            if users.set_password(account, better):
                account = dataclasses.replace(account, password=better)
        return account

    def sign_in(self, email: str, password: str, *, remember: bool = False) -> bool:
        """Sign in whoever has this address and this password, if there is somebody, and
        they are active.

        :param remember: whether this device signs in again when its session is over.
        :raises TooManyAttempts: there were too many, here or from this address.
        :raises TooBusy: too many others are signing in.
        """
        account = self.check(email, password)
        return account is not None and self.sign_in_as(account, remember=remember)

    def sign_in_as(self, user: object, *, remember: bool = False) -> bool:
        """Sign in *user*, however they have proved who they are, if they are active:
        ``flask_login.login_user``. What another user had in the session is gone.

        :param user: as the function at ``@login.user`` returns it; or an account.
        :param remember: whether this device signs in again when its session is over.
        """
        if isinstance(user, Account):
            user = self._user_callback(user.id)
        if user is None:
            return False
        user_id = getattr(user, self.id_attribute)()
        if flask.session.get("_user_id") not in (None, user_id):
            flask.session.clear()
        return login_user(user, remember=remember)

    def sign_out(self) -> None:
        """Sign out this device: all that is in the session is gone, and it is not
        remembered.

        :raises MethodNotAllowed: in a GET request, which any page can make a browser
            send, with an ``<img>``.
        """
        if flask.request.method in {"GET", "HEAD"}:
            raise MethodNotAllowed(["POST"])
        logout_user()
        asked = flask.session.get("_remember")
        flask.session.clear()
        if asked is not None:
            # To delete the cookie, as the request ends.
            flask.session["_remember"] = asked
        self._forget_proof()

    def sign_out_everywhere(
        self, user: object, *, but_here: bool = False, tokens: bool = False
    ) -> None:
        """End all sessions of *user*, and let no device of theirs be remembered, at
        once; in SQL, as part of the transaction, if there is one. (Without
        ``sessions=`` the former stay.)

        :param user: their id, or what is the same as text.
        :param but_here: whether the session of this request stays, if it is theirs.
        :param tokens: whether their tokens end as well.
        """
        if tokens and self._tokens is not None:
            self._tokens.revoke_all(user)
        is_here = but_here and self._has_session
        if self._sessions is not None:
            here = self._sessions.current if is_here else None
            self._sessions.revoke_all(user, but=here)
        elif self._devices is not None:
            mine = flask.session.get("_remembered") if is_here else None
            self._devices.forget_all(str(user), but=mine)

    def set_password(self, account: Account, password: str) -> bool:
        """Give *account* another password, and sign it out everywhere but here, where
        the session and the cookie of the device are other ones then: copies of them are
        worth nothing.

        :return: whether it was done: not if another request was quicker.
        :raises TooBusy: too many others are signing in.
        """
        if not self._change_password(account, password, but_here=True):
            return False
        if self._has_session:
            self._renew_this_device(account.id)
        return True

    def _change_password(
        self, account: Account, password: str, *, but_here: bool
    ) -> bool:
        if not self.users.set_password(account, self.passwords.hash(password)):
            return False
        # Who could not sign in may have lost more than the password.
        self.sign_out_everywhere(account.id, but_here=but_here, tokens=not but_here)
        # And who has come in by the old one, until nobody could any more.
        session: t.Any = flask.session if but_here and self._has_session else None
        own = None if session is None else session._get_current_object()
        self._scopes.after_commit(lambda: self._end_all_but(account.id, own))
        return True

    def _end_all_but(self, user: str, session: t.Any) -> None:
        """End what *user* has now, but for *session*, which may not be saved yet."""
        if self._sessions is not None:
            stays: set[str] = getattr(session, "ids", set())
            for each in self._sessions.of(user):
                if each.id not in stays:
                    self._sessions.revoke(each.id)
        if self._devices is not None:
            device = None if session is None else session.get("_remembered")
            self._devices.forget_all(user, but=device)

    def _renew_this_device(self, user: str) -> None:
        session = flask.session
        if session.get("_user_id") != user:
            return
        # On the server it is another one then, with another id and no grace.
        values = dict(session)
        session.clear()
        session.update(values)
        device = session.get("_remembered")
        record = self._devices.found(device) if self._devices and device else None
        if record is not None:
            session["_remember"] = "set"
            session["_remember_seconds"] = record.expires - clock.now()

    # ---- Letters

    def send_reset(self, email: str, send: c.Callable[[Account, str], object]) -> None:
        """If somebody has this address, call *send* with their account and the text for
        a link, once this unit has succeeded. Nobody is told whether there is somebody.

        :param send: writes to ``account.email``, not to what was typed. To take no
            longer for who is known here, it leaves the sending to a queue.
        :raises TooManyAttempts: it was asked for too often, for it or from here.
        """
        if self._attempts is not None:
            self._attempts.begin(_RESET, email_key(email), _address())
        account = self.users.find(email) if is_address(email) else None
        if account is not None:
            self._send(account, self.links.for_reset(account), send)

    def send_confirmation(
        self, account: Account, send: c.Callable[[Account, str], object]
    ) -> None:
        """Call *send* with *account* and the text for a link by which its owner
        confirms the address, once this unit has succeeded.
        """
        self._send(account, self.links.for_confirmation(account), send)

    def _send(
        self, account: Account, text: str, send: c.Callable[[Account, str], object]
    ) -> None:
        self._scopes.after_commit(lambda: send(account, text))

    def reset_password(self, text: str, password: str) -> Account | None:
        """Give the account that a link with *text* is for another password, sign it out
        everywhere, and end its tokens.

        :return: None if the link is not good, or was used.
        :raises TooBusy: too many others are signing in.
        """
        account = self.links.to_reset(text)
        if account is None:
            return None
        done = self._change_password(account, password, but_here=False)
        return account if done else None

    def confirm_email(self, text: str) -> Account | None:
        """Note that the address belongs to whom the link with *text* was sent to.

        :return: None if the link is not good, or was used.
        """
        account = self.links.to_confirm(text)
        if account is None or not self.users.confirm(account):
            return None
        return account


def _address() -> str | None:
    return flask.request.remote_addr if flask.has_request_context() else None
