"""Pictures are kept with their entries, or not at all."""

import re
from io import BytesIO

import pytest
from flask import Flask
from flask import Response
from flask import request
from werkzeug.test import TestResponse

from journal.tests.conftest import Visitor
from journal.tests.conftest import journal_of

pytestmark = pytest.mark.mongo

PNG = b"\x89PNG\r\n\x1a\n" + bytes(400_000)
GIF = b"GIF89a" + bytes(10)


def put(
    visitor: Visitor, place: str, content: bytes, name: str = "a.png"
) -> TestResponse:
    form = {"csrf_token": visitor.token(), "picture": (BytesIO(content), name)}
    return visitor.client.post(f"{place}/picture", data=form)


def pictures(app: Flask) -> list[str]:
    files = journal_of(app, "Tomasz").pictures
    chunks = files.chunks.distinct("files_id")
    assert set(chunks) == {file["_id"] for file in files.files.find()}
    return sorted(file["filename"] for file in files.files.find())


def test_a_picture_is_shown_with_its_entry(app: Flask, tomasz: Visitor) -> None:
    place = tomasz.write("x")
    assert "<img" not in tomasz.get(place).text

    # Larger than any form may be.
    assert put(tomasz, place, PNG).location == place

    found = re.search(r'<img src="([^"]+)"', tomasz.get(place).text)
    assert found
    answer = tomasz.get(found[1])
    assert answer.data == PNG
    assert answer.mimetype == "image/png"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    etag = {"If-None-Match": answer.headers["ETag"]}
    assert tomasz.client.get(found[1], headers=etag).status_code == 304


def test_another_picture_takes_its_place(app: Flask, tomasz: Visitor) -> None:
    place = tomasz.write("x")
    put(tomasz, place, PNG)
    put(tomasz, place, GIF, "b.gif")

    assert tomasz.get(f"{place}/picture").mimetype == "image/gif"
    assert pictures(app) == ["b.gif"]


def test_a_picture_goes_with_its_entry(app: Flask, tomasz: Visitor) -> None:
    place = tomasz.write("x")
    put(tomasz, place, PNG)
    tomasz.post(f"{place}/delete")

    assert pictures(app) == []


@pytest.mark.parametrize("content", [b"", b"<svg onload=alert(1)>", b"MZ"])
def test_what_is_no_picture_is_not_kept(
    app: Flask, tomasz: Visitor, content: bytes
) -> None:
    place = tomasz.write("x")
    answer = put(tomasz, place, content)

    assert answer.status_code == 422
    assert "no picture that we know" in answer.text
    assert pictures(app) == []


def test_a_picture_that_is_too_large_is_not_kept(app: Flask, tomasz: Visitor) -> None:
    app.config["MAX_PICTURE_LENGTH"] = 300_000
    place = tomasz.write("x")

    assert put(tomasz, place, PNG).status_code == 413
    assert pictures(app) == []


def test_a_picture_of_a_request_that_fails_is_gone(app: Flask) -> None:
    seen: list[list[str]] = []

    @app.after_request
    def refuse(response: Response) -> Response:
        if request.endpoint == "entries.add_picture":
            seen.append(pictures(app))
            response.status_code = 500
        return response

    tomasz = Visitor(app)
    tomasz.sign_in("tomasz")
    place = tomasz.write("x")

    assert put(tomasz, place, PNG).status_code == 500
    assert seen == [["a.png"]]
    assert pictures(app) == []
    assert "<img" not in tomasz.get(place).text


def test_pictures_are_theirs_alone(app: Flask, tomasz: Visitor, mina: Visitor) -> None:
    place = tomasz.write("x")
    put(tomasz, place, PNG)

    assert mina.get(f"{place}/picture").status_code == 404
    assert put(mina, place, GIF).status_code == 404
    assert pictures(app) == ["a.png"]
