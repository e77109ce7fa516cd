"""The session of one request: asked for when somebody first looks into it."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import threading
import typing as t

from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionMixin

from ..lookup import begin_unit
from ..places import pass_through
from . import messages
from .records import Change

if t.TYPE_CHECKING:
    from .records import Head
    from .tokens import Token

# By these a view comes here.
pass_through("werkzeug")
pass_through("collections")
pass_through("contextlib")

# As Flask's cookies have it: tuples, bytes, dates and others come back as they are.
_json = TaggedJSONSerializer()

# What is one of these and was only read is what it was: there is nothing to compare.
_FIXED: t.Final = frozenset({str, int, float, bool, bytes, type(None)})

# In characters.
_LONGEST_NAME: t.Final = 255


class Found(t.NamedTuple):
    """What there was of a session, as the one who came with *token* may see it."""

    token: Token
    head: Head
    texts: dict[str, str]
    is_late: bool = False
    """Whether it was asked for with a secret that has been replaced just now."""
    is_read_only: bool = False
    """Whether it is from our memory, as the store is away."""
    hidden: frozenset[str] = frozenset()
    """The names of what came later than that secret was replaced."""
    has_old_key: bool = False
    """Whether its secret was hashed with a key from SECRET_KEY_FALLBACKS."""


@dataclasses.dataclass(slots=True)
class Plan:
    """What is to be done, in this order."""

    add: Head | None = None
    """A session that is new, with ``texts``."""
    texts: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    renew: dict[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])
    """Fields of the head, if the session gets another secret."""
    insists: bool = False
    """Whether it is a failure if somebody else has just given it one."""
    changes: dict[str, Change] = dataclasses.field(default_factory=dict[str, Change])
    generation: int = 0
    """With which the changes are written."""
    remove: str = ""
    """A session that is over."""
    replace: dict[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])
    """Fields of the head of a session that can still be read for a moment."""
    token: Token | None = None
    """What the cookie is to say from now on."""
    forget: bool = False
    """Whether there is to be no cookie any more."""
    is_written: bool = False
    """Whether all but the ending of others is done already."""

    @property
    def changes_anything(self) -> bool:
        return bool(self.add or self.renew or self.changes or self.remove)


class ServerSession(SessionMixin):
    """What ``flask.session`` is; lives as long as the request.

    :param load: called at most once, when somebody first looks into it.
    """

    accessed = False

    def __init__(self, load: c.Callable[[], Found | None]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._found: Found | None = None
        self.is_loaded = False
        """Whether anybody has looked into it."""
        self._values: dict[str, t.Any] = {}
        """What was set so far, or was read and may have changed since."""
        self._fixed: dict[str, t.Any] = {}
        """What was before, as far as somebody has asked, and it cannot change."""
        self._names: dict[str, None] = {}
        """Of all that is there, in order."""
        self._dropped: set[str] = set()
        """What was taken out, also if there is something in its place now."""
        self.rotates = False
        """Whether it is to get a new secret, whatever has changed."""
        self.is_revoked = False
        """Whether this request has ended it."""
        self.is_away = False
        """Whether the store was, so that nobody knows what is in it."""
        self.plan: Plan | None = None
        """How it is to be saved, once that is known."""

    def restored(self) -> ServerSession:
        """The same, as it was before the request; without asking again. (What the
        request has ended stays so.) If the store is away, it is empty: for a page that
        says so, and whatever runs with each page. It is not saved.
        """
        if not self.is_loaded and not self.is_away:
            return ServerSession(self._load)
        found = self._found
        restored = ServerSession(lambda: found)
        restored.is_away = self.is_away
        return restored

    def end(self) -> None:
        """It was revoked: nothing is in it any more, and what comes is another one."""
        self.clear()
        self._found = None
        self._fixed.clear()
        self.is_revoked = True

    @property
    def found(self) -> Found | None:
        """What the store has of it, when it was asked."""
        self._ensure()
        return self._found

    @property
    def ids(self) -> set[str]:
        """The id that it has come with, and the one that it has from now on, if it has
        any.
        """
        came = {self.found.head.id} if self.found else set[str]()
        added = self.plan.add if self.plan else None
        return came | ({added.id} if added else set())

    def _ensure(self) -> None:
        if self.is_loaded:
            return
        begin_unit(self)
        # Threads of one request may come here at once.
        with self._lock:
            if self.is_loaded:
                return
            try:
                self._found = self._load()
            except messages.SessionStoreError:
                self.is_away = True
                raise
            self._names = dict.fromkeys(self._found.texts if self._found else ())
            self.is_loaded = True

    @property
    def new(self) -> bool:  # type: ignore[override]  # an attribute, in Flask
        """Whether there is nothing in the store."""
        return self.found is None

    @property
    def modified(self) -> bool:
        """Whether there is anything to save."""
        return self.is_loaded and bool(self.rotates or self.changes())

    @modified.setter
    def modified(self, value: bool) -> None:
        # Nobody need say so: what was read is compared.
        self.accessed = True

    def was_dropped(self, name: str) -> bool:
        """Whether *name* was taken out in this request."""
        return name in self._dropped

    def before(self, name: str) -> t.Any:
        """What *name* was before this request; None if it was not there."""
        if name in self._fixed:
            return self._fixed[name]
        text = self.found.texts.get(name) if self.found else None
        value = None if text is None else _json.loads(text)
        if type(value) in _FIXED:
            self._fixed[name] = value
        return value

    def changes(self) -> dict[str, Change]:
        """What has changed so far, nested or not.

        :raises SessionValueError: it cannot be kept.
        """
        old = self.found.texts if self.found else {}
        changes: dict[str, Change] = {}
        for name, value in self._values.items():
            text = _text(name, value)
            if text != old.get(name):
                changes[name] = Change(old.get(name), text)
        for name in old:
            if name not in self._names:
                changes[name] = Change(old[name], None)
        return changes

    def texts(self) -> dict[str, str]:
        """All that is in it, as a store keeps it.

        :raises SessionValueError: something cannot be kept.
        """
        old = self.found.texts if self.found else {}
        live = self._values
        return {
            name: _text(name, live[name]) if name in live else old[name]
            for name in self._names
        }

    def __getitem__(self, name: str) -> t.Any:
        self._look()
        if name not in self._names:
            raise KeyError(name)
        if name in self._values:
            return self._values[name]
        value = self.before(name)
        if name not in self._fixed:
            self._values[name] = value
        return value

    def __setitem__(self, name: str, value: t.Any) -> None:
        self._look()
        # Here, where there is a line to name. A database takes no longer one.
        if not _is_name(name):
            raise messages.bad_name(name, _LONGEST_NAME)
        self._values[name] = value
        self._names[name] = None

    def __delitem__(self, name: str) -> None:
        self._look()
        del self._names[name]
        self._values.pop(name, None)
        self._dropped.add(name)

    def __iter__(self) -> c.Iterator[str]:
        self._look()
        return iter(list(self._names))

    def __len__(self) -> int:
        self._look()
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        self._look()
        return name in self._names

    # Flask's own is a dict. One of those would look empty to whoever reads it in C, as
    # `json.dumps` does, before it was asked for; so these are what is missing.
    def copy(self) -> dict[str, t.Any]:
        return dict(self)

    def __or__(self, other: c.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return {**self, **other}

    def _look(self) -> None:
        self.accessed = True
        self._ensure()

    def __repr__(self) -> str:
        # Without looking, and without what is in it: it may come into a log.
        return f"<{type(self).__name__}{'' if self.is_loaded else ', not looked into'}>"


def _is_name(name: object) -> bool:
    """Whether each database takes it."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        return False
    # The latter stand for half a character.
    return "\0" not in name and not any("\ud800" <= each <= "\udfff" for each in name)


def _text(name: str, value: object) -> str:
    try:
        return _json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise messages.not_json(name, value, error) from error
