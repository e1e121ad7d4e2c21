"""Every picture, likely and at its limits: no text over another, none cut off, both libraries."""

import functools
import io
import itertools
import json
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from hpsuite.report.axes import Axis
from hpsuite.report.figures.canvas import HEAVY, drawing, png
from hpsuite.report.figures.words import fit, fit_all, label, text_width, wrap
from hpsuite.report.pictures import Data, draw, draw_png, interactive, note_of
from tests.report.example import example_report
from tests.report.stress import CASES, HOSTILE, hostile, long_names

EXAMPLES = {picture.name: picture.data for picture in example_report().pictures()}
ALL = [*EXAMPLES, *CASES]


def data_of(name: str) -> Data:
    if name.startswith("hostile "):
        return cast(Data, hostile(data_of(name.removeprefix("hostile "))))
    return EXAMPLES[name] if name in EXAMPLES else CASES[name]()


@functools.cache
def still(name: str) -> tuple[Figure, bytes]:
    """The still picture, drawn."""
    figure = draw(data_of(name))
    return figure, png(figure)


def drawn_texts(figure: Figure) -> list[tuple[Text, np.ndarray]]:
    """All texts that are drawn, with their places [[left, bottom], [right, top]] in pixels."""
    drawn: dict[int, Text] = {}
    draw_text = Text.draw

    def note(text: Text, renderer: object) -> None:
        if text.get_visible() and text.get_text().strip():
            drawn[id(text)] = text
        draw_text(text, renderer)

    canvas = FigureCanvasAgg(figure)
    figure.set_layout_engine("none")  # it was laid out when it was drawn
    with pytest.MonkeyPatch.context() as patch, drawing():
        patch.setattr(Text, "draw", note)
        canvas.draw()
    # Without the boxes that annotations have behind them.
    extent = Text.get_window_extent
    return [(t, extent(t, canvas.get_renderer()).get_points()) for t in drawn.values()]


@pytest.mark.parametrize("name", [*ALL, *(f"hostile {name}" for name in EXAMPLES)])
def test_no_text_lies_over_another_or_outside(name: str) -> None:
    figure, _ = still(name)
    shown = drawn_texts(figure)
    assert shown
    # By a pixel smaller, as letters may touch; slanted names have boxes that overlap anyway.
    edge = np.array([[1.0, 1.0], [-1.0, -1.0]])
    level = [(t.get_text(), box + edge) for t, box in shown if t.get_rotation() in (0, 90)]
    over = [
        (a, b)
        for (a, p), (b, q) in itertools.combinations(level, 2)
        if (p[0] < q[1]).all() and (q[0] < p[1]).all()
    ]
    assert not over
    size = figure.get_size_inches() * figure.dpi
    outside = [t.get_text() for t, box in shown if (box[0] < -1).any() or (box[1] > size + 1).any()]
    assert not outside


@pytest.mark.parametrize("name", ALL)
def test_pngs_are_large_enough_to_read_and_small_enough_to_commit(name: str) -> None:
    _, saved = still(name)
    with Image.open(io.BytesIO(saved)) as image:
        width, height = image.size
        ends = image.convert("L").getextrema()
    assert 900 <= width <= 1600
    assert 200 <= height <= 3200
    assert ends[1] == 255
    assert ends[0] < 100  # something is drawn
    assert len(saved) <= (HEAVY if name in EXAMPLES else 2 * HEAVY)


def test_a_picture_is_the_same_each_time() -> None:
    for name in ("rate-response", "parallel-coordinates", "sampled-points"):
        assert draw_png(EXAMPLES[name]) == draw_png(EXAMPLES[name])


@pytest.mark.parametrize("name", ALL)
def test_plotly_takes_every_specification(name: str) -> None:
    data = data_of(name)
    figure = interactive(data)  # plotly refuses names and values that it does not know
    spec = json.loads(figure.to_json())
    assert spec["data"] or name == "nothing computable"
    assert spec["layout"]["meta"]["least_width"] >= 300
    assert isinstance(note_of(data), str)


