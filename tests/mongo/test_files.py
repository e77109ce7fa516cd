"""Files in GridFS: gone if their unit fails, sent in parts and a piece at a time."""

from __future__ import annotations

import collections.abc as c
import contextvars
import io
import logging
import threading
import tracemalloc
import typing as t

import bson
import flask
import gridfs
import pytest
from gridfs.errors import CorruptGridFile
from pymongo.errors import AutoReconnect
from pymongo.errors import WriteConcernError
from pymongo.write_concern import WriteConcern
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import ClientDisconnected

from flask_scopes.mongo import delete_file
from flask_scopes.mongo import save_file
from flask_scopes.mongo import send_file

from .apps import Shop

pytestmark = pytest.mark.mongo

MIB: t.Final = 2**20
CHUNK: t.Final = 255 * 1024


@pytest.fixture
def shop(mongo_uri: str) -> c.Iterator[Shop]:
    with Shop(mongo_uri) as shop:
        yield shop


def names(shop: Shop, bucket: str = "fs") -> list[t.Any]:
    """Of all files that there are; no chunk may be of any other."""
    grid = shop.outside[shop.name][bucket]

    def look() -> list[t.Any]:
        files = list(grid.files.find())
        chunks: list[t.Any] = grid.chunks.distinct("files_id")
        assert set(chunks) <= {file["_id"] for file in files}
        return sorted(file["filename"] for file in files)

    return contextvars.Context().run(look)


def save(
    shop: Shop, name: str = "a.txt", file: t.Any = b"text", **more: t.Any
) -> t.Any:
    return save_file(shop.database(), name, file, **more)


# ---- Saved -------------------------------------------------------------------


@pytest.mark.parametrize(
    "file", [b"text", io.BytesIO(b"text"), FileStorage(io.BytesIO(b"text"))]
)
def test_what_is_saved_is_what_was_given(shop: Shop, file: t.Any) -> None:
    with shop.app.app_context():
        file_id = save(shop, "a.png", file, metadata={"of": "ann"})
        grid = gridfs.GridFSBucket(shop.database())
        found = grid.open_download_stream(file_id)

    assert isinstance(file_id, bson.ObjectId)
    assert found.read() == b"text"
    assert found.filename == "a.png"
    assert found.metadata == {"of": "ann", "contentType": "image/png"}


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("a.png", None, "image/png"),
        ("a.png", "text/css", "text/css"),
        ("a", None, "application/octet-stream"),
    ],
)
def test_its_type_is_by_its_name_unless_it_is_said(
    shop: Shop, name: str, given: str | None, stored: str
) -> None:
    with shop.app.app_context():
        # What a browser says proves nothing.
        file = FileStorage(io.BytesIO(b""), content_type="text/html")
        save(shop, name, file, content_type=given)

    (row,) = shop.outside[shop.name].fs.files.find()
    assert row["metadata"]["contentType"] == stored


def test_what_comes_in_drops_is_stored_in_whole_chunks(shop: Shop) -> None:
    class Drops(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 10_000))

    with shop.app.app_context():
        file_id = save(shop, file=Drops(CONTENT))

    grid = gridfs.GridFSBucket(shop.outside[shop.name])
    assert grid.open_download_stream(file_id).read() == CONTENT
    assert shop.outside[shop.name].fs.chunks.count_documents({}) == 3


def test_buckets_are_kept_apart(shop: Shop) -> None:
    with shop.app.app_context():
        file_id = save(shop, bucket="photos")
    assert names(shop) == []
    assert names(shop, "photos") == ["a.txt"]
    with shop.app.app_context():
        delete_file(shop.database(), file_id, bucket="photos")
    assert names(shop, "photos") == []


