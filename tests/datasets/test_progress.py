"""Progress: on stderr, after a while, ever more rarely."""

import pytest

from hpsuite.datasets import progress
from hpsuite.datasets.progress import Progress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


def run(now: list[float], total: int | None, steps: int, seconds: float) -> None:
    one = Progress("decoding x", total, "images")
    for _ in range(steps):
        now[0] += seconds
        one.advance()
    one.finish()


def test_what_is_quick_says_nothing(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    run(now, 1000, 1000, 0.0019)
    assert capsys.readouterr() == ("", "")


def test_lines(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    run(now, 3000, 3000, 1 / 128)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "hpsuite: decoding x: 256 of 3,000 images",
        "hpsuite: decoding x: 768 of 3,000 images",
        "hpsuite: decoding x: 1,792 of 3,000 images",
        "hpsuite: decoding x: all 3,000 images in 23 s",
    ]


def test_of_nobody_knows_how_many(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    run(now, None, 300, 0.01)
    assert capsys.readouterr().err.splitlines() == [
        "hpsuite: decoding x: 200 images",
        "hpsuite: decoding x: all 300 images in 3 s",
    ]


def test_an_hour_is_not_a_thousand_lines(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    run(now, 3600, 3600, 1.0)
    assert 60 < len(capsys.readouterr().err.splitlines()) < 70
