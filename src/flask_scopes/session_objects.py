"""The objects that live with a visitor: found in the session of a request, made where
there are none, and put back when they have changed.

In a request they are part of its unit, so all that holds for request objects holds for
them: one for all who ask, gone when the work is finished. In the session each is text,
under a name of its own: any session interface can keep that, what has changed is found
by comparing, and nobody's idea of JSON comes between.
"""

from __future__ import annotations

import collections.abc as c
import logging
import typing as t

from . import session_messages
from .building import run_factory
from .errors import ArgumentsError
from .plain import Codec
from .plain import NotPlain
from .plain import OtherType
from .recipe import UNSET
from .recipe import Recipe
from .scope import Scope

if t.TYPE_CHECKING:
    from flask.sessions import SessionMixin

    from .building import Build
    from .recipe import Key
    from .unit import Unit

_log = logging.getLogger("flask_scopes")
_PREFIX: t.Final = "scopes:"


class SessionRecipe(Recipe):
    """How the objects of a session resource are made, and what sessions have them
    under.

    :param kind: called to know what the factory is annotated to return.
    """

    __slots__ = ("_codec", "_has_warned", "_kind", "label")

    def __init__(
        self,
        factory: c.Callable[..., object],
        owner: object,
        label: str,
        kind: c.Callable[[], object],
    ) -> None:
        super().__init__(Scope.SESSION, factory, owner)
        self.label = label
        self._kind = kind
        self._codec: Codec | None = None
        self._has_warned = False

    @property
    def codec(self) -> Codec:
        """Made at first use: the annotation may name what is defined later."""
        return self._codec or self.prepare()

    def prepare(self) -> Codec:
        """Look at the annotation.

        :raises SetupError: it names nothing that a session can keep.
        """
        try:
            self._codec = Codec(self._kind())
        except (NotPlain, NameError) as error:
            raise session_messages.bad_type(self, str(error)) from None
        return self._codec

    def name_in_session(self, key: Key) -> str:
        """What a session has the object of *key* under.

        :raises ArgumentsError: there are arguments that have no name.
        """
        if key == self._key_of_none():
            return _PREFIX + self.label
        arguments, *by_name = t.cast("tuple[object, ...]", key)[1:]
        if by_name:
            arguments = [arguments, by_name]
        try:
            return f"{_PREFIX}{self.label}{self.codec.text(arguments)}"
        except NotPlain as error:
            raise session_messages.bad_key(self, str(error)) from None

    def _key_of_none(self) -> Key | None:
        """The key of a call without arguments: what is left out has no name, so that it
        can be added later.
        """
        try:
            return self.key((), {})
        except ArgumentsError:
            return None

    def text(self, value: object) -> str:
        """*value*, as a session is to have it.

        :raises SessionValueError: it cannot be kept.
        """
        try:
            return self.codec.checked(value)
        except OtherType as error:
            raise session_messages.other_type(self, value, str(error)) from None
        except NotPlain as error:
            raise session_messages.not_plain(self, value, str(error)) from None

    def found(self, stored: object) -> object:
        """What *stored* stands for; :data:`UNSET` if it is of another shape, which is
        logged once: for all visitors it will mostly be the same.
        """
        reason = "it is no text"
        try:
            if isinstance(stored, str):
                return self.codec.value(stored)
        except Exception as error:
            # Also what a class of the user's raises as it is made.
            reason = str(error) or type(error).__name__
        if not self._has_warned:
            self._has_warned = True
            _log.warning(session_messages.old_shape(self, reason))
        return UNSET


class Held:
    """An object of a session, in one unit."""

    __slots__ = ("builds", "recipe", "text", "value")

    def __init__(
        self, recipe: SessionRecipe, build: Build, value: object, text: str
    ) -> None:
        self.recipe = recipe
        self.builds = [build]
        """For which calls: arguments that differ may have one name."""
        self.value = value
        self.text = text
        """What it was when it came from the session, or was put there last."""


def load(
    unit: Unit,
    session: SessionMixin,
    build: Build,
    args: tuple[t.Any, ...],
    kwargs: dict[str, t.Any],
) -> object:
    """Find the object of *build* in *session*, or make it and put it there."""
    recipe = t.cast("SessionRecipe", build.recipe)
    name = recipe.name_in_session(build.key)
    held = unit.held.get(name)
    if held is not None:
        # By other arguments of the same name, as 5 and UUID(int=5) may have.
        held.builds.append(build)
        unit.publish(build, held.value)
        return held.value
    stored: object = session.get(name)
    value = UNSET if stored is None else recipe.found(stored)
    if value is UNSET:
        value = run_factory(build, args, kwargs)
        put(unit, session, build, value)
        return value
    # (Not what was stored: a field that is new has its default now.)
    unit.held[name] = Held(recipe, build, value, recipe.codec.text(value))
    unit.publish(build, value)
    return value


def put(unit: Unit, session: SessionMixin, build: Build, value: object) -> None:
    """Let *value* be the object of *build*, here and in *session*.

    :raises SessionValueError: it cannot be kept.
    """
    recipe = t.cast("SessionRecipe", build.recipe)
    name, text = recipe.name_in_session(build.key), recipe.text(value)
    session[name] = text
    unit.held[name] = Held(recipe, build, value, text)
    unit.publish(build, value)


def drop(unit: Unit, session: SessionMixin, recipe: SessionRecipe, key: Key) -> None:
    """Let there be no object of *key*, neither here nor in *session*."""
    name = recipe.name_in_session(key)
    session.pop(name, None)
    unit.forget(name)


def keep(unit: Unit, session: SessionMixin) -> None:
    """Put what has changed in *unit* back into *session*.

    :raises SessionValueError: it has become something that cannot be kept.
    """
    for name, held in list(unit.held.items()):
        # What is no longer there was taken out by hand: by `session.clear()`.
        if name not in session or not _has_changed(held):
            continue
        session[name] = held.text = held.recipe.text(held.value)


def _has_changed(held: Held) -> bool:
    try:
        return held.recipe.codec.text(held.value) != held.text
    except NotPlain:
        return True
