"""The nightly job: what it alarms for and what not, and that no night is lost or overwritten."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir
from scipy.stats import t as student

from benchmarks.nightly.alarm import PRIORS, Prior, Value, fitted, judge
from benchmarks.nightly.command import ALARM, INTERRUPTED, QUIET, USAGE, main
from benchmarks.nightly.experiments import claims, controls
from benchmarks.nightly.figures import Figure, averaged, from_interval, named, read, told
from benchmarks.nightly.history import RECENT, History
from benchmarks.nightly.job import Job
from benchmarks.nightly.mlflow_runs import TAG
from benchmarks.nightly.nights import SUMMARY, Moved, Night, seed_of, write_json
from benchmarks.nightly.parts import CLAIMS, MATRICES, ROOT, VERSION, Part
from benchmarks.nightly.simulate import NOISE, Nights
from benchmarks.nightly.speed import on_gpu, ratio_figure
from benchmarks.problems import Case
from hpsuite.compose import compose_experiment
from hpsuite.overrides import config_dir

# What a part of these tests measures: a normal figure about the mean in a file, and a ratio.
MEASURE = """
import json, pathlib, sys, time
import numpy as np
seed, root = int(sys.argv[1]), pathlib.Path(sys.argv[2])
with (root / "calls").open("a") as file:
    file.write(f"{sys.argv[3]} {seed}\\n")
said = json.loads((root / "state.json").read_text())
if (root / "slow").exists():
    print("begun", flush=True)
    time.sleep(60)
if said.get("fails"):
    sys.exit("cannot be measured")
