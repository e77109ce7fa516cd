"""Documents in answers: what BSON has and JSON has not.

The JSON provider of the app is extended, not replaced: what it, or the user, knows how
to write stays as it is. Nothing is read back. A ``{"$oid": ...}`` that a client sends
stays a dictionary, as with anything else clients could say ``$where`` or ``$ne``.
"""

from __future__ import annotations

import base64
import collections.abc as c
import functools
import re
import typing as t
import weakref

import bson
from bson import json_util
from bson.binary import UUID_SUBTYPE
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidBSON

if t.TYPE_CHECKING:
    import flask

# What MongoDB's own notation is the shortest for.
_EXTENDED = (
    bson.Code,
    bson.DBRef,
    bson.MaxKey,
    bson.MinKey,
    bson.Regex,
    bson.Timestamp,
    re.Pattern,
)

Default: t.TypeAlias = c.Callable[[t.Any], t.Any]


class Extended:
    """What a JSON provider calls with what it cannot write; lives as long as that.

    :param before: what it has called so far. It has the first word.
    """

    def __init__(self, before: Default) -> None:
        self._before = before

    def __call__(self, value: t.Any) -> t.Any:
        """
        :raises TypeError: nobody knows how to write it.
        """
        try:
            return self._before(value)
        except TypeError:
            written = self._write(value)
            if written is None:
                raise
            return written

    def _write(self, value: object) -> t.Any:
        if isinstance(value, bson.ObjectId | bson.Decimal128):
            return str(value)
        if isinstance(value, bson.Binary) and value.subtype == UUID_SUBTYPE:
            return str(value.as_uuid())
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, DatetimeMS):
            return self._write_time(value)
        if isinstance(value, _EXTENDED):
            return json_util.default(value, json_util.RELAXED_JSON_OPTIONS)
        if isinstance(value, c.Mapping):  # such as a RawBSONDocument
            return dict(t.cast("c.Mapping[str, t.Any]", value))
        return None

    def _write_time(self, value: DatetimeMS) -> t.Any:
        try:
            return self._before(value.as_datetime())
        except (InvalidBSON, OverflowError, ValueError):
            # Of a year that Python does not know.
            return json_util.default(value, json_util.RELAXED_JSON_OPTIONS)


def extend_json(app: flask.Flask) -> None:
    """Let ``jsonify``, ``|tojson`` and the dictionaries that views return have in them
    what BSON has. ``ObjectId``, ``Decimal128`` and UUIDs become text, bytes base64,
    times what Flask makes of every ``datetime``, and what JSON has nothing like (a
    ``Regex``, a ``Timestamp``) Extended JSON.

    A provider without the method ``default`` is left alone.
    """
    provider: t.Any = app.json
    before = getattr(provider, "default", None)
    if not callable(before) or isinstance(before, Extended):
        return
    if getattr(before, "__self__", None) is provider:
        # Its method. It would hold itself, until a garbage collector comes by.
        method: t.Any = before
        before = functools.partial(method.__func__, weakref.proxy(provider))
    provider.default = Extended(t.cast("Default", before))