# ---- Gone if the unit fails ----------------------------------------------------


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize("way", ["status", "raised", "commit", "ok"])
def test_a_file_is_gone_when_its_unit_fails(
    shop: Shop, transactional: bool, way: str
) -> None:
    @shop.scopes.request
    def unit() -> c.Iterator[str]:
        yield "unit"
        if way == "commit":
            raise LookupError

    def view() -> t.Any:
        if transactional:
            shop.database().orders.insert_one({"_id": 1})
        file_id = save(shop)
        if transactional:
            shop.database().orders.insert_one({"_id": 2, "file": file_id})
        unit()
        assert names(shop) == ["a.txt"]
        if way == "raised":
            raise ZeroDivisionError
        return "done", 400 if way == "status" else 200

    shop.view(view, *([shop.mongo.transactional] if transactional else []))
    shop.post()

    assert names(shop) == (["a.txt"] if way == "ok" else [])
    assert shop.rows() == ([1, 2] if way == "ok" and transactional else [])


def test_each_unit_answers_for_its_own(shop: Shop) -> None:
    def view() -> t.Any:
        save(shop, "outer")
        with shop.scopes.unit():
            save(shop, "kept")
        with pytest.raises(ZeroDivisionError), shop.scopes.unit():
            save(shop, "gone")
            raise ZeroDivisionError
        assert names(shop) == ["kept", "outer"]
        return "no", 409

    shop.view(view)
    shop.post()

    assert names(shop) == ["kept"]


def test_a_file_saved_in_each_attempt_is_one_file(shop: Shop) -> None:
    attempts: list[int] = []

    def view() -> str:
        attempts.append(1)
        save(shop, f"attempt {len(attempts)}")
        if len(attempts) < 3:
            raise LookupError
        return "done"

    shop.view(view, shop.scopes.retry(3, on=(LookupError,)))

    assert shop.post().status_code == 200
    assert names(shop) == ["attempt 3"]


def test_it_is_taken_back_although_the_time_of_the_request_is_up(shop: Shop) -> None:
    shop.app.config["MONGO_REQUEST_TIMEOUT"] = 0.5
    shop.outside[shop.name].orders.insert_one({})
    shop.connect()

    def view() -> str:
        save(shop)
        return str(shop.database().orders.find_one({"$where": "sleep(2000)"}))

    shop.view(view)

    assert shop.post().status_code == 504
    assert names(shop) == []