rng = np.random.default_rng(seed)
figures = [
    {"name": "part / share", "kind": "share", "value": said["share"] + .01 * rng.standard_normal(),
     "error": .01, "unit": "points"},
    {"name": "part / speed", "kind": "speed", "error": .02, "scale": "log", "unit": "x",
     "value": said["speed"] * np.exp(.02 * rng.standard_normal()), "worse": -1},
]
pathlib.Path("figures.json").write_text(json.dumps(figures[: said.get("figures", 2)]))
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the job with a matrix of two parts that measure the same, what is set with each call."""
    monkeypatch.setitem(MATRICES, "whole", lambda: parts(tmp_path))

    def run(*options: str, share: float = 0.3, speed: float = 2.0, **state: Any) -> int:
        write_json(tmp_path / "state.json", {"share": share, "speed": speed, **state})
        return main([*places(tmp_path), *options])

    return run


def places(folder: Path) -> list[str]:
    """Where nights go."""
    own = ["--results", str(folder / "results"), "--work", str(folder / "work")]
    return [*own, "--mlflow", "none"]


def parts(folder: Path) -> dict[str, Part]:
    """One that measures, and one that has nothing to tell."""

    def figures(place: Path) -> list[Figure]:
        return read(json.loads((place / "figures.json").read_text()))

    own = ("-c", MEASURE.replace("{", "{{").replace("}", "}}"), "{seed}", str(folder))
    return {
        "other": Part("other", (*own, "other"), lambda _: []),
        "part": Part("part", (*own, "part"), figures),
    }


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def summaries(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in (folder / "results").glob(f"*/{SUMMARY}")]
    return sorted(found, key=lambda one: (one["started"], one["name"]))


def test_one_night_before_is_judged_by_standard_errors_alone() -> None:
    past, new = Value(1.0, 0.3), Value(3.0, 0.5)
    found = judge({"x": new}, {"x": [past]}, {"x": "effect"})["x"]
    # This night's error counts whole, as it is the larger one.
    assert found.t == pytest.approx(2 / np.sqrt(0.5**2 + 0.3**2))
    assert found.limit == pytest.approx(student.isf(0.001, PRIORS["effect"].df))
    assert found.n == 1


def test_statistic_is_the_moderated_t_of_the_formula() -> None:
    values = [1.0, 1.4, 0.7, 1.1]
    found = judge({"x": Value(2.0, 0.2)}, {"x": [Value(v, 0.2) for v in values]}, {"x": "speed"})
    prior = PRIORS["speed"]
    r = np.var(values, ddof=1) / 0.2**2
    v = (prior.df * prior.factor + 3 * r) / (prior.df + 3)
    expected = (2.0 - np.mean(values)) / (0.2 * np.sqrt(v * (1 + 1 / 4)))
    assert found["x"].t == pytest.approx(expected)
    assert found["x"].limit == pytest.approx(student.isf(0.001, prior.df + 3))


@pytest.mark.parametrize("worse", [-1, 0, 1])
def test_direction_that_counts(worse: int) -> None:
    history, kinds = {"x": [Value(0.0, 0.1)] * 3}, {"x": "effect"}
    up = judge({"x": Value(5.0, 0.1)}, history, kinds)["x"]
    down = judge({"x": Value(-5.0, 0.1)}, history, kinds)["x"]
    assert up.suspect(worse) == (worse >= 0)
    assert down.suspect(worse) == (worse <= 0)


def test_factors_are_found_again_from_their_ratios() -> None:
    rng = np.random.default_rng(0)
    for truth in (Prior(0.5, 8.0), Prior(3.0, 5.0)):
        factors = truth.factor * truth.df / rng.chisquare(truth.df, 4000)
        ratios = [(f * rng.chisquare(11) / 11, 11) for f in factors]
        found = fitted(ratios)
        assert found.factor == pytest.approx(truth.factor, rel=0.1)
        assert found.df == pytest.approx(truth.df, rel=0.25)


def test_few_nights_do_not_make_factors_certain() -> None:
    rng = np.random.default_rng(0)
    assert fitted([(rng.chisquare(1), 1) for _ in range(500)]).df <= 4.0
    assert fitted([(rng.chisquare(20) / 20, 20) for _ in range(500)]).df == 30.0


def test_chance_alone_hardly_ever_alarms() -> None:
    rng = np.random.default_rng(1)
    nights = [Nights(rng, NOISE["normal"], 0.7, n).moved({}) for n in (2, 8) for _ in range(60)]
    assert sum(bool(moved) for moved, _ in nights) <= 2
    assert sum(first for _, first in nights) > 0


def test_large_shift_is_caught_by_its_name_alone() -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        moved, _ = Nights(rng, NOISE["normal"], 0.0, 8).moved({"share 3": -9.0})
        assert moved == {"share 3"}
    # A speed that rose is not worse.
    assert Nights(rng, NOISE["normal"], 0.0, 8).moved({"speed 1": 9.0})[0] == set()


def test_first_night_and_quiet_ones(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [job() for _ in range(3)] == [QUIET] * 3
    first, second, third = summaries(tmp_path)
    # Of one day and one commit: none is overwritten.
    assert [one["name"] for one in (second, third)] == [f"{first['name']}-2", f"{first['name']}-3"]
    assert len({seed for one in (first, second, third) for seed in one["seeds"]["part"]}) == 3
    assert first["seeds"]["part"] == [seed_of(first["name"], "part", 0)]
    assert f"part {first['seeds']['part'][0]}" in calls(tmp_path)
    assert "nothing moved" in capsys.readouterr().out
    assert "part / share" in (tmp_path / "results" / "README.md").read_text()
    assert (tmp_path / "results" / "index.html").read_text().count("<svg") == 2


def test_alarm_is_confirmed_told_and_accepted(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(4):
        job()
    n_before = len(calls(tmp_path))
    assert job(share=0.1, speed=1.0) == ALARM
    night = summaries(tmp_path)[-1]
    said = capsys.readouterr().out
    # The part that is suspect ran three times, with seeds of its own; the other once.
    again = [call.split() for call in calls(tmp_path)[n_before:]]
    assert [name for name, _ in again] == ["other", "part", "part", "part"]
    assert len({seed for _, seed in again}) == 4
    assert {one["figure"] for one in night["moved"]} == {"part / share", "part / speed"}
    share = next(one for one in night["moved"] if one["figure"] == "part / share")
    assert (share["nights"], share["looks"]) == (4, 3)
    assert share["before"] == pytest.approx(0.3, abs=0.02)
    assert share["after"] == pytest.approx(0.1, abs=0.02)
    assert share["first_night"] == night["name"]
    assert share["good_night"] == summaries(tmp_path)[-2]["name"]
    assert f"part / share: {told(share['before'], 'points')} -> " in said
    assert "runs)" in said
    assert f"{share['good_night']}: hpsuite " in said
    # It is not normal before somebody says so.
    assert job(share=0.1, speed=1.0) == ALARM
    assert summaries(tmp_path)[-1]["moved"][0]["first_night"] == night["name"]
    assert job("--accept", "meant") == QUIET
    assert job(share=0.1, speed=1.0) == QUIET
    assert job("--accept", "again") == USAGE
    assert "nothing moved" in capsys.readouterr().err
    assert job(share=0.3) == ALARM
    assert json.loads((tmp_path / "results/accepted.json").read_text())[0]["reason"] == "meant"
    assert "meant" in (tmp_path / "results" / "README.md").read_text()


def test_what_was_suspect_and_not_confirmed_is_not_normal(
    job: Callable[..., int], tmp_path: Path
) -> None:
    for _ in range(6):
        job()
    assert job(share=0.1) == ALARM
    # As if its last look had not shown it.
    last = max((tmp_path / "results").glob(f"*/{SUMMARY}"), key=lambda p: p.stat().st_mtime)
    night = json.loads(last.read_text())
    write_json(last, {**night, "moved": [], "suspect": ["part / share"]})
    assert job(share=0.1) == ALARM
    assert summaries(tmp_path)[-1]["moved"][0]["nights"] == 6


def test_better_speed_is_not_an_alarm(job: Callable[..., int]) -> None:
    for _ in range(3):
        job()
    assert job(speed=4.0) == QUIET


def test_failure_is_told_and_run_again(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job(fails=True) == ALARM
    assert "failed: part: exit status 1: cannot be measured" in capsys.readouterr().out
    assert summaries(tmp_path)[0]["figures"] == []
    assert job("--accept", "no") == USAGE
    assert job() == QUIET


def test_missing_figure_is_told(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        job()
    assert job("--parts", "other") == QUIET  # it says nothing of the other part
    assert job(fails=True) == ALARM
    capsys.readouterr()
    for _ in range(2):  # until it is said that this is meant
        assert job(figures=1) == ALARM
        assert "gone: part / speed" in capsys.readouterr().out
    assert job("--accept", "one | only") == QUIET
    assert job(figures=1) == QUIET
    assert "| one \\| only |" in (tmp_path / "results" / "README.md").read_text()
    for _ in range(3):
        assert job() == QUIET
    assert job(figures=1) == ALARM


def test_usage(job: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert job("--parts", "nothing") == USAGE
    assert "accepted: ['other', 'part']" in capsys.readouterr().err
    assert job("--accept", " ") == USAGE
    assert job("--accept", "why") == USAGE
    assert "no night has ended" in capsys.readouterr().err


RUN = """
import sys
from pathlib import Path
from benchmarks.nightly.command import main
from benchmarks.nightly.parts import MATRICES
from tests.test_nightly import parts, places
folder = Path(sys.argv[1])
MATRICES["whole"] = lambda: parts(folder)
sys.exit(main(places(folder)))
"""


def started(folder: Path) -> "subprocess.Popen[str]":
    """A night as a process of its own, in the middle of a part."""
    write_json(folder / "state.json", {"share": 0.3, "speed": 2.0})
    (folder / "slow").touch()
    running = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    output = folder / "work"
    wait_for(lambda: any("begun" in path.read_text() for path in output.glob("*/*/output.txt")))
    return running


def test_part_that_outlives_its_job_keeps_others_out(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = started(tmp_path)
    running.kill()  # and not what it started
    running.communicate(timeout=60)
    assert job() == USAGE
    assert f"another night is being run in {tmp_path / 'work'}" in capsys.readouterr().err
    os.killpg(running.pid, signal.SIGKILL)
    (tmp_path / "slow").unlink()
    wait_for(lambda: job() == QUIET)
    assert len(summaries(tmp_path)) == 1


def test_results_are_kept_from_another_folder_of_work(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = started(tmp_path)
    assert job("--work", str(tmp_path / "other")) == USAGE
    assert f"another night is being run in {tmp_path / 'results'}" in capsys.readouterr().err
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_night_is_continued(
    number: signal.Signals, job: Callable[..., int], tmp_path: Path
) -> None:
    running = started(tmp_path)
    output = tmp_path / "work"
    assert job("--parts", "part") == USAGE  # another one at the same time
    os.killpg(running.pid, number)
    _, said = running.communicate(timeout=60)
    if number == signal.SIGINT:
        assert running.returncode == INTERRUPTED
        assert "the same command continues the night" in said
    (tmp_path / "slow").unlink()
    (begun,) = output.glob("*/night.json")
    assert job() == QUIET
    (night,) = summaries(tmp_path)
    assert night["name"] == begun.parent.name
    # What was cut off has the seed that it had.
    assert calls(tmp_path)[0] == calls(tmp_path)[1]
    assert len(calls(tmp_path)) == 3


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_parts_that_ended_are_not_run_again(job: Callable[..., int], tmp_path: Path) -> None:
    assert job() == QUIET
    # As if it had been killed before its last part.
    (state,) = (tmp_path / "work").glob("*/night.json")
    known = json.loads(state.read_text())
    known["parts"].pop("part")
    write_json(state, {**known, "ended": None})
    (summary,) = (tmp_path / "results").glob(f"*/{SUMMARY}")
    summary.unlink()
    assert job() == QUIET
    assert [call.split()[0] for call in calls(tmp_path)] == ["other", "part", "part"]
    assert calls(tmp_path)[1] == calls(tmp_path)[2]


@pytest.mark.parametrize("what", ["commit", "matrix", "versions"])
def test_night_of_something_else_is_not_continued(
    what: str, job: Callable[..., int], tmp_path: Path
) -> None:
    assert job() == QUIET
    (state,) = (tmp_path / "work").glob("*/night.json")
    write_json(state, {**json.loads(state.read_text()), "ended": None, what: "other"})
    (summary,) = (tmp_path / "results").glob(f"*/{SUMMARY}")
    summary.unlink()
    assert job() == QUIET
    assert len(list((tmp_path / "work").glob("*/night.json"))) == 2


def test_code_that_changes_in_the_night_ends_it(
    job: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(Job.run.__globals__, "code_commit", lambda: "another")
        assert job() == USAGE
    assert "the checkout is now at another" in capsys.readouterr().err
    assert list((tmp_path / "results").iterdir()) == []
    assert job() == QUIET
    assert len(list((tmp_path / "work").glob("*/night.json"))) == 1


def test_night_killed_right_after_its_summary_is_told_and_not_written_again(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        job()
    assert job(share=0.1) == ALARM
    *_, last = summaries(tmp_path)
    state = tmp_path / "work" / last["name"] / "night.json"
    summary = tmp_path / "results" / last["name"] / SUMMARY
    before, told = summary.read_bytes(), capsys.readouterr().out
    write_json(state, {**json.loads(state.read_text()), "ended": None})
    assert job(share=0.31) == ALARM  # which is what the night that was killed found
    assert capsys.readouterr().out in told
    assert summary.read_bytes() == before
    assert len(summaries(tmp_path)) == 4
    assert job() == QUIET
    assert len(summaries(tmp_path)) == 5


@pytest.mark.parametrize("path", ["results/x/summary.json", "work/x/night.json"])
def test_damaged_file_is_named_in_one_line(
    path: str, job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / path
    for content in ("{", "[]", '{"schema": 1}', '{"schema": 2}', "\xff"):
        damaged.parent.mkdir(parents=True, exist_ok=True)
        damaged.write_bytes(content.encode("latin-1"))
        assert job() == USAGE
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"nightly: {damaged}: cannot be read (")
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize("name", ["older.jsonl", "accepted.json"])
def test_damaged_history_is_named(
    name: str, job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "results" / name
    damaged.parent.mkdir()
    damaged.write_text('[{"night": 1}]')
    assert job() == USAGE
    assert f"{damaged}: cannot be read (" in capsys.readouterr().err


def test_part_that_takes_too_long_has_failed(
    job: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow").touch()
    limited = {name: replace(part, limit=1.0) for name, part in parts(tmp_path).items()}
    monkeypatch.setitem(MATRICES, "whole", lambda: limited)
    assert job("--parts", "part") == ALARM
    (night,) = summaries(tmp_path)
    assert night["failed"] == {"part": "it ran for more than 1 s and was ended"}


def a_night(day: date, n: int, **changes: Any) -> Night:
    """A quiet one."""
    figure = Figure("part / share", "share", 0.3 + n / 1000, 0.01, unit="points")
    started = f"{day.isoformat()}T01:00:00+00:00"
    night = Night(
        f"{day}-c{n}", "whole 1", f"c{n}", started, started, 60.0, "2 cores", 1.0,
        {"hpsuite": "0.1.0"}, {"part": [n]}, {figure.name: figure},
    )  # fmt: skip
    return replace(night, **changes)


def test_old_nights_are_thinned_and_nothing_of_their_figures_is_lost(tmp_path: Path) -> None:
    begin = date(2025, 1, 1)
    nights = [a_night(begin + timedelta(i), i) for i in range(600)]
    nights[100] = replace(nights[100], failed={"part": "why"})
    for night in nights:
        write_json(tmp_path / night.name / SUMMARY, night.as_json())
    before = History(tmp_path)
    before.thin(begin + timedelta(600))
    after = History(tmp_path)
    assert [night.name for night in after.past] == [night.name for night in nights]
    values = [night.figures["part / share"].value for night in after.past]
    assert values == pytest.approx([0.3 + i / 1000 for i in range(600)], rel=1e-4)
    kept = {night.name for night in after.nights}
    assert {night.name for night in nights[-RECENT:]} <= kept
    assert nights[100].name in kept
    assert len(kept) < RECENT + 53 + 12
    assert after.thin(begin + timedelta(600)) == []
    # Killed between the two: in both places, and counted once.
    write_json(tmp_path / nights[5].name / SUMMARY, nights[5].as_json())
    assert len(History(tmp_path).past) == 600
    figure = nights[0].figures["part / share"]
    assert len(after.values(figure, "whole 1", "elsewhere")) == 600


def test_speeds_are_compared_on_one_kind_of_machine(tmp_path: Path) -> None:
    fast = Figure("part / speed", "speed", 2.0, 0.02, "log", "x", -1)
    day = date(2026, 1, 1)
    for i, device in enumerate(["here", "there", "here"]):
        night = a_night(day + timedelta(i), i, device=device)
        night = replace(night, figures={**night.figures, fast.name: fast})
        write_json(tmp_path / night.name / SUMMARY, night.as_json())
    history = History(tmp_path)
    assert len(history.values(fast, "whole 1", "here")) == 2
    share = history.nights[0].figures["part / share"]
    assert len(history.values(share, "whole 1", "here")) == 3
    assert history.values(share, "whole 2", "here") == []


def test_new_normal_is_of_its_matrix_and_machine(tmp_path: Path) -> None:
    fast = Figure("part / speed", "speed", 2.0, 0.02, "log", "x", -1)
    day = date(2026, 1, 1)
    cases = [("whole 1", "here"), ("small 1", "here"), ("whole 1", "there"), ("whole 1", "here")]
    moved = {"before": 4.0, "noise": 0.1, "nights": 1, "after": 2.0, "looks": 3}
    since = dict.fromkeys(("good_night", "good_commit", "first_night", "first_commit"), "x")
    for i, (matrix, device) in enumerate(cases):
        night = a_night(day + timedelta(i), i, matrix=matrix, device=device)
        night = replace(night, figures={**night.figures, fast.name: fast})
        if i == 3:
            found = tuple(Moved(name, **moved, **since) for name in night.figures)
            night = replace(night, moved=found)
        write_json(tmp_path / night.name / SUMMARY, night.as_json())
    history = History(tmp_path)
    first = history.first_moved(fast, "whole 1", "here")
    assert first is not None
    assert first.name == history.nights[3].name
    assert history.first_moved(fast, "small 1", "here") is None
    assert history.first_moved(fast, "whole 1", "there") is None
    with pytest.raises(LookupError, match="nothing moved"):
        history.accept("no", "small 1")
    history.accept("yes", "whole 1")
    history = History(tmp_path)
    assert len(history.values(fast, "whole 1", "here")) == 1
    assert len(history.values(fast, "whole 1", "there")) == 1
    assert len(history.values(fast, "small 1", "here")) == 1
    share = history.nights[0].figures["part / share"]
    assert len(history.values(share, "whole 1", "elsewhere")) == 1
    assert len(history.values(share, "small 1", "elsewhere")) == 1


def test_nights_in_mlflow_are_a_time_series(job: Callable[..., int], tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    job()  # MLflow is brought up to date with it by the next
    for share in (0.31, 0.29):
        job("--mlflow", f"sqlite:///{path}", share=share)
    with closing(sqlite3.connect(path)) as database:
        runs = dict(
            database.execute("select value, run_uuid from tags where key = ?", (TAG,)).fetchall()
        )
        last = summaries(tmp_path)[-1]["name"]
        points = database.execute(
            "select step, value from metrics where run_uuid = ? and key = ? order by step",
            (runs[last], "part / share"),
        ).fetchall()
        status = database.execute("select distinct status from runs").fetchall()
    assert len(runs) == 3
    assert status == [("FINISHED",)]
    expected = [100 * one["figures"][0]["value"] for one in summaries(tmp_path)]
    assert [step for step, _ in points] == [0, 1, 2]
    assert [value for _, value in points] == pytest.approx(expected)


def test_mlflow_that_cannot_be_written_does_not_fail_a_night(
    job: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job("--mlflow", "http://127.0.0.1:9") == QUIET
    assert "MLflow could not be written" in capsys.readouterr().err


def test_figures_in_words_and_back() -> None:
    figure = Figure(named("a", "b: of 16, c.", ""), "speed", 1.5, 0.1, "log", "x", -1)
    assert figure.name == "a / b of 16 c"
    assert figure.change(3.0) == "-50.0%"
    assert told(-0.031, "points", signed=True) == "-3.10 points"
    assert read([figure.as_json()]) == [figure]
    mean = averaged([figure, replace(figure, value=6.0)])
    assert mean.value == pytest.approx(3.0)
    assert mean.error == pytest.approx(0.1 / np.sqrt(2))
    assert mean.looks == 2
    assert from_interval(0.0, 2 * 1.959964, 0.95) == pytest.approx(1.0, rel=1e-5)
    assert from_interval(None, 1.0, 0.95) is None
    with pytest.raises(ValueError, match="kind"):
        replace(figure, kind="x")


def test_figures_of_the_controls(tmp_path: Path) -> None:
    header = "model,optimizer.schedule,strategy,space.learning_rate.low,repeat,number,learning_rate"
    wide = [
        (model, "none", "log_random", "", repeat, number, 10.0**-number, score, "finite")
        for model, score in (("mlp", 0.5), ("mlp_bn", 0.75))
        for repeat in (0, 1)
        for number in (0, 1, 2)
    ]
    high = [
        (model, schedule, "log_random", "0.01", 0, number, 0.1, score + 0.1 * number, "finite")
        for model in ("mlp", "mlp_bn")
        for schedule, score in (("none", 0.4), ("cosine", 0.6))
        for number in (0, 1)
    ]
    wide[0] = (*wide[0][:-2], 0.8, "finite")
    wide[1] = (*wide[1][:-2], 0.1, "nonfinite")
    rows = [",".join(map(str, row)) for row in wide + high]
    text = "\n".join([f"{header},val_accuracy,outcome", *rows]) + "\n"
    (tmp_path / "trials.csv").write_text(text)
    setup = {"dataset": "digits", "model": "mlp", "strategy": "log_random"}
    share = {f"good_fraction_2pt{end}": x for end, x in (("", 0.3), ("_low", 0.2), ("_high", 0.6))}
    summary = {"experiment": "controls", "setups": [{**setup, **share}]}
    write_json(tmp_path / SUMMARY, summary)
    found = {figure.name.removeprefix("controls / "): figure for figure in controls(tmp_path)}
    good = found["good within 2 points / digits mlp"]
    assert (good.value, good.error) == (0.3, pytest.approx(0.1 / 1.959964))
    assert found["diverged mlp"].value == pytest.approx(1 / 6)
    assert found["diverged mlp_bn"].value == 0
    cosine = found["accuracy that cosine decay adds at rates of .01 to 1 mlp"]
    assert cosine.value == pytest.approx(0.2)
    # .75 against .8, .1 and four times .5.
    gains = [-0.05, 0.65, 0.25, 0.25, 0.25, 0.25]
    norm = found["accuracy that batch norm adds"]
    assert norm.value == pytest.approx(np.mean(gains))
    assert norm.error == pytest.approx(np.std(gains, ddof=1) / np.sqrt(6))
    best = found["best of 16 trials log_random"]
    assert best.value == pytest.approx((0.8 + 0.5) / 2)
    assert best.error == pytest.approx(np.std([0.8, 0.5], ddof=1) / np.sqrt(2))
    spread = found["decades over which rates are tried log_random"]
    assert spread.value == pytest.approx(np.std([0, 1, 2]))


def test_figures_of_claims(tmp_path: Path) -> None:
    cell = {"cell": "x 1", "estimate": 0.2, "low": 0.1, "high": 0.3, "level": 0.95}
    unknown = {"cell": "x 2", "estimate": None, "low": None, "high": None, "level": 0.95}
    verdicts = [
        {"claim": "It is.", "statistic": "best validation accuracy, a", "cells": [cell, unknown]},
        {"claim": "It takes.", "statistic": "trials to a good one, a", "cells": [cell]},
    ]
    write_json(
        tmp_path / SUMMARY, {"experiment": "mine", "verdicts": verdicts, "setups": [{"n": 1}]}
    )
    first, second = claims(tmp_path)
    assert (first.name, first.value, first.unit) == ("mine / It is / x 1", 0.2, "points")
    assert first.error == pytest.approx(0.1 / 1.959964)
    assert (second.name, second.text()) == ("mine / It takes", "0.2 trials")


def test_speed_of_a_device_is_that_of_its_fused_trainer() -> None:
    case = Case("digits", "none", "sgd")
    found = on_gpu(case, case.data(), 2, torch.device("cpu"))
    assert found.name.startswith("speed_gpu / ")
    assert found.value > 1  # many at once are faster than one by one
    assert (found.kind, found.worse) == ("speed", -1)


# Of what each part trains and claims, at the present version of the matrix.
DIGESTS = {
    "controls": "b44a6495c2b3",
    "batchnorm_placement": "a55ef4f85945",
    "batchnorm_robustness": "461f506a2811",
    "bergstra_bengio_2012": "350d01fbee8c",
    "coarse_to_fine": "130c125546a6",
    "grid_vs_random": "5c2992b90128",
    "importance_order": "2f68297a0315",
    "ioffe_szegedy_2015": "ca713358d70d",
    "panda_vs_caviar": "64bcff7a080b",
    "search_scale": "9c51b9ed03b8",
    "staleness": "dda46400b50a",
}


@pytest.mark.parametrize("part", ["controls", *CLAIMS])
def test_figures_of_one_version_measure_one_thing(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where this fails, raise VERSION, so that no figure is compared with one of something else."""
    monkeypatch.delenv("HPSUITE_DATA", raising=False)  # which is a part of what is composed
    arguments = [one.format(seed=0) for one in MATRICES["whole"]()[part].arguments]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        settings, arms = compose_experiment(arguments[2:])
    measured = repr((arms, settings.claims, settings.analysis.fresh_seeds))
    digest = hashlib.sha256(measured.encode()).hexdigest()[:12]
    assert (VERSION, digest) == ("1", DIGESTS.get(part)), (part, digest)


