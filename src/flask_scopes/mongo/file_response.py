"""Files of GridFS as answers: in parts, from caches, and a piece at a time."""

from __future__ import annotations

import collections.abc as c
import hashlib
import io
import mimetypes
import re
import typing as t

import bson
import flask

from .files import BINARY
from .pieces import Pieces
from .transactions import plain
from .views import one_or_404

if t.TYPE_CHECKING:
    from pymongo.database import Database

# What a browser may show: nothing that can run a script as this site. (SVG can.)
_SHOWN = re.compile(
    r"image/(avif|gif|jpeg|png|webp)|(audio|video)/[\w.+-]+|text/plain|application/pdf"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def send_file(
    database: Database[t.Any],
    file: bson.ObjectId | str,
    *,
    bucket: str = "fs",
    version: int = -1,
    download_name: str | None = None,
    as_attachment: bool | None = None,
    public: bool = False,
    max_age: int | None = None,
) -> flask.Response:
    """An answer with a file of GridFS, in the parts that are asked for. It is read
    while it is sent, after the unit of work and without the deadline of the request.

    :param file: its id, or its name.
    :param version: of those with one name: 0 is the first, -1 the last one.
    :param download_name: by default, its name.
    :param as_attachment: whether it is to be saved and not shown. By default all are
        but pictures, sounds, films, plain text and PDF. What is shown all the same is
        kept from running scripts.
    :param public: whether everybody may see it, so that any cache may keep it.
    :param max_age: for how many seconds a cache need not ask again; by default, it asks
        each time, and is told that it has the file already.
    :raises NotFound: there is none.
    """
    found = _found(database, bucket, file, version)
    kind = _type_of(found)
    shown = _SHOWN.fullmatch(kind) is not None
    if as_attachment is None:
        as_attachment = not shown
    name = download_name or found.get("filename") or str(found["_id"])
    # What it is about is Flask's; where it comes from, and for whom, is not.
    response = flask.send_file(
        io.BytesIO(),
        mimetype=kind,
        as_attachment=as_attachment,
        download_name=_CONTROL.sub("_", name),
        conditional=False,
        etag=_etag(found),
        last_modified=found["uploadDate"],
    )
    response.response = Pieces(database[bucket].chunks, found)
    response.content_length = found["length"]
    caches = "no-cache" if max_age is None else f"max-age={max_age}"
    whose = "public" if public else "private"
    response.headers["Cache-Control"] = f"{whose}, {caches}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if not (shown or as_attachment):
        response.headers["Content-Security-Policy"] = "sandbox"
    response.make_conditional(
        flask.request, accept_ranges=True, complete_length=found["length"]
    )
    return response


def _found(
    database: Database[t.Any], bucket: str, file: bson.ObjectId | str, version: int
) -> dict[str, t.Any]:
    files = database[bucket].files
    with plain(database.client):
        if not isinstance(file, str):
            return one_or_404(files, {"_id": file})
        back = version < 0
        return one_or_404(
            files,
            {"filename": file},
            sort=[("uploadDate", -1 if back else 1)],
            skip=-version - 1 if back else version,
        )


def _type_of(file: c.Mapping[str, t.Any]) -> str:
    metadata: c.Mapping[str, t.Any] = file.get("metadata") or {}
    # The second is where Flask-PyMongo puts it.
    told: str | None = metadata.get("contentType") or file.get("contentType")
    return told or mimetypes.guess_type(file.get("filename") or "")[0] or BINARY


def _etag(file: c.Mapping[str, t.Any]) -> str:
    """What is in a file of GridFS never changes; only an id that is not generated may
    be used again.
    """
    identity = bson.encode({"id": file["_id"], "at": file["uploadDate"]})
    return hashlib.sha256(identity).hexdigest()[:32]
