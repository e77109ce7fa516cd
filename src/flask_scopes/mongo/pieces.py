"""The bytes of files in GridFS, one chunk at a time in both directions.

PyMongo's own ``gridfs`` collects 32 MB before it sends, and is sent 16 MB before it
gives any: as much for each upload and download that is under way. Here it is one chunk
(255 KB). What is stored is the same, after MongoDB's specification of GridFS.
"""

from __future__ import annotations

import collections.abc as c
import typing as t

from bson import Binary
from gridfs.errors import CorruptGridFile

if t.TYPE_CHECKING:
    from pymongo.collection import Collection

CHUNK: t.Final = 255 * 1024


class Readable(t.Protocol):
    """A binary file; one that is uploaded, for one."""

    def read(self, size: int = ..., /) -> bytes: ...


def ensure_indexes(grid: Collection[t.Any]) -> None:
    """Make the indexes that all drivers make before the first file of a bucket."""
    if grid.files.find_one({}, {"_id": 1}) is None:
        grid.files.create_index([("filename", 1), ("uploadDate", 1)])
        grid.chunks.create_index([("files_id", 1), ("n", 1)], unique=True)


def store(chunks: Collection[t.Any], file_id: object, file: Readable) -> int:
    """Write what *file* has, from where it stands.

    :return: its length in bytes.
    """
    number = length = 0
    while piece := _read(file):
        row = {"files_id": file_id, "n": number, "data": Binary(piece)}
        chunks.insert_one(row)
        number += 1
        length += len(piece)
    return length


def _read(file: Readable) -> bytes:
    """One chunk, unless the file ends. (A socket gives what has come so far.)"""
    piece = file.read(CHUNK)
    while 0 < len(piece) < CHUNK and (more := file.read(CHUNK - len(piece))):
        piece += more
    return piece


class Pieces:
    """What a file has, to be iterated over once; lives as long as a response.

    Each chunk is asked for by itself. A cursor would be dead when a slow client comes
    back for more.

    :param file: the document of the file.
    """

    def __init__(self, chunks: Collection[t.Any], file: c.Mapping[str, t.Any]) -> None:
        self._chunks = chunks
        self._id: object = file["_id"]
        self._length: int = file["length"]
        self._size: int = file["chunkSize"]
        self._position = 0

    def __iter__(self) -> c.Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """
        :raises CorruptGridFile: one is missing, or too short. It cuts the connection,
            so that no client takes what it got for the whole.
        """
        if self._position >= self._length:
            raise StopIteration
        number, skip = divmod(self._position, self._size)
        expected = min(self._size, self._length - number * self._size)
        chunk = self._chunks.find_one({"files_id": self._id, "n": number})
        if chunk is None or len(chunk["data"]) != expected:
            text = f"Chunk {number} of file {self._id} is not what it should be"
            raise CorruptGridFile(text)
        self._position += expected - skip
        return bytes(chunk["data"][skip:])

    # Werkzeug looks for these before it skips what is not asked for by reading it.

    def seekable(self) -> bool:
        return True

    def seek(self, position: int) -> None:
        self._position = position

    def tell(self) -> int:
        return self._position
