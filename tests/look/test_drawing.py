"""Pictures as numbers: where each bar and each box goes."""

from __future__ import annotations

import collections.abc as c
import dataclasses
import pathlib
import re
import typing as t

import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from flask_scopes import Scopes
from flask_scopes.graph import Graph
from flask_scopes.inspector import drawing
from flask_scopes.inspector import graph_drawing
from flask_scopes.inspector import graph_layout
from flask_scopes.inspector import verdict
from flask_scopes.inspector.axis import duration
from flask_scopes.recording.record import Row
from flask_scopes.recording.record import Spot
from flask_scopes.recording.record import Use
from flask_scopes.recording.record import Work
from flask_scopes.recording.works import begin

STYLE = pathlib.Path(drawing.__file__).parent / "static" / "inspector.css"


def row(number: int, name: str = "", **details: t.Any) -> Row:
    given = {
        "scope": "request",
        "place": "shop.py:1",
        "has_teardown": True,
        "is_replaced": False,
        "before": False,
        "started": 0.0,
    }
    return Row(number=number, name=name or f"row_{number}", **{**given, **details})


def work(*rows: Row, **details: t.Any) -> Work:
    made = begin("request", "GET /")
    made.rows += rows
    for name, value in details.items():
        setattr(made, name, value)
    return made


def kinds(line: drawing.Line) -> list[str]:
    return [bar.kind for bar in line.bars]


# ---- The timeline ------------------------------------------------------------


def test_a_life_is_drawn_from_the_factory_to_the_end_of_the_teardown() -> None:
    one = row(1, started=0.01, ready=0.02, closing=0.08, closed=0.09)
    (line,) = drawing.draw(work(one, ended=0.1)).lines
    assert [(bar.kind, bar.x, bar.width) for bar in line.bars] == [
        ("build", 10, 10),
        ("alive", 20, 60),
        ("close", 80, 10),
    ]
    assert not line.lives_on


def test_what_was_there_before_begins_at_the_edge_and_has_no_end() -> None:
    one = row(1, scope="application", before=True, started=0.05, ready=0.05)
    (line,) = drawing.draw(work(one, ended=0.1)).lines
    assert [(bar.kind, bar.x, bar.width) for bar in line.bars] == [("alive", 0, 100)]
    assert line.lives_on


def test_without_a_teardown_there_is_nothing_to_tear_down() -> None:
    one = row(1, has_teardown=False, ready=0.02, closing=0.08, closed=0.09)
    (line,) = drawing.draw(work(one, ended=0.1)).lines
    assert kinds(line) == ["build", "alive"]
    assert line.bars[-1].x + line.bars[-1].width == 90


def test_what_fails_is_marked_where_it_failed() -> None:
    built = row(1, closed=0.05, failure="LookupError", failed_in="build")
    torn = row(2, ready=0.02, closing=0.06, closed=0.08, failure="OSError")
    lines = drawing.draw(work(built, torn, ended=0.1)).lines
    marks = {line.row.number: line.failed_at for line in lines}
    assert marks == {1: 50, 2: 80}
    assert kinds(next(line for line in lines if line.row is built)) == ["build"]


def test_what_is_being_built_reaches_until_now() -> None:
    (line,) = drawing.draw(work(row(1, started=0.1)), now=0.4).lines
    assert [(bar.kind, bar.x, bar.width) for bar in line.bars] == [("build", 25, 75)]
    assert not line.lives_on


def test_rows_stand_in_the_order_in_which_they_became_ready() -> None:
    outer = row(1, "repository", started=0.01, ready=0.05)
    inner = row(2, "unit_of_work", started=0.02, ready=0.04)
    before = row(3, "settings", before=True, started=0.06, ready=0.06)
    running = row(4, "slow", started=0.0)
    names = [each.name for each in drawing.in_order([outer, inner, before, running])]
    assert names == ["settings", "unit_of_work", "repository", "slow"]


def test_the_time_in_which_nothing_has_left_is_shaded() -> None:
    seen = drawing.draw(work(finishing=0.5, finished=0.7, answered=0.8, ended=1.0))
    assert seen.wait is not None
    assert (seen.wait.x, seen.wait.width) == (50, 30)
    assert [(mark.x, mark.label) for mark in seen.moments] == [
        (50, "view over, nothing sent"),
        (80, "the response begins to leave"),
        (100, "all of it was sent"),
    ]


def test_a_command_has_no_view_and_no_response() -> None:
    seen = drawing.draw(work(kind="command", finishing=0.5, finished=1.0))
    assert seen.wait is not None
    assert (seen.wait.x, seen.wait.width) == (50, 50)
    assert [mark.label for mark in seen.moments] == ["the work is done"]


def test_what_is_closed_after_the_answer_is_drawn_there() -> None:
    one = row(1, scope="until sent", ready=0.2, closing=0.8, closed=0.9)
    seen = drawing.draw(work(one, finishing=0.3, answered=0.4, ended=1.0))
    assert seen.lines[0].bars[-1] == drawing.Bar(
        "close", 80, 10, "tearing down 100 ms, from 800 ms on"
    )


