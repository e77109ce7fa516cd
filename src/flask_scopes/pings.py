"""Ask application objects whether they are well, each within a time limit."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import threading
import time
import typing as t

from .lookup import find
from .options import is_well
from .store import State

if t.TYPE_CHECKING:
    from flask import Flask

    from .application import Application
    from .recipe import Key
    from .recipe import Recipe


@dataclasses.dataclass(frozen=True, slots=True)
class Ping:
    """How one object is, or was when it was asked last."""

    name: str
    """Of its resource. Objects for other arguments have the same."""
    status: t.Literal["ok", "failed", "late", "unused"]
    """``late``: no answer within the time limit. ``unused``: nobody has asked for it
    yet, so there is nothing that could fail.
    """
    seconds: float | None = None
    """How long the answer took, or how long it has not come."""
    error: BaseException | None = None
    """What it raised, if it failed by an exception."""

    @property
    def is_well(self) -> bool:
        """Whether it does not stand in the way of serving."""
        return self.status in ("ok", "unused")


class Question:
    """One ping under way, in a thread of its own, which nothing can stop: as long as
    it has no answer, nobody asks again.
    """

    def __init__(self, app: Flask, recipe: Recipe, key: Key) -> None:
        self.recipe = recipe
        self.answer: Ping | None = None
        self.since = time.monotonic()
        self.done = threading.Event()
        name = f"ping {recipe.name}"
        threading.Thread(
            target=self._ask, args=(app, key), name=name, daemon=True
        ).start()

    def _ask(self, app: Flask, key: Key) -> None:
        args, kwargs = _arguments(self.recipe, key)
        ping = t.cast("c.Callable[[t.Any], object]", self.recipe.options.ping)
        try:
            with app.app_context():
                made = find(self.recipe, args, kwargs)
                # Not what it took to build it.
                self.since = time.monotonic()
                self._answer("ok" if is_well(ping, made) else "failed")
        except BaseException as error:
            self._answer("failed", error.with_traceback(None))
        finally:
            self.done.set()

    def _answer(
        self, status: t.Literal["ok", "failed"], error: BaseException | None = None
    ) -> None:
        self.answer = Ping(self.recipe.name, status, self._seconds(), error)

    def _seconds(self) -> float:
        return time.monotonic() - self.since

    def wait(self, until: float) -> Ping:
        """The answer, if it comes *until* then."""
        self.done.wait(max(until - time.monotonic(), 0))
        return self.answer or Ping(self.recipe.name, "late", self._seconds())


def ask(
    home: Application, recipes: c.Iterable[Recipe], timeout: float, build: bool
) -> list[Ping]:
    """Ask all at once what *recipes* have made.

    :param timeout: how many seconds each has to answer.
    :param build: also what nobody has used yet. What is eager is, anyway.
    """
    app = t.cast("Flask", home.app())
    until = time.monotonic() + timeout
    under_way: list[Question | Ping] = []
    for recipe in recipes:
        if recipe.options.ping is None:
            continue
        keys = _keys(home, recipe)
        if (
            not keys
            and recipe.signature is None
            and (build or recipe.options.eager or home.store().state is not State.OPEN)
        ):
            keys = [recipe]
        under_way += [_question(home, app, recipe, key) for key in keys] or [
            Ping(recipe.name, "unused")
        ]
    return [each if isinstance(each, Ping) else each.wait(until) for each in under_way]


def _keys(home: Application, recipe: Recipe) -> list[Key]:
    """What there is of *recipe*, or of what replaces it."""
    store = home.store()
    if recipe.replacements and recipe.signature is None:
        return [recipe]
    return [build.key for build in list(store.built) if build.recipe is recipe]


def _question(home: Application, app: Flask, recipe: Recipe, key: Key) -> Question:
    questions = home.store().questions
    question = questions.get(key)
    if question is None or question.done.is_set():
        question = questions[key] = Question(app, recipe, key)
    return question


def _arguments(
    recipe: Recipe, key: t.Any
) -> tuple[tuple[t.Any, ...], dict[str, t.Any]]:
    """Those that *key* was made of; see :meth:`Recipe.key`."""
    if key is recipe:
        return (), {}
    _, args, *named = key
    return args, dict(named)