def test_ratio_is_the_median_over_rounds() -> None:
    found = ratio_figure("x", [2.0, 4.0, 40.0], [1.0, 1.0, 1.0])
    assert found.value == pytest.approx(4.0)
    assert found.error == pytest.approx(np.sqrt(np.pi / 2) * 1.4826 * np.log(2) / np.sqrt(3))


# Changes of the code that a night is to notice: file, what stands there, what is put there, parts.
PLANTED: Mapping[str, tuple[str, str, str, str]] = {
    "slower trainer": (
        "hpsuite/training/descent.py",
        "        grads = torch.autograd.grad(loss_K.sum(), parameters)\n",
        # What nobody needs would be left out of the tape.
        "        for _ in range(4):\n"
        "            more = torch.autograd.grad(loss_K.sum(), parameters, retain_graph=True)\n"
        "            loss_K = loss_K + 0 * torch.stack([g.sum() for g in more]).sum()\n"
        "        grads = torch.autograd.grad(loss_K.sum(), parameters)\n",
        "speed",
    ),
    "broken decay": (
        "hpsuite/training/schedules.py",
        "factor = (1 + np.cos(np.pi * step / max(remaining, 1))) / 2",
        "factor = np.ones_like(step)",
        "controls",
    ),
    "running statistics of batch norm off": (
        "hpsuite/training/layers.py",
        "            momentum=self.momentum,\n",
        "            momentum=0.01 * self.momentum,\n",
        "controls",
    ),
    "sampler stuck on one value": (
        "hpsuite/strategies/random.py",
        "        units = trial_generator(self.seed, trial.number).random(len(self.search_space))\n",
        "        units = trial_generator(self.seed, trial.number).random(len(self.search_space))\n"
        "        units[0] = 0.7\n",
        "controls",
    ),
}
# What is said of each.
NOTICED = {
    "slower trainer": "times b fused",
    "broken decay": "cosine decay adds",
    "running statistics of batch norm off": "batch norm adds",
    "sampler stuck on one value": "decades over which rates are tried log_random",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own, with three quiet nights of the small matrix."""
    folder = tmp_path_factory.mktemp("planted") / "checkout"
    git(ROOT, "clone", "--quiet", "--shared", str(ROOT), str(folder))
    for name in ("hpsuite", "benchmarks", "conf"):  # as they are here, committed or not
        subprocess.run(["cp", "-r", str(ROOT / name), str(folder)], check=True)
    commit(folder, "as it is")
    for _ in range(3):
        ended = night(folder, "--matrix", "small")
        assert ended.returncode == QUIET, ended.stdout + ended.stderr
    return folder


def git(folder: Path, *arguments: str) -> None:
    own = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run(["git", "-C", str(folder), *own, *arguments], check=True, capture_output=True)


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", message)


def night(
    folder: Path, *options: str, nights: str = "nights"
) -> "subprocess.CompletedProcess[str]":
    own = places(folder.with_name(nights))
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.nightly", *own, *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_has_its_place(planted: str) -> None:
    path, before, _, _ = PLANTED[planted]
    assert (ROOT / path).read_text().count(before) == 1


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED)
def test_planted_regression_is_caught(planted: str, checkout: Path) -> None:
    path, before, after, part = PLANTED[planted]
    file = checkout / path
    code = file.read_text()
    assert code.count(before) == 1
    file.write_text(code.replace(before, after))
    commit(checkout, f"planted: {planted}")
    nights = planted.replace(" ", "-")
    # What one test plants does not count among the nights of another.
    shutil.copytree(checkout.with_name("nights"), checkout.with_name(nights))
    try:
        ended = night(checkout, "--matrix", "small", "--parts", part, nights=nights)
    finally:
        git(checkout, "reset", "--quiet", "--hard", "HEAD~1")
    assert ended.returncode == ALARM, ended.stdout + ended.stderr
    assert NOTICED[planted] in ended.stdout
    assert f"planted: {planted}" in ended.stdout  # the commit, by its message


@pytest.mark.slow
def test_simulation_says_what_it_measures() -> None:
    few = ("--nights", "5", "--caught", "2", "--lengths", "3")
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.nightly.simulate", *few],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "0 of 5 (0.00%)" in ended.stdout