def test_uses_that_would_make_a_blot_are_one_mark() -> None:
    uses = [Use(at, "", Spot("", 0)) for at in (0.5, 0.5001, 0.5002, 0.9)]
    (line,) = drawing.draw(work(row(1, ready=0.1, uses=uses), ended=1.0)).lines
    assert line.uses == [50, 90]


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.00005, ["0 ms", "0.01 ms", "0.02 ms", "0.03 ms", "0.04 ms", "0.05 ms"]),
        (0.06, ["0 ms", "10 ms", "20 ms", "30 ms", "40 ms", "50 ms", "60 ms"]),
        (2.2, ["0 s", "0.5 s", "1 s", "1.5 s", "2 s"]),
        (300, ["0 min", "1 min", "2 min", "3 min", "4 min", "5 min"]),
        (40000, ["0 min", "120 min", "240 min", "360 min", "480 min", "600 min"]),
    ],
)
def test_an_axis_has_round_steps(seconds: float, labels: list[str]) -> None:
    assert [mark.label for mark in drawing.ticks(seconds)] == labels


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 ms"),
        (0.00005, "0.05 ms"),
        (0.0058, "5.8 ms"),
        (0.0999, "99.9 ms"),
        (0.118, "118 ms"),
        (0.9999, "1.0 s"),
        (4.1, "4.1 s"),
        (300, "5 min"),
        (302.2, "5 min 2 s"),
    ],
)
def test_times_are_told_in_few_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


moments = st.none() | st.floats(-0.001, 400)


@st.composite
def any_row(draw: st.DrawFn) -> Row:
    return row(
        draw(st.integers(1, 200)),
        before=draw(st.booleans()),
        has_teardown=draw(st.booleans()),
        started=draw(st.floats(-0.001, 400)),
        ready=draw(moments),
        closing=draw(moments),
        closed=draw(moments),
        failure=draw(st.sampled_from(["", "OSError"])),
        uses=[Use(at, "", Spot("", 0)) for at in draw(st.lists(st.floats(0, 400)))],
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(any_row(), max_size=8), moments, moments, moments, moments, st.booleans()
)
def test_whatever_happened_is_drawn_on_the_canvas(
    rows: list[Row],
    finishing: float | None,
    answered: float | None,
    ended: float | None,
    now: float | None,
    is_request: bool,
) -> None:
    made = work(*rows, finishing=finishing, answered=answered, ended=ended)
    made.kind = "request" if is_request else "unit"
    seen = drawing.draw(made, now)
    assert sorted(id(line.row) for line in seen.lines) == sorted(map(id, rows))
    bars = [bar for line in seen.lines for bar in line.bars]
    bars += [
        *drawing.small(made, made.seconds, 1.0),
        *([seen.wait] if seen.wait else []),
    ]
    for bar in bars:
        assert bar.width >= drawing.NARROWEST
        assert bar.x >= 0
        assert bar.x + bar.width <= 100.01
    marks = [mark.x for mark in (*seen.ticks, *seen.moments)]
    marks += [x for line in seen.lines for x in line.uses]
    marks += [line.failed_at for line in seen.lines if line.failed_at is not None]
    assert all(0 <= x <= 100 for x in marks)
    assert len(seen.ticks) <= 8


# ---- What is said of it ------------------------------------------------------


def test_the_time_of_a_factory_is_told_without_those_that_it_asked_for() -> None:
    outer = row(1, "repository", started=0.01, ready=0.05)
    inner = row(2, "unit_of_work", started=0.02, ready=0.04, asked_by="repository")
    other = row(3, "unit_of_work", started=0.06, ready=0.07, asked_by="repository")
    own = verdict.own_times(work(outer, inner, other))
    assert own == {
        1: pytest.approx(0.02),
        2: pytest.approx(0.02),
        3: pytest.approx(0.01),
    }


def test_slow_is_what_alone_took_most_of_the_time() -> None:
    outer = row(1, "repository", started=0.0, ready=0.04)
    inner = row(2, "unit_of_work", started=0.001, ready=0.039, asked_by="repository")
    assert verdict.slow(work(outer, inner), 0.06) == [
        "unit_of_work: 38.0 ms of 60.0 ms building it"
    ]
    assert verdict.slow(work(row(1, ready=0.018)), 0.019) == []
    assert verdict.slow(work(row(1, ready=0.018)), 0.03) == []
    torn = row(1, "unit_of_work", ready=0.001, closing=0.01, closed=0.05)
    assert verdict.slow(work(torn), 0.06) == [
        "unit_of_work: 40.0 ms of 60.0 ms tearing it down"
    ]


# ---- The graph ---------------------------------------------------------------


def graph_of(*pairs: tuple[str, str], alone: str = "") -> Graph:
    """Of resources that are called after their scope: a1, s1, r1; all edges seen."""
    scopes = Scopes()
    names = dict.fromkeys([*alone.split(), *(name for pair in pairs for name in pair)])

    def made(name: str) -> t.Any:
        def factory() -> list[str]:
            return []

        factory.__name__ = name
        kind = {"a": scopes.application, "s": scopes.session, "r": scopes.request}
        return kind[name[0]](factory).__self__  # type: ignore[attr-defined]  # a method

    recipes = {name: made(name) for name in names}
    return Graph(recipes.values(), [(recipes[a], recipes[b]) for a, b in pairs])


