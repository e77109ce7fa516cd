"""For views: ids in addresses, and documents that are there or a 404."""

from __future__ import annotations

import collections.abc as c
import typing as t

import bson
import flask
from werkzeug.routing import BaseConverter

from . import messages

if t.TYPE_CHECKING:
    from pymongo.collection import Collection

    T = t.TypeVar("T", bound=c.Mapping[str, t.Any])


class ObjectIdConverter(BaseConverter):
    """Matches the 24 hexadecimal digits of an ``ObjectId``; anything else in its place
    is a 404. It is the app's to give it a name, before its routes are made::

        app.url_map.converters["objectid"] = ObjectIdConverter

        @app.get("/posts/<objectid:id>")
        def show(id: ObjectId) -> str: ...
    """

    regex = "[0-9A-Fa-f]{24}"

    def to_python(self, value: str) -> bson.ObjectId:
        return bson.ObjectId(value)

    def to_url(self, value: t.Any) -> str:
        """
        :raises InvalidId: *value* is no id, nor the text of one.
        """
        return str(value if isinstance(value, bson.ObjectId) else bson.ObjectId(value))


def one_or_404(
    collection: Collection[T], wanted: t.Any, *args: t.Any, **kwargs: t.Any
) -> T:
    """The document that ``collection.find_one`` finds, with all that this takes.

    :param collection: any, wherever it comes from.
    :param wanted: its filter, or the id.
    :raises NotFound: there is none.
    :raises ArgumentsError: *wanted* is None, for which MongoDB has any document at all.
    """
    if wanted is None:
        raise messages.no_filter(collection.full_name)
    found = collection.find_one(wanted, *args, **kwargs)
    if found is None:
        flask.abort(404)
    return found
