"""What the benchmarks of speed compute from what they measured."""

import json
import time
from pathlib import Path

import pytest

from benchmarks.measured import Clock, Quartiles, about, cost_of, ratios, table, write_results
from benchmarks.overhead import EPOCHS, Study, made_up
from benchmarks.problems import Case


def test_a_ratio_is_taken_round_by_round() -> None:
    found = ratios([2.0, 30.0, 8.0], [1.0, 10.0, 2.0])
    assert (found.low, found.median, found.high, found.n) == (2.5, 3.0, 3.5, 3)
    assert found.text(1) == "3.0 (2.5 to 3.5)"
    assert Quartiles.of([4.0]).text() == "4.00 (4.00 to 4.00)"


def test_a_moment_counts_for_the_innermost_part_alone() -> None:
    clock = Clock()
    with clock("outer"):
        time.sleep(0.02)
        with clock("inner"):
            time.sleep(0.05)
        time.sleep(0.02)
    (_, outer), (_, inner) = clock.seconds["outer"], clock.seconds["inner"]
    assert 0.04 <= outer < inner + 1
    assert inner >= 0.05


def test_the_peak_of_memory_is_that_of_the_call() -> None:
    before = cost_of(lambda: None)
    cost = cost_of(lambda: b"1" * (200 << 20))
    after = cost_of(lambda: None)
    if before.peak_mb is None or cost.peak_mb is None or after.peak_mb is None:
        pytest.skip("the system does not tell")
    assert cost.peak_mb - before.peak_mb > 150
    assert cost.peak_mb - after.peak_mb > 150


def test_a_study_put_together_counts_waits_for_the_disk_only_where_nobody_trains() -> None:
    parts = {"asking": [4.0, 9.0], "report": [3.0, 5.0]}
    study = Study(100, parts, trial=1.0)
    assert study.training == 50  # 100 trials of a second on two workers
    assert study.whole == 50 + 4 / 2 + 3
    assert study.share("asking") == pytest.approx(2 / 55)
    by_cpu, by_wall, apart = study.shares()
    assert by_cpu == pytest.approx(5 / 55)
    assert by_wall == pytest.approx(7 / 57)
    assert apart == pytest.approx(14 / 64)


def test_results_that_are_made_up_are_as_long_as_real_ones() -> None:
    (spec,) = Case("digits", "none", "sgd").trials(1)
    result = made_up(spec)
    assert len(result.val_curve) == len(result.loss_curve) == EPOCHS
    assert result.same_outcome(made_up(spec))


def test_results_are_written_as_figures_and_as_a_table(tmp_path: Path) -> None:
    said = about(time.monotonic(), 3)
    write_results(tmp_path / "new", "name", said, {"a": [1.0]}, table(["x"], [["1"]]))
    written, text = sorted((tmp_path / "new").iterdir())
    assert json.loads(written.read_text())["found"] == {"a": [1.0]}
    assert text.read_text().endswith("| x |\n| --- |\n| 1 |\n")
    assert "n = 3" in text.read_text()
