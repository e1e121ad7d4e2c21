"""Progress, tables and files."""

import io
import json
import math

import pytest
from rich.console import Console

from hpsuite.analysis import Interval
from hpsuite.report.files import _plain
from hpsuite.report.progress import TrialProgress, duration, pace
from hpsuite.report.tables import percent, points, with_ends


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (7860, "2 h 11 min"),
        (math.inf, "unknown"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.0, "0.0/s"),
        (37.46, "37.5/s"),
        (0.5, "0.5/s"),
        (0.08, "one in 12 s"),
        (1 / 90, "one in 1 min 30 s"),
    ],
)
def test_pace(rate: float, text: str) -> None:
    assert pace(rate) == text


def test_shares_are_printed_in_percent() -> None:
    assert percent(0.12345, 1) == "12.3%"
    assert percent(math.nan, 1) == "-"
    assert with_ends(Interval(0.5, 0.4, 0.625, 0.95, "")) == "50.0% [40.0, 62.5]"
    assert with_ends(Interval(0.5, math.nan, math.nan, 0.95, "")) == "50.0%"
    assert points(Interval(-0.02, -0.05, 0.01, 0.95, "")) == "-2.0 points [-5.0, +1.0]"


def test_json_has_no_nan() -> None:
    values = _plain({"a": math.nan, "b": [1.5, math.inf, {"c": (None, True)}]})
    assert (
        json.dumps(values, allow_nan=False) == '{"a": null, "b": [1.5, null, {"c": [null, true]}]}'
    )


def test_piped_progress_is_plain_lines() -> None:
    piped = io.StringIO()
    with TrialProgress(10, 4, Console(file=piped)) as progress:
        progress.advance(3)
        progress.advance(3)
    assert piped.getvalue().startswith("10/10 trials, ")
    assert piped.getvalue().count("\n") == 1
    assert "\x1b" not in piped.getvalue()


def test_terminal_progress_is_a_bar() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with TrialProgress(10, 0, console) as progress:
        progress.advance(10)
    assert "10/10" in screen.getvalue()
