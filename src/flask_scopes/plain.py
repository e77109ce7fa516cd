"""Plain data of an annotated type, as JSON and back. The work is msgspec's.

Loaded with the first session resource, so that the core needs Flask alone.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

from .extras import brought_by

with brought_by("session", "msgspec", "@scopes.session works with msgspec"):
    import msgspec


_PART: t.Final = "a part of it is of another type than annotated"


class NotPlain(TypeError):
    """It cannot become JSON."""


class OtherType(NotPlain):
    """It can, and would not come back as it was: it is not as it is annotated."""


class Codec:
    """How values of one type become JSON and come back; lives as long as the resource
    that it is for.

    :param kind: what the factory is annotated to return.
    :raises NotPlain: no value of that type can be kept.
    """

    def __init__(self, kind: t.Any) -> None:
        odd = foreign_type(kind)
        if odd:
            raise NotPlain(odd)
        try:
            self._decoder = msgspec.json.Decoder[t.Any](kind)
        except TypeError as error:
            raise NotPlain(str(error)) from None

    def text(self, value: object) -> str:
        """*value* as JSON.

        :raises NotPlain: it cannot be.
        """
        try:
            return msgspec.json.encode(value).decode()
        except (TypeError, ValueError, RecursionError) as error:
            # (ValueError: text that is no Unicode.)
            raise NotPlain(str(error) or type(error).__name__) from None

    def checked(self, value: object) -> str:
        """The same, if it would come back as it is.

        :raises OtherType: it would not.
        :raises NotPlain: it cannot become JSON.
        """
        text = self.text(value)
        try:
            back = self._decoder.decode(text)
        except msgspec.ValidationError as error:
            raise OtherType(str(error)) from None
        if type(back) is not type(value):
            kinds = type(value).__name__, type(back).__name__
            raise OtherType("a {} would come back as a {}".format(*kinds))
        if _comparable(back) != _comparable(value):
            raise OtherType(_PART)
        return text

    def value(self, text: str) -> t.Any:
        """What :meth:`text` was made of.

        :raises ValueError: that was of another type.
        """
        return self._decoder.decode(text)


def _comparable(value: object) -> bytes:
    # Otherwise the members of a set come in any order.
    plain = msgspec.to_builtins(value, str_keys=True, order="deterministic")
    return msgspec.json.encode(plain)


def foreign_type(kind: t.Any) -> str:
    """The name of a type in *kind* that is no plain data; empty if there is none."""
    try:
        found = _foreign(msgspec.inspect.type_info(kind), set())
    except TypeError as error:
        return str(error)
    return getattr(found, "__name__", None) or (str(found) if found else "")


def _foreign(info: object, seen: set[type]) -> t.Any:
    if isinstance(info, msgspec.inspect.CustomType):
        return info.cls
    kind: type | None = getattr(info, "cls", None)
    if kind is not None:
        if kind in seen:
            # It refers to itself, as trees do.
            return None
        seen.add(kind)
        for attribute in getattr(kind, "__attrs_attrs__", ()):
            if attribute.name.startswith("_"):
                # msgspec leaves it out.
                return f"{kind.__name__}.{attribute.name}, which is private"
    for part in _parts(info):
        found = _foreign(part, seen)
        if found is not None:
            return found
    return None


def _parts(info: t.Any) -> c.Iterator[object]:
    """What *info* is made of."""
    for name in ("item_type", "key_type", "value_type"):
        if hasattr(info, name):
            yield getattr(info, name)
    for name in ("types", "item_types"):
        yield from getattr(info, name, ())
    for field in getattr(info, "fields", ()):
        yield field.type