def test_a_file_is_kept_if_nobody_knows_what_became_of_its_unit(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    saved: list[object] = []

    @shop.scopes.request
    def unit() -> c.Iterator[str]:
        yield "unit"
        error: t.Any = AutoReconnect("x")
        error._add_error_label("UnknownTransactionCommitResult")
        raise error

    def view() -> str:
        saved.append(save(shop, "secret name"))
        return unit()

    shop.view(view)

    assert shop.post().status_code == 504
    assert names(shop) == ["secret name"]
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert str(saved[0]) in record.getMessage()
    assert "secret" not in record.getMessage()


def test_outside_of_a_unit_it_is_just_saved(shop: Shop) -> None:
    with shop.app.app_context():
        database = shop.database()

    file_id = save_file(database, "a.txt", b"text")
    assert names(shop) == ["a.txt"]
    delete_file(database, file_id)
    delete_file(database, file_id)
    assert names(shop) == []


def test_an_upload_that_breaks_off_leaves_nothing(shop: Shop) -> None:
    class Breaks(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > MIB:
                raise ClientDisconnected
            return super().read(size)

    shop.view(lambda: str(save(shop, file=Breaks(bytes(2 * MIB)))))

    assert shop.post().status_code == 400
    assert names(shop) == []


def test_an_upload_that_is_too_large_leaves_nothing(shop: Shop) -> None:
    shop.app.config["MAX_CONTENT_LENGTH"] = MIB
    shop.view(lambda: str(save(shop, file=flask.request.stream)))

    # Of unknown length, so that it is only found out on the way.
    answer = shop.app.test_client().post(
        "/",
        input_stream=io.BytesIO(bytes(2 * MIB)),
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert answer.status_code == 413
    assert names(shop) == []


def test_a_file_that_nobody_has_confirmed_is_not_left_half(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with shop.app.app_context():
        save(shop, "first")
        # There is one server only: it writes, and says that the second has not.
        strict = WriteConcern(w=2, wtimeout=50)
        database = shop.database().with_options(write_concern=strict)
        with pytest.raises(WriteConcernError):
            save_file(database, "secret name", b"")

    assert names(shop) == ["first"]
    (record,) = caplog.records
    assert "Something is left of file" in record.getMessage()
    assert "secret" not in record.getMessage()


# ---- Deleted -----------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 409])
def test_a_file_is_deleted_when_the_unit_has_succeeded(shop: Shop, status: int) -> None:
    with shop.app.app_context():
        file_id = save(shop)

    def view() -> t.Any:
        delete_file(shop.database(), file_id)
        assert names(shop) == ["a.txt"]
        return "done", status

    shop.view(view, shop.mongo.transactional)
    shop.post()

    assert names(shop) == ([] if status == 200 else ["a.txt"])


def test_that_there_is_none_to_delete_is_no_error(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    def view() -> str:
        delete_file(shop.database(), bson.ObjectId())
        return "done"

    shop.view(view)

    assert shop.post().status_code == 200
    assert caplog.records == []


# ---- Sent ----------------------------------------------------------------------

CONTENT = bytes(n % 251 for n in range(2 * CHUNK + 1000))


@pytest.fixture
def sent(shop: Shop) -> c.Callable[..., t.Any]:
    """Save a file, and ask for it."""

    def make(name: str = "a.png", file: bytes = CONTENT, **options: t.Any) -> t.Any:
        with shop.app.app_context():
            file_id = save(shop, name, file)
        shop.view(lambda: send_file(shop.database(), file_id, **options))
        return shop.app.test_client()

    return make


def test_a_file_is_sent_whole(sent: c.Callable[..., t.Any]) -> None:
    answer = sent().get("/")

    assert answer.status_code == 200
    assert answer.data == CONTENT
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == "inline; filename=a.png"
    assert "Expires" not in answer.headers
    assert answer.last_modified is not None
    assert answer.get_etag()[1] is False


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("0-0", slice(0, 1)),
        ("10-99", slice(10, 100)),
        (f"{CHUNK - 1}-{CHUNK}", slice(CHUNK - 1, CHUNK + 1)),
        (f"{CHUNK}-", slice(CHUNK, None)),
        (f"5-{2 * CHUNK + 5}", slice(5, 2 * CHUNK + 6)),
        ("-7", slice(-7, None)),
        (f"{2 * CHUNK}-99999999", slice(2 * CHUNK, None)),
    ],
)
def test_a_part_of_it_is_sent(
    sent: c.Callable[..., t.Any], asked: str, expected: slice
) -> None:
    answer = sent().get("/", headers={"Range": f"bytes={asked}"})

    assert answer.status_code == 206
    assert answer.data == CONTENT[expected]
    start, stop, _ = expected.indices(len(CONTENT))
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"
    assert answer.headers["Content-Length"] == str(stop - start)


def test_only_the_chunks_that_are_asked_for_are_read(
    shop: Shop, sent: c.Callable[..., t.Any]
) -> None:
    client = sent(file=bytes(20 * CHUNK))
    with shop.app.app_context():
        shop.mongo.client()
        before = shop.mongo.stats().commands
        client.get("/", headers={"Range": "bytes=-10"}).get_data()
        # The file, and one chunk.
        assert shop.mongo.stats().commands - before == 2
        client.head("/")
        assert shop.mongo.stats().commands - before == 3


def test_a_part_that_there_is_not_is_refused(sent: c.Callable[..., t.Any]) -> None:
    answer = sent().get("/", headers={"Range": f"bytes={len(CONTENT)}-"})

    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


def test_who_has_it_already_is_told_so(sent: c.Callable[..., t.Any]) -> None:
    client = sent()
    first = client.get("/")
    for header, value in (
        ("If-None-Match", first.headers["ETag"]),
        ("If-Modified-Since", first.headers["Last-Modified"]),
    ):
        answer = client.get("/", headers={header: value})
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == first.headers["ETag"]
    assert client.get("/", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_part_of_another_version_is_not_mixed_in(
    sent: c.Callable[..., t.Any],
) -> None:
    client = sent()
    etag = client.get("/").headers["ETag"]
    part = {"Range": "bytes=0-9"}

    assert client.get("/", headers={**part, "If-Range": etag}).status_code == 206
    answer = client.get("/", headers={**part, "If-Range": '"other"'})
    assert (answer.status_code, len(answer.data)) == (200, len(CONTENT))


def test_only_the_head_of_it_is_sent(sent: c.Callable[..., t.Any]) -> None:
    answer = sent().head("/")

    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK])
def test_files_of_all_sizes_are_sent(sent: c.Callable[..., t.Any], size: int) -> None:
    answer = sent(file=bytes(size)).get("/")

    assert answer.data == bytes(size)
    assert answer.headers["Content-Length"] == str(size)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *[(f"a.{each}", "inline") for each in ("gif", "jpg", "webp", "avif", "pdf")],
        *[(f"a.{each}", "inline") for each in ("txt", "mp3", "mp4")],
        *[
            (f"a.{each}", "attachment")
            for each in ("html", "svg", "xml", "js", "xhtml")
        ],
        *[("a", "attachment"), ("a.png.html", "attachment")],
    ],
)
def test_only_what_cannot_run_a_script_is_shown(
    sent: c.Callable[..., t.Any], name: str, how: str
) -> None:
    answer = sent(name).get("/")

    assert answer.headers["Content-Disposition"].split(";")[0] == how
    assert "Content-Security-Policy" not in answer.headers


