"""The session of a unit, with each bind."""

from __future__ import annotations

import collections.abc as c
import typing as t

from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from ..places import caller
from ..places import declared
from .parts import taking_part
from .parts import watch

if t.TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from ..extension import Scopes
    from ..resource import ByBind
    from ..resource import Resource


def session_resource(
    scopes: Scopes, engine: ByBind[Engine], given: sessionmaker[t.Any] | None
) -> ByBind[Session]:
    """The resource of the session of a unit, with each engine.

    :param given: how sessions are to be made.
    """
    # After the commit there is no session any more that would load what has expired.
    make = given or sessionmaker(expire_on_commit=False)
    watch(make)
    is_bound = bool(make.kw.get("bind") or make.kw.get("binds"))
    place = caller()

    def with_bind(bind: str) -> Resource[[], Session]:
        @scopes.request
        @declared(f"sql.session({bind!r})" if bind else "sql.session", place)
        def session_of() -> c.Iterator[Session]:
            keywords: dict[str, t.Any] = {"close_resets_only": False}
            if bind or not is_bound:
                keywords["bind"] = engine(bind)
            with make(**keywords) as session, taking_part(session):
                yield session

        return session_of

    # Each is a resource of its own: the error of a commit names it.
    known: dict[str, Resource[[], Session]] = {"": with_bind("")}

    @scopes.request
    @declared("sql.session", place)
    def session(bind: str = "") -> Session:
        if bind not in known:
            engine(bind)
            known.setdefault(bind, with_bind(bind))
        return known[bind]()

    return t.cast("ByBind[Session]", session)
