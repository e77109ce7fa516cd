"""Who holds an object that nobody should: by name and line, and without any value.

Nothing of anybody's runs for that: no ``repr``, ``==``, ``hash`` or ``__getattr__``.
The collector knows who refers to what; names are found in plain dictionaries, slots
and frames.
"""

from __future__ import annotations

import collections
import functools
import gc
import threading
import types
import typing as t

from ..places import is_ours
from ..places import short_path
from ..signals import type_name

HOLDERS: t.Final = 5
"""How many are told of one object."""
REFERRERS: t.Final = 2000
"""How many things are looked at for one object."""
_LEVELS: t.Final = 5

# By id, as a class may have its own opinion of what it equals.
_PLAIN: t.Final = {
    id(kind): word
    for kind, word in {
        collections.OrderedDict: "a dict",
        collections.defaultdict: "a dict",
        collections.deque: "a deque",
        dict: "a dict",
        frozenset: "a set",
        functools.partial: "a partial",
        list: "a list",
        set: "a set",
        tuple: "a tuple",
        types.CellType: "a cell",
        types.MethodType: "a method of it",
    }.items()
}
"""What is of interest only by what holds it in turn."""


class _Step:
    """Something that holds the object, perhaps by way of others."""

    __slots__ = ("below", "is_part", "name", "thing")

    def __init__(
        self, thing: object, below: _Step | None, name: str = "", is_part: bool = False
    ) -> None:
        self.thing = thing
        self.below = below
        """What it holds; None for the object itself."""
        self.name = name
        """Of that, if it is a dict."""
        self.is_part = is_part
        """Whether the object itself holds it."""

    def words(self) -> str:
        """What is between a holder of this and the object: ``a list in a dict``."""
        if self.below is None:
            return ""
        inner = self.below.words()
        own = _PLAIN[id(type(self.thing))]
        return f"{inner} in {own}" if inner else own


def holders_of(made: object) -> list[str]:
    """Who holds *made*: at most five, and those that it holds itself only if there
    are no others. (Code that runs is not found: its variables are nobody's.)
    """
    return _Search(made).run()


class _Search:
    """One search; lives for one call."""

    def __init__(self, made: object) -> None:
        self.steps = [_Step(made, None)]
        self.parts = _parts_of(made)
        self.left = REFERRERS
        self.found: dict[str, None] = {}
        self.parts_found: dict[str, None] = {}

    def run(self) -> list[str]:
        for _ in range(_LEVELS):
            if not self.steps or self.left <= 0 or len(self.found) >= HOLDERS:
                break
            self.steps = self._above()
        for step in self.steps:
            if step.below is not None:
                # Not by its key: that may be a value, in what is no global.
                self._say(step, step.words())
        return list(self.found or self.parts_found)[:HOLDERS]

    def _above(self) -> list[_Step]:
        """Tell of what holds the steps; return what is of interest only by what holds
        that.
        """
        by_id = {id(step.thing): step for step in self.steps}
        nowhere = dict(by_id)
        further: list[_Step] = []
        things = tuple(step.thing for step in self.steps)
        for referrer in gc.get_referrers(*things):
            if self.left <= 0:
                break
            if type(referrer) is _Step or type(referrer) is _Search:
                continue
            if referrer is things:
                continue
            self.left -= 1
            for part in {id(each) for each in gc.get_referents(referrer)} & {*by_id}:
                nowhere.pop(part, None)
                self._look(by_id[part], referrer, further)
        for step in nowhere.values():
            if step.below is not None:
                self._say(step, step.words())
        return further

    def _look(self, step: _Step, referrer: object, further: list[_Step]) -> None:
        is_part = step.is_part or id(referrer) in self.parts
        if id(type(referrer)) in _PLAIN:
            name = _name_in(referrer, step.thing)
            above = _Step(referrer, step, name, is_part)
            where = _module_of(referrer)
            if where:
                self._say(above, _that_is(step, f"global {name} of {where}"))
            else:
                further.append(above)
            return
        text = _described(step, referrer)
        if text:
            self._say(_Step(referrer, step, is_part=is_part), text)

    def _say(self, step: _Step, text: str) -> None:
        (self.parts_found if step.is_part else self.found)[text] = None


def _parts_of(made: object) -> set[int]:
    """What *made* holds itself, as far as was looked: by id."""
    found: set[int] = set()
    todo: list[object] = [made]
    for _ in range(3):
        below = [
            each
            for each in gc.get_referents(*todo)
            if not issubclass(type(each), type | types.ModuleType | types.FunctionType)
            and id(each) not in found
        ]
        todo = below[:REFERRERS]
        found.update(map(id, todo))
    return found - {id(made)}


def _that_is(step: _Step, what: str) -> str:
    words = step.words()
    return f"{words} that is {what}" if words else what


def _name_in(holder: object, thing: object) -> str:
    """The key of *thing* in *holder*, if that is a dict, and that a text."""
    if not issubclass(type(holder), dict):
        return ""
    # By that of a dict, as its class may have another.
    copy = dict[object, object].copy(t.cast("dict[object, object]", holder))
    for name, value in copy.items():
        if value is thing and type(name) is str:
            return name
    return ""