def test_what_is_shown_all_the_same_can_run_none(sent: c.Callable[..., t.Any]) -> None:
    answer = sent("a.html", as_attachment=False).get("/")

    assert answer.headers["Content-Disposition"].startswith("inline")
    assert answer.headers["Content-Security-Policy"] == "sandbox"


def test_a_picture_can_be_an_attachment(sent: c.Callable[..., t.Any]) -> None:
    answer = sent(as_attachment=True, download_name="b.png").get("/")

    assert answer.headers["Content-Disposition"] == "attachment; filename=b.png"


@pytest.mark.parametrize(
    "name",
    ['a"b.png', "a\r\nSet-Cookie: x=1.png", "ä€.png", "", "a\0b", "../../etc/passwd"],
)
def test_a_name_cannot_be_more_than_a_name(
    sent: c.Callable[..., t.Any], name: str
) -> None:
    answer = sent(name).get("/")

    assert answer.status_code == 200
    assert answer.data == CONTENT
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"public": True}, "public, no-cache"),
        ({"public": True, "max_age": 60}, "public, max-age=60"),
        ({"max_age": 0}, "private, max-age=0"),
    ],
)
def test_caches_keep_what_they_may(
    sent: c.Callable[..., t.Any], options: dict[str, t.Any], expected: str
) -> None:
    answer = sent(**options).get("/")

    assert answer.headers["Cache-Control"] == expected


def test_none_is_a_404(shop: Shop) -> None:
    def view() -> flask.Response:
        name = flask.request.args.get("name")
        return send_file(shop.database(), name or bson.ObjectId())

    shop.view(view)

    assert shop.app.test_client().get("/").status_code == 404
    assert shop.app.test_client().get("/?name=none").status_code == 404


def test_a_file_is_found_by_its_name_and_version(shop: Shop) -> None:
    with shop.app.app_context():
        for text in (b"first", b"second", b"third"):
            save(shop, "a.txt", text)

    def view() -> flask.Response:
        version = flask.request.args.get("version", -1, int)
        return send_file(shop.database(), "a.txt", version=version)

    shop.view(view)
    client = shop.app.test_client()

    assert client.get("/").data == b"third"
    assert client.get("/?version=0").data == b"first"
    assert client.get("/?version=-2").data == b"second"
    assert client.get("/?version=3").status_code == 404
    etags = {client.get(f"/?version={n}").headers["ETag"] for n in range(3)}
    assert len(etags) == 3


