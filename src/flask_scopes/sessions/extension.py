"""What a project makes once: its sessions, and what can be done with them."""

from __future__ import annotations

import collections.abc as c
import datetime
import typing as t

import flask

from .. import clock
from .. import commands
from .. import contexts
from .. import interface as proxy
from ..places import declared
from . import messages
from .in_hand import InHand
from .interface import ServerInterface
from .policy import make_policy
from .records import Device
from .saving import reaching
from .session import ServerSession

if t.TYPE_CHECKING:
    from ..application import Application
    from ..extension import Scopes
    from .records import Head
    from .records import Store


Revoking: t.TypeAlias = c.Callable[[str | None, list[str], str | None], object]


class ServerSessions:
    """Sessions on the server, behind ``flask.session``. One per project, beside its
    ``Scopes``; lives as long as the program.

    ::

        sessions = ServerSessions(scopes, MongoStore(mongo, "sessions"))

    The cookie has an id and 256 random bits, of which the store has a keyed hash. Both
    are new after a login, a logout, and a change of what is privileged. What a request
    has changed is written when its unit succeeds: in the same transaction, if the unit
    has one in the store's database, and after the commit otherwise.

    :param scopes: which the apps are set up with.
    :param store: where they are kept: a ``MongoStore``, a ``RedisStore``, an
        ``SQLStore``, or what does the same.
    :param user_key: which value of the session says whose it is. Flask-Login's, by
        default.
    :param privileged_keys: which values say what its user may do in it. If one changes
        to anything but false, the session gets a new secret.
    :param idle: how long a session lasts that is not used. Last use is noted to the
        minute.
    :param lifetime: how long it lasts at all, from the login on.
    :param grace: how long requests that were on their way find a session by the secret
        that it had before: as it was then.
    :param on_conflict: what happens when two requests of a visitor change the same
        value. By default the one that comes last wins; with ``"error"`` it fails with
        :exc:`SessionConflict`.
    :param when_down: what a visitor with a session gets when the store is away: a 503.
        With ``"read-only"`` only one who changes it, or whom this process has not seen
        for five minutes.
    :raises SetupError: something is not what it should be.
    """

    def __init__(
        self,
        scopes: Scopes,
        store: Store,
        *,
        user_key: str = "_user_id",
        privileged_keys: c.Collection[str] = ("_fresh",),
        idle: datetime.timedelta = datetime.timedelta(days=14),
        lifetime: datetime.timedelta = datetime.timedelta(days=90),
        grace: datetime.timedelta = datetime.timedelta(seconds=10),
        on_conflict: t.Literal["overwrite", "error"] = "overwrite",
        when_down: t.Literal["refuse", "read-only"] = "refuse",
    ) -> None:
        times: dict[str, object] = {"idle": idle, "lifetime": lifetime, "grace": grace}
        self._policy = make_policy(
            user_key, privileged_keys, times, on_conflict, when_down
        )
        self.store = store

        @scopes.application
        @declared("sessions.in_hand")
        def in_hand() -> InHand:
            return InHand()

        self._in_hand = in_hand
        self._revoking: list[Revoking] = []
        scopes.on_init_app(self._set_up)

    def _set_up(self, app: flask.Flask) -> None:
        app.session_interface = ServerInterface(self.store, self._policy, self._in_hand)
        proxy.watch(app)
        home: Application = app.extensions["scopes"]
        home.answers.append(messages.page_for)
        about = "Look after the sessions on the server."
        does = "Remove what is over. MongoDB and Redis do that by themselves."
        commands.add_purge(app, "sessions", about, does, "session", self.purge)

    @property
    def current(self) -> str | None:
        """The id of the session that this request has come with, for
        :meth:`revoke_all`; None if it has come with none.

        :raises OutsideScopeError: there is no request with such sessions.
        """
        found = self._session("current").found
        return found.head.id if found else None

    def rotate(self) -> None:
        """Give this visitor's session a new secret, when the request succeeds: where
        they get rights that no value of ``privileged_keys`` tells of. What is in the
        session stays.

        :raises OutsideScopeError: there is no request with such sessions.
        """
        session = self._session("rotate()")
        session.rotates = session.found is not None

    def of(self, user: object) -> list[Device]:
        """Where *user* is signed in now, last used first.

        :param user: the value of ``user_key``, or what is the same as text.
        :raises SessionStoreError: the store is away.
        """
        with reaching(self.store):
            heads = self.store.of(str(user))
        now, current = clock.now(), self._current_id()
        alive = [head for head in heads if head.expires > now]
        alive.sort(key=lambda head: (head.seen, head.created), reverse=True)
        return [_device(head, current) for head in alive]

    def revoke(self, session_id: str) -> bool:
        """End a session at once, whatever becomes of this request. No request that is
        on its way brings it back. If it is this visitor's own, it is empty from now on,
        and what is put there is another one.

        :param session_id: whose it is has been seen to by the caller.
        :return: whether it was there.
        :raises SessionStoreError: the store is away.
        """
        self._tell(None, [session_id], None)
        return self._end([session_id]) > 0

    def revoke_all(self, user: object, *, but: str | None = None) -> int:
        """End all sessions of *user*, but for one, in the same way.

        :param but: the id of the one that stays: mostly :attr:`current`.
        :return: how many there were.
        :raises SessionStoreError: the store is away.
        """
        with reaching(self.store):
            heads = [head for head in self.store.of(str(user)) if head.id != but]
        self._tell(str(user), [head.id for head in heads], but)
        over = sum(head.expires <= clock.now() for head in heads)
        return max(0, self._end([head.id for head in heads]) - over)

    def on_revoke(self, step: Revoking) -> None:
        """Call *step* whenever sessions are about to be revoked, with the user if it is
        all of theirs, the ids, and the id of the one that stays: for what would make
        them anew.
        """
        self._revoking.append(step)

    def value(self, session_id: str, name: str) -> str | None:
        """What a session has under *name*, as JSON; None if it has nothing there.

        :raises SessionStoreError: the store is away.
        """
        with reaching(self.store):
            stored = self.store.load(session_id)
        row = stored.rows.get(name) if stored else None
        return None if row is None else row.text

    def _tell(self, user: str | None, ids: list[str], but: str | None) -> None:
        for step in self._revoking:
            step(user, ids, but)

    def purge(self) -> int:
        """Remove what is over, where the database does not by itself. For SQL;
        ``flask scopes sessions purge`` does it.

        :return: how many sessions there were.
        :raises SessionStoreError: the store is away.
        """
        with reaching(self.store):
            return self.store.purge(clock.now())

    def _end(self, session_ids: list[str]) -> int:
        # Before it is gone.
        current = self._current_id()
        with reaching(self.store):
            count = self.store.remove(session_ids) if session_ids else 0
        if self._policy.reads_on:
            for each in session_ids:
                self._in_hand().end(each, clock.now())
        if current in session_ids:
            self._session("revoke()").end()
        return count

    def _current_id(self) -> str | None:
        return self.current if _session() is not None else None

    def _session(self, what: str) -> ServerSession:
        session = _session()
        if session is None:
            raise messages.not_here(what)
        # The answer depends on it.
        session.accessed = True
        return session


def _session() -> ServerSession | None:
    request = contexts.innermost_request.get(None)
    found = None if request is None else contexts.session_of(request)
    return found if isinstance(found, ServerSession) else None


def _device(head: Head, current: str | None) -> Device:
    return Device(
        id=head.id,
        created=clock.date_of(head.created),
        seen=clock.date_of(head.seen),
        agent=head.agent,
        address=head.address,
        current=head.id == current,
    )
