"""Files in GridFS, which are gone when the unit of work that saved them fails.

GridFS takes no part in transactions. So a file is saved at once, and is deleted again
if what it was saved for comes to nothing; and one that is to be deleted goes when the
unit has succeeded. Between the two, others may see a file that is not kept.
"""

from __future__ import annotations

import collections.abc as c
import contextlib
import datetime
import functools
import io
import logging
import mimetypes
import typing as t

import gridfs
from bson import ObjectId
from gridfs.errors import NoFile
from pymongo.errors import PyMongoError
from werkzeug.datastructures import FileStorage

from ..lookup import unit_in_progress
from . import pieces
from .transactions import UNKNOWN
from .transactions import plain
from .transactions import whatever_the_time

if t.TYPE_CHECKING:
    from pymongo.collection import Collection
    from pymongo.database import Database

BINARY: t.Final = "application/octet-stream"

_log = logging.getLogger("flask_scopes.mongo")


def save_file(
    database: Database[t.Any],
    filename: str,
    file: FileStorage | pieces.Readable | bytes,
    *,
    bucket: str = "fs",
    content_type: str | None = None,
    metadata: c.Mapping[str, t.Any] | None = None,
) -> ObjectId:
    """Store *file* in GridFS, a piece at a time, at once; and delete it if the unit of
    work that this is called in fails. If nobody knows whether that was committed, the
    file stays, and the log has its id.

    :param filename: what it is found by, and offered under; there may be several.
    :param bucket: the collections are this and ``.files``, this and ``.chunks``.
    :param content_type: by default, what *filename* ends like. (What a browser says of
        a file that it uploads proves nothing.)
    :param metadata: more to store with it.
    :return: its id.
    """
    file_id = ObjectId()
    stored = {
        "_id": file_id,
        "filename": filename,
        "chunkSize": pieces.CHUNK,
        "metadata": {
            **(metadata or {}),
            "contentType": content_type or mimetypes.guess_type(filename)[0] or BINARY,
        },
    }
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    if isinstance(source, FileStorage):
        source = source.stream
    with plain(database.client):
        try:
            _save(database[bucket], stored, source)
        except BaseException:
            _remove(database, bucket, file_id)
            raise
    unit = unit_in_progress()
    if unit is not None:
        unit.undo.append(functools.partial(_take_back, database, bucket, file_id))
    return file_id


def _save(
    grid: Collection[t.Any], stored: dict[str, t.Any], file: pieces.Readable
) -> None:
    pieces.ensure_indexes(grid)
    stored["length"] = pieces.store(grid.chunks, stored["_id"], file)
    stored["uploadDate"] = datetime.datetime.now(datetime.UTC)
    grid.files.insert_one(stored)


def _remove(database: Database[t.Any], bucket: str, file_id: ObjectId) -> None:
    """Leave nothing of a file that was not saved: not its document either, as that may
    be there although nobody has confirmed it.
    """
    try:
        _delete(database, bucket, file_id)
    except PyMongoError as error:
        text = "Something is left of file %s in %r, which is of no use: %s"
        _log.warning(text, file_id, bucket, type(error).__name__)


def delete_file(
    database: Database[t.Any], file_id: ObjectId, *, bucket: str = "fs"
) -> None:
    """Delete a file when the unit of work that this is called in has succeeded;
    outside of one, at once. That there is none is no error.
    """
    delete = functools.partial(_delete, database, bucket, file_id)
    unit = unit_in_progress()
    if unit is None:
        delete()
    else:
        unit.callbacks.append(delete)


def _delete(database: Database[t.Any], bucket: str, file_id: ObjectId) -> None:
    grid = gridfs.GridFSBucket(database, bucket)
    with contextlib.suppress(NoFile):
        whatever_the_time(functools.partial(grid.delete, file_id))


def _take_back(
    database: Database[t.Any], bucket: str, file_id: ObjectId, error: BaseException
) -> None:
    if not _in_doubt(error):
        _delete(database, bucket, file_id)
        return
    # A document without its file is worse than a file without its document.
    text = "Kept file %s of %r, as nobody knows whether its unit was committed"
    _log.warning(text, file_id, bucket)


def _in_doubt(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        group = t.cast("BaseExceptionGroup[BaseException]", error)
        return any(map(_in_doubt, group.exceptions))
    has_label = getattr(error, "has_error_label", None)
    return callable(has_label) and bool(has_label(UNKNOWN))