def _module_of(holder: object) -> str:
    """The module whose globals these are, if they are any."""
    if type(holder) is not dict or "__builtins__" not in holder:
        return ""
    values = t.cast("dict[str, object]", holder)
    name, file = values.get("__name__"), values.get("__file__")
    if type(name) is not str:
        return ""
    return f"{name} ({short_path(file)})" if type(file) is str else name


def _described(step: _Step, referrer: object) -> str:
    """What *referrer* is, and by which name it holds *step*; nothing, if it is ours or
    of no interest.
    """
    # By the type: to ask an object for its class may run code of somebody's.
    kind = type(referrer)
    if kind is types.FrameType:
        frame = t.cast("types.FrameType | None", referrer)
        return _in_frame(step, frame, "frame", ", which a traceback may keep")
    for suspended, attribute, what in _SUSPENDED:
        if kind is suspended:
            return _in_frame(step, getattr(referrer, attribute), what)
    if kind is types.FunctionType:
        return _in_function(step, t.cast("types.FunctionType", referrer))
    if issubclass(kind, type):
        owner = f"class {type_name(t.cast('type', referrer))}"
        below = step.below
        return _that_is(below, f"attribute {step.name!r} of {owner}") if below else ""
    if kind is _CACHE:
        function: object = t.cast("t.Any", referrer).__wrapped__
        return f"the cache of {_said_of(function)}"
    if kind is threading.local and step.below is not None:
        return _that_is(
            step.below.below or step.below,
            f"attribute {step.below.name!r} of a threading.local",
        )
    if kind.__module__ == "builtins" and kind.__name__.startswith("hamt"):
        return _that_is(step, "the value of a ContextVar")
    return _in_instance(step, referrer)


_CACHE: t.Final = type(functools.cache(lambda: None))
_SUSPENDED: t.Final = (
    (types.GeneratorType, "gi_frame", "suspended generator"),
    (types.CoroutineType, "cr_frame", "suspended coroutine"),
    (types.AsyncGeneratorType, "ag_frame", "suspended generator"),
)


def _in_frame(
    step: _Step, frame: types.FrameType | None, what: str, more: str = ""
) -> str:
    if frame is None or is_ours(frame.f_code.co_filename):
        return ""
    code = frame.f_code
    name = next(
        (name for name, value in frame.f_locals.items() if value is step.thing), ""
    )
    variable = f"local variable {name!r}" if name else "a value"
    where = f"{short_path(code.co_filename)}:{frame.f_lineno}"
    return _that_is(step, f"{variable} of the {what} {code.co_name}() at {where}{more}")


def _in_function(step: _Step, function: types.FunctionType) -> str:
    where = _said_of(function)
    thing, below = step.thing, step.below
    if thing is function.__closure__ and below is not None and below.below is not None:
        cells = t.cast("tuple[types.CellType, ...]", thing)
        index = next(n for n, cell in enumerate(cells) if cell is below.thing)
        variable = function.__code__.co_freevars[index]
        return _that_is(below.below, f"variable {variable!r} of the closure {where}")
    is_default = thing is function.__defaults__ or thing is function.__kwdefaults__
    if below is not None and is_default:
        return _that_is(below, f"a default argument of {where}")
    if below is not None and type(thing) is dict:
        return _that_is(below, f"attribute {step.name!r} of {where}")
    return _that_is(step, where)


def _said_of(function: object) -> str:
    if type(function) is not types.FunctionType:
        return f"an object of type {type_name(type(function))}"
    code = function.__code__
    return f"{code.co_name}() at {short_path(code.co_filename)}:{code.co_firstlineno}"


def _in_instance(step: _Step, owner: object) -> str:
    kind = type(owner)
    own = _attributes_of(owner)
    if own is step.thing and step.below is not None:
        return _that_is(step.below, f"attribute {step.name!r} of {type_name(kind)}")
    name = _name_in(own, step.thing) or _slot_in(owner, step.thing)
    if name:
        return _that_is(step, f"attribute {name!r} of {type_name(kind)}")
    if issubclass(kind, BaseException):
        below = step.below or step
        return _that_is(below, f"an argument of an exception, {type_name(kind)}")
    words = step.words()
    holder = f"an object of type {type_name(kind)}"
    return f"{words} in {holder}" if words else holder


def _attributes_of(owner: object) -> dict[str, object]:
    for kind in type(owner).__mro__:
        found: object = _namespace(kind).get("__dict__")
        if found is not None:
            # Python's own, and not a property of somebody's.
            if type(found) is types.GetSetDescriptorType:
                attributes: object = found.__get__(owner)
                if type(attributes) is dict:
                    return t.cast("dict[str, object]", attributes)
            break
    return {}


def _slot_in(owner: object, thing: object) -> str:
    for kind in type(owner).__mro__:
        for name, slot in list(_namespace(kind).items()):
            if type(slot) is types.MemberDescriptorType:
                try:
                    value = slot.__get__(owner)
                except (AttributeError, TypeError):
                    continue
                if value is thing:
                    return name
    return ""


def _namespace(kind: type) -> types.MappingProxyType[str, t.Any]:
    # Not by `vars`, in which a metaclass has a say.
    found: types.MappingProxyType[str, t.Any] = type.__dict__["__dict__"].__get__(kind)
    return found