def test_files_of_other_programs_are_sent(shop: Shop) -> None:
    # As Flask-PyMongo has saved them.
    files = gridfs.GridFS(shop.outside[shop.name])
    files.put(b"text", filename="a.bin", content_type="text/plain")
    own: t.Any = {"any": "id"}
    files.put(b"text", _id=own, content_type="image/png", chunkSize=2)

    def view() -> flask.Response:
        return send_file(shop.database(), own if flask.request.args else "a.bin")

    shop.view(view)

    answer = shop.app.test_client().get("/")
    assert answer.data == b"text"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    answer = shop.app.test_client().get("/?own=1", headers={"Range": "bytes=1-2"})
    assert answer.data == b"ex"


def test_it_is_sent_from_a_view_in_a_transaction(
    shop: Shop, sent: c.Callable[..., t.Any]
) -> None:
    with shop.app.app_context():
        file_id = save(shop, "a.png", CONTENT)

    def view() -> flask.Response:
        shop.database().orders.insert_one({"_id": 1})
        return send_file(shop.database(), file_id)

    shop.view(view, shop.mongo.transactional)

    assert shop.post().data == CONTENT
    assert shop.rows() == [1]


def test_a_transaction_sees_the_file_that_was_saved_meanwhile(shop: Shop) -> None:
    def view() -> flask.Response:
        shop.database().orders.insert_one({"_id": 1})
        return send_file(shop.database(), save(shop))

    shop.view(view, shop.mongo.transactional)

    assert shop.post().data == b"text"


def test_what_is_broken_is_not_taken_for_the_whole(
    shop: Shop, sent: c.Callable[..., t.Any]
) -> None:
    client = sent()
    chunks = shop.outside[shop.name].fs.chunks
    chunks.update_one({"n": 1}, {"$set": {"data": b"short"}})
    with pytest.raises(CorruptGridFile):
        client.get("/").get_data()
    chunks.delete_one({"n": 1})
    with pytest.raises(CorruptGridFile):
        client.get("/").get_data()


def test_parts_are_sent_to_many_at_once(sent: c.Callable[..., t.Any]) -> None:
    client = sent()
    wrong: list[int] = []

    def ask(number: int) -> None:
        for start in range(number, len(CONTENT), 50_000):
            part = {"Range": f"bytes={start}-{start + 999}"}
            answer = client.application.test_client().get("/", headers=part)
            if answer.data != CONTENT[start : start + 1000]:
                wrong.append(start)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert wrong == []


class Zeros(io.RawIOBase):
    """A large file that takes no room."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1, /) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


def test_what_is_stored_is_what_all_drivers_store(shop: Shop) -> None:
    with shop.app.app_context():
        ours = save(shop, "a.png", CONTENT)
        theirs = gridfs.GridFSBucket(shop.database(), "theirs").upload_from_stream(
            "a.png", CONTENT, metadata={"contentType": "image/png"}
        )
    database = shop.outside[shop.name]

    def stored(bucket: str, file_id: bson.ObjectId) -> list[t.Any]:
        file = database[bucket].files.find_one(file_id)
        assert file
        del file["_id"]
        # Of type "date", to the millisecond.
        file["uploadDate"] = type(file["uploadDate"])
        chunks = list(database[bucket].chunks.find({"files_id": file_id}).sort("n"))
        pieces = [(chunk["n"], chunk["data"]) for chunk in chunks]
        kinds = [list(each.index_information()) for each in (database[bucket].files,)]
        unique = database[bucket].chunks.index_information()["files_id_1_n_1"]["unique"]
        return [dict(sorted(file.items())), pieces, kinds, unique]

    assert stored("fs", ours) == stored("theirs", theirs)
    found = gridfs.GridFSBucket(database).open_download_stream(ours)
    assert found.read() == CONTENT


def test_a_large_file_takes_no_more_room_than_a_small_one(shop: Shop) -> None:
    size = 24 * MIB
    saved: list[bson.ObjectId] = []

    def view() -> t.Any:
        if not saved:
            saved.append(save(shop, file=Zeros(size)))
            return "saved"
        return send_file(shop.database(), saved[0])

    shop.view(view)
    client = shop.app.test_client()
    tracemalloc.start()
    try:
        client.get("/")
        answer = client.get("/", buffered=False)
        total = sum(len(piece) for piece in answer.iter_encoded())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        answer.close()

    assert total == size
    assert peak < 4 * MIB