@pytest.mark.parametrize("name", EXAMPLES)
def test_hostile_names_are_only_names(name: str) -> None:
    data = hostile(EXAMPLES[name])
    assert draw_png(data)
    shown = json.dumps(json.loads(interactive(data).to_json()), ensure_ascii=False)
    if name != "parallel-coordinates":  # whose ticks plotly shows as they are
        assert "<script" not in shown
        assert "<a href" not in shown
        assert "<img" not in shown


def test_the_numbers_in_a_picture_are_those_that_were_given() -> None:
    curves = EXAMPLES["tuning-curves"]
    drawn = draw(curves).axes[0].lines
    for curve in curves.validation:
        assert any(np.array_equal(line.get_ydata(), curve.y) for line in drawn)
    costs = EXAMPLES["transfer"]
    z = np.array(interactive(costs).data[0].z, float)
    assert np.array_equal(z, np.clip(costs.cost, 0, None), equal_nan=True)
    response = EXAMPLES["rate-response"]
    lines = [trace for trace in interactive(response).data if trace.mode == "lines+markers"]
    for series in response.series:
        median = np.median(series.scores, axis=1)
        assert any(np.array_equal(np.array(trace.y, float), median) for trace in lines)


def test_no_failed_trial_is_left_out() -> None:
    response = EXAMPLES["rate-response-sample"]
    figure = interactive(response)
    at = {trace.yaxis: 0 for trace in figure.data}
    for trace in figure.data:
        at[trace.yaxis] += len(trace.x)
    failed = int((response.series[0].outcomes != 0).sum())
    assert failed > 50
    assert at["y3"] == failed


@drawing()
def test_text_is_wrapped_to_what_there_is_room_for() -> None:
    for words in (*long_names(2), HOSTILE, "x" * 300, "short", ""):
        for inches in (0.4, 1.0, 3.0):
            assert all(text_width(line) <= inches for line in wrap(words, inches))
            assert text_width(fit(words, inches, 1)) <= inches
            assert fit(words, inches, 2).count("\n") <= 1
    assert "".join("".join(wrap("x" * 300, 1.0)).split()) == "x" * 300
    assert fit("short", 2.0, 1) == "short"


def test_a_name_is_one_line() -> None:
    names = "a\nb\r\n c\t\td\x0be\x07f\u2028g\u2029h\u202ei\x85j "
    assert label(names) == "a b c d e f g h i j"
    with drawing():
        assert (
            wrap(names, 5.0) == [fit(names, 5.0, 1)] == fit_all([names], 5.0, 1) == [label(names)]
        )
        assert text_width(names) == text_width(label(names))
    assert label("naïve 名 שלום") == "naïve 名 שלום"


def test_percentages_end_where_they_must() -> None:
    """Whatever an interval says, an axis shows no accuracy of 104%."""
    curves = EXAMPLES["tuning-curves"]
    wide = [replace(curve, high=curve.high + 20) for curve in curves.test]
    figure = draw(replace(curves, test=tuple(wide)))
    for axes in figure.axes:
        assert axes.get_ylim()[1] <= 101
    assert Axis("accuracy", "%").limits([0.5, 99.9])[1] <= 101
    assert Axis("accuracy", "%").limits([0.5, 99.9])[0] >= -1
    assert Axis("cost", "points").limits([0.0, 100.0]) == (-3.0, 103.0)


@pytest.mark.parametrize("lines", [1, 2])
def test_names_that_differ_stay_different(lines: int) -> None:
    for names in (long_names(10), [f"a_long_model_name_{i}" for i in range(3)], ["a", "a", "b"]):
        cut = fit_all(names, 1.0, lines)
        assert len(set(cut)) == len(set(names))
        assert all(text_width(line) <= 1.0 for name in cut for line in name.split("\n"))
