"""Writing, reading, changing and deleting, and keeping out of other people's."""

from collections.abc import Callable

import pytest
from flask import Flask

from journal.tests.conftest import Visitor
from journal.tests.conftest import journal_of

pytestmark = pytest.mark.mongo


def test_an_entry_is_written_and_read(tomasz: Visitor) -> None:
    place = tomasz.write("One.\r\n\r\nTwo & three.", title="Snow", mood="calm")

    page = tomasz.get(place).text
    assert "<h1>Snow</h1>" in page
    assert "<p>One.</p>" in page
    assert "<p>Two &amp; three.</p>" in page
    assert "calm" in page
    assert "Snow" in tomasz.get("/entries").text


def test_what_people_write_is_text_and_never_markup(tomasz: Visitor) -> None:
    place = tomasz.write("<script>1</script>", title="<i>")

    for path in (place, f"{place}/edit", f"{place}/delete", "/entries"):
        assert "<script>" not in tomasz.get(path).text
        assert "<i>" not in tomasz.get(path).text


def test_the_newest_entry_comes_first(tomasz: Visitor) -> None:
    tomasz.write("x", title="Earlier")
    tomasz.write("x", title="Later")

    page = tomasz.get("/entries").text
    assert page.index("Later") < page.index("Earlier") < page.index("First frost")


def test_an_entry_is_edited(tomasz: Visitor) -> None:
    place = tomasz.write("Before", title="Old", mood="blue")
    form = tomasz.get(f"{place}/edit").text
    assert "Before" in form
    assert 'value="Old"' in form
    assert 'value="blue" checked' in form

    answer = tomasz.post(f"{place}/edit", text="After", title="", mood="")

    assert answer.location == place
    assert "After" in tomasz.get(place).text
    assert "Before" not in tomasz.get(place).text


def test_an_entry_is_deleted_after_a_question(tomasz: Visitor) -> None:
    place = tomasz.write("Not for long")
    assert "Tear out this page?" in tomasz.get(f"{place}/delete").text
    assert tomasz.get(place).status_code == 200

    assert tomasz.post(f"{place}/delete").location == "/entries"
    assert tomasz.get(place).status_code == 404
    assert tomasz.post(f"{place}/delete").status_code == 404


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": "", "title": "Kept"}, "Write at least a word"),
        ({"text": " \r\n\t", "title": "Kept"}, "Write at least a word"),
        ({"title": "Kept"}, "Write at least a word"),
        ({"text": "x" * 20_001, "title": "Kept"}, "too long"),
        ({"text": "x", "title": "Kept" + "x" * 120}, "too long"),
        ({"text": "x", "title": "Kept", "mood": "hungry"}, "one of the moods"),
    ],
)
@pytest.mark.parametrize("verb", ["new", "edit"])
def test_an_entry_with_a_mistake_comes_back_filled_in(
    tomasz: Visitor, verb: str, fields: dict[str, str], message: str
) -> None:
    path = "/entries/new" if verb == "new" else f"{tomasz.write('Before')}/edit"
    answer = tomasz.post(path, **fields)

    assert answer.status_code == 422
    assert message in answer.text
    assert 'value="Kept' in answer.text
    assert "Kept" not in tomasz.get("/entries").text


@pytest.mark.parametrize("verb", ["", "/edit", "/delete"])
def test_entries_are_theirs_alone(tomasz: Visitor, mina: Visitor, verb: str) -> None:
    place = tomasz.write("Mine alone", title="Hands off")

    assert mina.get(place + verb).status_code == 404
    if verb:
        assert mina.post(place + verb, text="Hers now").status_code == 404

    assert "Mine alone" in tomasz.get(place).text
    assert "Hands off" not in mina.get("/entries?q=hands").text


@pytest.mark.parametrize("verb", ["", "/edit", "/delete"])
@pytest.mark.parametrize("entry_id", ["a" * 24, "nonsense", "A" * 24, "%00", "1"])
def test_an_id_that_is_nobodys_is_not_found(
    tomasz: Visitor, entry_id: str, verb: str
) -> None:
    answer = tomasz.get(f"/entries/{entry_id}{verb}")

    assert answer.status_code == 404
    assert "No such page" in answer.text
    if verb:
        assert tomasz.post(f"/entries/{entry_id}{verb}", text="x").status_code == 404


@pytest.mark.parametrize("verb", ["/new", f"/{'a' * 24}/edit", f"/{'a' * 24}/delete"])
def test_nothing_is_written_without_signing_in(visitor: Visitor, verb: str) -> None:
    answer = visitor.post(f"/entries{verb}", text="x")

    assert (answer.status_code, answer.location) == (302, "/")


@pytest.mark.parametrize("words", ["FROST", "kale had an", "f.*t", "(", "\0frost", ""])
def test_searching_takes_words_as_they_are(tomasz: Visitor, words: str) -> None:
    page = tomasz.client.get("/entries", query_string={"q": words})

    assert page.status_code == 200
    assert ("First frost" in page.text) is (words not in {"f.*t", "("})


def test_a_long_journal_has_pages(tomasz: Visitor) -> None:
    for number in range(18):  # and three are there already
        tomasz.write("x", title=f"Number {number}.")

    first, second = tomasz.get("/entries").text, tomasz.get("/entries?page=2").text
    assert first.count("<article>") == 20
    assert "Older" in first
    assert "Newer" not in first
    assert second.count("<article>") == 1
    assert "The old flat" in second
    assert "Older" not in second


@pytest.mark.parametrize("number", ["0", "-1", "x", "", "9" * 30])
def test_a_page_number_that_is_none_does_no_harm(tomasz: Visitor, number: str) -> None:
    assert tomasz.get(f"/entries?page={number}").status_code == 200


def test_each_error_has_a_page(tomasz: Visitor) -> None:
    for answer, status in (
        (tomasz.get("/nowhere"), 404),
        (tomasz.client.put("/entries"), 405),
        (tomasz.post("/entries"), 405),
        (tomasz.client.post("/entries/new", data={"text": "x" * 300_000}), 413),
    ):
        assert answer.status_code == status
        assert answer.mimetype == "text/html"
        assert "Back to the journal" in answer.text
        assert ("Allow" in answer.headers) is (status == 405)


def test_a_bug_has_a_page_too(make_app: Callable[..., Flask]) -> None:
    app = make_app(TESTING=False)

    @app.get("/bug")
    def bug() -> str:
        raise RuntimeError

    answer = Visitor(app).get("/bug")

    assert answer.status_code == 500
    assert "Something broke" in answer.text


def test_pages_are_not_kept_by_browsers_but_the_style_sheet_is(tomasz: Visitor) -> None:
    assert tomasz.get("/entries").headers["Cache-Control"] == "no-store"
    with tomasz.get("/static/journal.css") as sheet:
        assert sheet.status_code == 200
        assert "no-store" not in sheet.headers["Cache-Control"]


def test_the_journal_keeps_what_was_sent_and_no_more(
    app: Flask, tomasz: Visitor
) -> None:
    tomasz.write("x", owner="somebody else", written="yesterday", admin="1")

    row = journal_of(app, "Tomasz").entries.find_one({"text": "x"})
    assert row
    assert set(row) == {"_id", "title", "text", "mood", "written"}
    assert row["written"] != "yesterday"