def read(*pairs: tuple[str, str]) -> Graph:
    """The same, as if all that was in the source, and had not happened."""
    graph = graph_of(*pairs)
    edges = [
        dataclasses.replace(edge, certain=True, seen=False) for edge in graph.edges
    ]
    vars(graph)["edges"] = tuple(edges)
    return graph


def boxes(graph: Graph) -> dict[str, graph_layout.Item]:
    return {each.name: box for each, box in graph_drawing.draw(graph).boxes.items()}


def test_what_lives_longer_stands_below() -> None:
    found = boxes(graph_of(("r1", "s1"), ("s1", "a1"), ("r1", "a1"), ("r2", "r1")))
    heights = [found[name].y for name in ("r2", "r1", "s1", "a1")]
    assert heights == sorted(set(heights))


def test_a_line_up_is_a_mistake_and_marked() -> None:
    picture = graph_drawing.draw(read(("r1", "a1"), ("a2", "r1")))
    (wrong,) = [line for line in picture.lines if line.is_wrong]
    assert (wrong.upper.recipe, wrong.lower.recipe) == (
        wrong.edge.user,
        wrong.edge.used,
    )
    assert wrong.upper.y > wrong.lower.y


@pytest.mark.parametrize("how", ["held", "apart", "seen"])
def test_to_hold_a_function_or_to_open_a_unit_is_no_mistake(how: str) -> None:
    (edge,) = read(("a1", "r1")).edges
    assert edge.is_wrong
    change: t.Any = {how: True}
    assert not dataclasses.replace(edge, **change).is_wrong


def numbers(path: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", path)]


SHAPES: dict[str, Graph] = {
    "none": graph_of(),
    "one": graph_of(alone="r1"),
    "many alone": graph_of(alone=" ".join(f"r{n}" for n in range(40))),
    "a cycle": graph_of(("r1", "r2"), ("r2", "r3"), ("r3", "r1")),
    "itself": graph_of(("r1", "r1")),
    "a fan": graph_of(*((f"r{n}", "a1") for n in range(20))),
    "long lines": graph_of(
        ("r1", "r2"),
        ("r2", "r3"),
        ("r3", "a1"),
        ("r1", "a1"),
        ("r2", "a1"),
        ("r1", "r3"),
    ),
    "wrong": graph_of(("a1", "r1"), ("s1", "r1"), ("a1", "s1"), ("r1", "r2")),
}


@pytest.mark.parametrize("graph", list(SHAPES.values()), ids=SHAPES)
def test_boxes_stand_apart_and_on_the_canvas(graph: Graph) -> None:
    picture = graph_drawing.draw(graph)
    assert set(picture.boxes) == set(graph.recipes)
    placed = list(picture.boxes.values())
    for box in placed:
        assert box.x - box.width / 2 >= 0
        assert box.x + box.width / 2 <= picture.width
        assert box.y + graph_layout.HEIGHT <= picture.height
    for one in placed:
        for other in placed:
            apart = abs(one.x - other.x) >= (one.width + other.width) / 2
            assert one is other or one.y != other.y or apart
    assert [band.y for band in picture.bands] == sorted(b.y for b in picture.bands)


@pytest.mark.parametrize("graph", list(SHAPES.values()), ids=SHAPES)
def test_lines_meet_boxes_each_in_a_place_of_its_own(graph: Graph) -> None:
    picture = graph_drawing.draw(graph)
    assert len({line.path for line in picture.lines}) == len(picture.lines)
    starts = [tuple(numbers(line.path)[:2]) for line in picture.lines]
    assert len(set(starts)) == len(starts)


def test_a_line_crosses_no_box() -> None:
    picture = graph_drawing.draw(SHAPES["long lines"])
    for line in picture.lines:
        for item in line.chain[1:-1]:
            for box in picture.boxes.values():
                apart = abs(item.x - box.x) > box.width / 2
                assert item.y != box.y or apart


# ---- Looks -------------------------------------------------------------------


def themes() -> c.Iterator[dict[str, str]]:
    text = STYLE.read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\n *\}", text, re.DOTALL)[:2]
    for part in (light, dark):
        yield dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part))


def brightness(colour: str) -> float:
    """As WCAG 2 defines relative luminance."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(brightness, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", list(themes()), ids=["light", "dark"])
def test_all_text_can_be_read(theme: dict[str, str]) -> None:
    for name in ("text", "soft", "link", "good", "warn", "bad", "a", "s", "r"):
        for behind in ("bg", "panel"):
            assert contrast(theme[name], theme[behind]) >= 4.5, (name, behind)
    for name in ("on-wait", "text"):
        for behind in ("wait", "bg"):
            assert contrast(theme[name], theme[behind]) >= 4.5, (name, behind)


def test_nothing_is_fetched_for_its_looks() -> None:
    text = STYLE.read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text
    assert "//" not in text
