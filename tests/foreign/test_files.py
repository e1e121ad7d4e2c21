"""Tables in files become samples, or one line that says why not."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpsuite.checks import UserError
from hpsuite.evidence import setup_evidence
from hpsuite.foreign import group_differences, table
from tests.foreign.tables import PARAMS, read, saved, trials


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_every_kind_of_file_gives_the_same_sample(kind: str, tmp_path: Path) -> None:
    frame = trials()
    path = saved(frame, tmp_path, kind)
    found = read(path, score="accuracy", params=PARAMS, test_score="test")
    (sample,) = found.samples
    assert found.source == f"trials.{kind}"
    assert sample.scores == pytest.approx(frame["accuracy"].to_numpy(), abs=1e-9)
    assert sample.tests == pytest.approx(frame["test"].to_numpy(), abs=1e-9)
    assert sample.names == ("lr", "depth", "kind")
    assert sample.values[7] == {
        "lr": pytest.approx(frame["lr"][7], abs=1e-9),
        "depth": frame["depth"][7],
        "kind": frame["kind"][7],
    }
    lr, depth, choice = sample.hyperparameters
    assert (lr.low, lr.high) == pytest.approx((frame["lr"].min(), frame["lr"].max()), abs=1e-9)
    assert (depth.low, depth.high, choice.choices) == (1, 5, ("relu", "tanh"))
    assert not sample.failed.any()
    assert not sample.random


def test_units_lie_on_the_scale_and_range_given(tmp_path: Path) -> None:
    frame = trials()
    params = {"lr": {"scale": "log", "low": 1e-5, "high": 10.0}}
    (sample,) = read(saved(frame, tmp_path), score="accuracy", params=params).samples
    assert sample.units()[:, 0] == pytest.approx((np.log10(frame["lr"]) + 5) / 6)


def test_a_loss_is_turned_and_lower_is_better(tmp_path: Path) -> None:
    path = saved(trials(), tmp_path)
    loss = read(path, score="loss", direction="minimize", params=PARAMS).samples[0]
    accuracy = read(path, score="accuracy", params=PARAMS).samples[0]
    assert loss.scores + 1 == pytest.approx(accuracy.scores)
    assert not loss.higher_is_better


def test_groups_share_their_ranges_and_are_sorted_as_numbers(tmp_path: Path) -> None:
    frame = trials().assign(units=[8, 16, 128] * 20)
    frame.loc[frame["units"] == 8, "lr"] *= 0.01
    found = read(saved(frame, tmp_path), score="accuracy", params={"lr": "log"}, group="units")
    assert [s.name for s in found.samples] == ["8", "16", "128"]
    assert len({s.hyperparameters for s in found.samples}) == 1
    assert sum(map(len, found.samples)) == len(frame)


def test_group_names_of_any_script_are_sorted(tmp_path: Path) -> None:
    names = ["b10", "b9", "²x", "٣", "é"]
    frame = trials().assign(model=names * 12)
    found = read(saved(frame, tmp_path), score="accuracy", params={"lr": "log"}, group="model")
    assert [s.name for s in found.samples] == ["٣", "b9", "b10", "²x", "é"]


def test_missing_scores_are_failures_with_the_worst_score_or_the_one_given(tmp_path: Path) -> None:
    frame = trials()
    frame.loc[[3, 5], "accuracy"] = np.nan
    frame.loc[8, "accuracy"] = np.inf
    path = saved(frame, tmp_path)
    (worst,) = read(path, score="accuracy", params=PARAMS).samples
    assert np.flatnonzero(worst.failed).tolist() == [3, 5, 8]
    there = frame["accuracy"][np.isfinite(frame["accuracy"])]
    assert worst.scores[worst.failed] == pytest.approx([there.min()] * 3)
    assert any("3 of 60 trials have no finite score" in note for note in worst.notes)
    (given,) = read(path, score="accuracy", params=PARAMS, failure_score=0.1).samples
    assert given.scores[given.failed].tolist() == [0.1] * 3
    (loss,) = read(path, score="loss", direction="minimize", params=PARAMS).samples
    assert not loss.failed.any()


def test_a_failed_trials_loss_has_its_own_sign(tmp_path: Path) -> None:
    frame = trials()
    frame.loc[0, "loss"] = np.nan
    asked = {"score": "loss", "direction": "minimize", "params": PARAMS, "failure_score": 2.3}
    (sample,) = read(saved(frame, tmp_path), **asked).samples
    assert sample.scores[0] == -2.3


def test_what_does_not_vary_or_is_missing_is_left_out_and_told(tmp_path: Path) -> None:
    frame = trials().assign(same=1.0, often=[1.0, None] * 30)
    params = {"lr": "log", "same": "linear", "often": "linear"}
    path = saved(frame, tmp_path)
    (sample,) = read(path, score="accuracy", params=params).samples
    assert sample.names == ("lr",)
    assert "same is left out: all trials have the same" in sample.notes
    assert "often is left out: not all trials have it" in sample.notes
    found = read(path, score="accuracy", params=params, group="model")
    assert "often is left out: no trial has it" in found.samples[1].notes


def test_words_for_nothing_are_values_where_values_are_names(tmp_path: Path) -> None:
    frame = trials().assign(kind=["None", "NA"] * 30, model=["null", "x"] * 30)
    params = {"lr": "log", "kind": "choice"}
    found = read(saved(frame, tmp_path), score="accuracy", params=params, group="model")
    assert [s.name for s in found.samples] == ["null", "x"]
    path = saved(frame, tmp_path)
    (sample,) = read(path, score="accuracy", params=params).samples
    assert sample.hyperparameters[1].choices == ("NA", "None")


def test_choices_of_several_types_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    values = [1, True, "1.0", 1.5, None, [1, 2]] * 4
    rows = [{"x": i / 24, "kind": v if v is not None else "no"} for i, v in enumerate(values)]
    path.write_text("\n".join(json.dumps({**row, "score": 0.5}) for row in rows) + "\n")
    (sample,) = read(str(path), score="score", params={"x": "linear", "kind": "choice"}).samples
    assert sample.hyperparameters[1].choices == ("1", "1.0", "1.5", "True", "[1, 2]", "no")


def test_several_margins(tmp_path: Path) -> None:
    path = saved(trials(), tmp_path)
    (sample,) = read(path, score="accuracy", params=PARAMS, points=[0.01, 0.02, 0.05]).samples
    assert (sample.unit, sample.points) == (0.01, (1.0, 2.0, 5.0))


def test_a_file_of_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    for name in ("hole.csv", "hole.jsonl"):
        path = tmp_path / name
        with path.open("wb") as file:
            file.truncate(2 << 30)  # zeros that take no room
        with pytest.raises(UserError, match=r"^trials: found"):
            read(str(path), score="accuracy", params=PARAMS)


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_more_trials_than_can_be_analysed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("table", "files"):
        monkeypatch.setattr(f"hpsuite.foreign.{module}.MOST_TRIALS", 59)
    assert table.MOST_TRIALS == 59
    with pytest.raises(UserError, match=r"^trials: found more than 59 trials; accepted: 59 or"):
        read(saved(trials(), tmp_path, kind), score="accuracy", params=PARAMS)


def _twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame[["lr"]]], axis=1)


@pytest.mark.parametrize(
    ("change", "asked", "line"),
    [
        (None, {"score": "acuracy"}, r"score: found 'acuracy'; accepted: a column: lr, depth"),
        (None, {"group": "nope"}, r"group: found 'nope'; accepted: a column: lr"),
        (None, {"test_score": "nope"}, r"test_score: found 'nope'; accepted: a column"),
        (None, {"params": {"nope": "log"}}, r"params: found 'nope'; accepted: a column"),
        (None, {"params": {"lr": "lg"}}, r"params.lr: found 'lg'; accepted: linear, log"),
        (None, {"params": {"lr": 3}}, r"params.lr: found 3; accepted: a scale \(linear"),
        (None, {"params": {"lr": {"scale": "log", "low": 1}}}, r"params.lr: found one of low and"),
        (None, {"params": {"lr": {"scale": "log", "lo": 1}}}, r"params.lr.lo: found no such key"),
        (
            None,
            {"params": {"lr": {"scale": "log", "low": 0.1, "high": 1.0}}},
            r"params.lr: found [\d.e-]+ in line \d+; accepted: 0.1 to 1$",
        ),
        (None, {"params": {"kind": {"scale": "choice", "low": 1, "high": 2}}}, r"params.kind: fo"),
        (None, {"params": {"kind": "log"}}, r"params.kind: found '\w+' in line 2; accepted: num"),
        (None, {"params": {}}, r"params: found nothing; accepted: columns and their scales"),
        (None, {"score": "kind", "params": {"lr": "log"}}, r"score: found '\w+' in line 2; acc"),
        (None, {"score": "lr"}, r"score: found 'lr', which params has too; accepted: each column"),
        (None, {"test_score": "lr"}, r"test_score: found 'lr', which params has too; accepted: ea"),
        (None, {"group": "accuracy"}, r"group: found 'accuracy', which score has too; accepted: e"),
        (
            None,
            {"group": "kind", "params": {"kind": "choice"}},
            r"group: found 'kind', the only one of params; accepted: another column, or more of",
        ),
        (
            None,
            {"params": {"opt": {"a (b)": "log"}}},
            r"params.opt: found \{.*names: params=\{opt.a\\ \\\(b\\\): log\}$",
        ),
        (None, {"study": "mine"}, r"study: found 'mine'; accepted: null for a file"),
        (None, {"points": 0.0}, r"points: found 0.0; accepted: greater than 0"),
        (None, {"points": [0.02, 0.01]}, r"points: found \[0.02, 0.01\]; accepted: one number"),
        (None, {"direction": "up"}, r"direction: found 'up'; accepted: 'maximize' or 'minimize'"),
        (None, {"group": "lr", "params": {"depth": "integer"}}, r"group: found 60 values of lr;"),
        (lambda f: f.assign(accuracy=None), {}, r"score: found no finite score in 60 trials"),
        (lambda f: f.assign(accuracy=True), {}, r"score: found true and false; accepted"),
        (lambda f: f.assign(lr=f["lr"] - 0.5), {}, r"params.lr: found -[\d.e-]+ in line \d+; acc"),
        (lambda f: f.assign(depth=f["depth"] + 0.5), {}, r"params.depth: found \d.5 in line 2;"),
        (
            lambda f: f.assign(lr=f["lr"].astype(object).where(f.index != 7, "fast")),
            {},
            r"params.lr: found 'fast' in line 9; accepted: numbers",
        ),
        (
            lambda f: f.assign(lr=f["lr"] * 2),
            {"params": {"lr": "one_minus_log"}},
            r"params.lr: found 1.\d+ in line \d+; accepted: less than 1",
        ),
        (
            lambda f: f.assign(depth=12),
            {"params": {"depth": "power_of_two"}},
            r"params.depth: found 12 in line 2; accepted: powers of two",
        ),
        (
            None,
            {"failure_score": 5},
            r"failure_score: found 5; accepted: at most the best score, 0.8",
        ),
        (
            None,
            {"score": "loss", "direction": "minimize", "failure_score": 0.01},
            r"failure_score: found 0.01; accepted: at least the best score, 0.1\d*, as lower is",
        ),
        (
            None,
            {"failure_score": -1e200},
            r"failure_score: found -1e\+200; accepted: -1e\+150 to 1e",
        ),
        (
            None,
            {"points": [0.02, 0.0200000001]},
            r"points: found .*; accepted: numbers that differ in",
        ),
        (None, {"points": 1e300}, r"points: found 1e\+300; accepted: 1e-150 to 1e\+150"),
        (
            None,
            {"params": {"opt": {"lr": "log", "wd": {"scale": "linear"}}}},
            r"params.opt: found \{.*; accepted: scale, low and high; of columns with dots in their "
            r"names: params=\{opt.lr: log, opt.wd: \{scale: linear\}\}$",
        ),
        (
            None,
            {"address": "none.csv", "params": {"lr": {"scale": "log", "low": 1.0, "high": 0.1}}},
            r"params.lr.low: found 1.0 with high 0.1; accepted: less than high",
        ),
        (
            None,
            {"address": "none.csv", "params": {"lr": {"scale": "linear", "low": 0, "high": 1e300}}},
            r"params.lr.high: found 1e\+300; accepted: -1e\+150 to 1e\+150",
        ),
        (
            lambda f: f.assign(accuracy=f["accuracy"].where(f.index != 5, -1e200)),
            {},
            r"score: found -1e\+200 in line 7; accepted: -1e\+150 to 1e\+150$",
        ),
        (
            lambda f: f.assign(test=f["test"].astype(object).where(f.index != 7, "x")),
            {"test_score": "test"},
            r"test_score: found 'x' in line 9; accepted: numbers",
        ),
        (
            lambda f: f[:1].assign(accuracy=np.nan),
            {"params": {"lr": "log"}},
            r"score: found no finite score in 1 trial; accepted",
        ),
        (_twice, {}, r"params: found 2 columns of the name 'lr'; accepted: one"),
        (lambda f: f[:0], {}, r"trials: found '.*'; accepted: a source with at least one trial"),
    ],
)
def test_mistakes_are_one_line_each(
    change: object, asked: dict[str, object], line: str, tmp_path: Path
) -> None:
    frame = trials() if change is None else change(trials())  # type: ignore[operator]
    path = saved(frame, tmp_path)
    with pytest.raises(UserError, match=rf"^{line}") as raised:
        read(**{"address": path, "score": "accuracy", "params": PARAMS, **asked})  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"lr,accuracy\n1,2\n1,2,3,4\n"),
        ("t.csv", b"\xff\xfe\x00lr"),
        ("t.csv", b""),
        ("t.parquet", b"PAR1 and no more"),
        ("t.jsonl", b'{"lr": 1, "accuracy": '),
        ("t.jsonl", b"[1, 2]\n"),
        ("t.jsonl", b'{"lr": 1, "lr": 2, "accuracy": 1}\n'),
        ("t.xlsx", b"PK"),
        ("t.csv.gz", b"\x1f\x8b"),
    ],
)
def test_files_that_are_no_tables(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read(str(path), score="accuracy", params={"lr": "linear"})
    assert str(raised.value).startswith(("trials: found", "score: found", "params: found"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "encoding", "change", "line"),
    [
        ("t.csv", "utf-16", {}, r"found '.*t.csv'; accepted: text in UTF-8 \('utf-8' codec can"),
        ("t.csv", "utf-16-le", {}, r"found '.*t.csv'; accepted: text in UTF-8 \(this has zeros"),
        ("t.csv", "latin-1", {"a": "é"}, r"found '.*t.csv'; accepted: text in UTF-8 \('utf-8'"),
        ("t.jsonl", "utf-16", {}, r"found '.*t.jsonl'; accepted: text in UTF-8 \("),
        ("t.csv", "utf-8", {",": ";"}, r"found columns separated by semicolons in the first line"),
        ("t.csv", "utf-8", {",": "\t"}, r"found columns separated by tabs .* accepted: commas"),
    ],
)
def test_texts_of_other_kinds(
    name: str, encoding: str, change: dict[str, str], line: str, tmp_path: Path
) -> None:
    text = "lr,accuracy\n0.1,0.5\n" if name == "t.csv" else '{"lr": 0.1, "accuracy": 0.5}\n'
    for old, new in change.items():
        text = text.replace(old, new)
    (tmp_path / name).write_bytes(text.encode(encoding))
    with pytest.raises(UserError, match=rf"^trials: {line}") as raised:
        read(str(tmp_path / name), score="accuracy", params={"lr": "linear"})
    assert "\n" not in str(raised.value)


def test_a_single_column_with_a_semicolon_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;b\n1\n")
    with pytest.raises(UserError, match=r"^params: found 'c'; accepted: a column: a;b$"):
        read(str(tmp_path / "t.csv"), score="a;b", params={"c": "linear"})


def test_the_column_of_the_group_is_no_hyperparameter(tmp_path: Path) -> None:
    """Also where both groups tried the same configurations, which are then paired."""
    frame = pd.concat([trials(30).assign(kind="relu"), trials(30).assign(kind="tanh")])
    path = saved(frame, tmp_path)
    one = read(path, score="accuracy", params=PARAMS, group="kind").samples
    two = read(
        path, score="accuracy", params={"lr": "log", "depth": "integer"}, group="kind"
    ).samples
    assert [s.hyperparameters for s in one] == [s.hyperparameters for s in two]
    assert [s.notes for s in one] == [s.notes for s in two]
    (pair,) = group_differences([setup_evidence(s) for s in one])
    assert pair.paired


@pytest.mark.parametrize("column", ["accuracy", "lr", "test"])
@pytest.mark.parametrize("kind", ["dates", "durations", "days"])
def test_dates_are_no_numbers(column: str, kind: str, tmp_path: Path) -> None:
    frame = trials()
    dates = pd.date_range("2026-01-01", periods=len(frame))
    values = {"dates": dates, "durations": dates - dates[0], "days": dates.date}[kind]
    path = saved(frame.assign(**{column: values}), tmp_path, "parquet")
    key = {"accuracy": "score", "lr": "params.lr", "test": "test_score"}[column]
    with pytest.raises(UserError, match=rf"^{key}: found .*; accepted: (a column of )?numbers$"):
        read(path, score="accuracy", params=PARAMS, test_score="test")


def test_an_integer_of_400_digits(tmp_path: Path) -> None:
    path = Path(saved(trials(), tmp_path, "jsonl"))
    row = {"lr": 0.1, "depth": 2, "kind": "relu", "accuracy": int("7" * 400)}
    path.write_text(path.read_text() + json.dumps(row) + "\n")
    with pytest.raises(
        UserError, match=r"^score: found 7{40}... \(400 characters\) in line 61; accepted: -1e"
    ):
        read(str(path), score="accuracy", params=PARAMS)


def test_a_torn_line_is_named(tmp_path: Path) -> None:
    path = Path(saved(trials(), tmp_path, "jsonl"))
    for torn in ('{"lr": 0.1, "accu', '{"lr": 1, "lr": 2}', "[" * 100_000):
        path.write_text("\n\n" + torn + "\n")
        with pytest.raises(UserError, match=r"^trials: found line 3 torn or no JSON \(") as raised:
            read(str(path), score="accuracy", params=PARAMS)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "numbers"), [("csv", [3, 6, 7]), ("jsonl", [2, 4, 5]), ("parquet", [0, 1, 2])]
)
def test_trials_keep_their_place_in_the_file(kind: str, numbers: list[int], tmp_path: Path) -> None:
    frame = trials(3).assign(kind=["a\nb", "c", "d"])
    path = Path(saved(frame, tmp_path, kind))
    if kind == "csv":  # an empty line, and a value over two lines
        head, rest = path.read_text().split("\n", 1)
        path.write_text(f"{head}\n\n" + rest.replace('b"', 'b"', 1).replace("mlp\n", "mlp\n\n", 1))
    if kind == "jsonl":
        path.write_text("\n" + path.read_text().replace("\n", "\n\n", 1))
    (sample,) = read(str(path), score="accuracy", params={"lr": "log"}).samples
    assert list(sample.numbers) == numbers
    by_model = read(str(path), score="accuracy", params={"lr": "log"}, group="model").samples
    assert [list(s.numbers) for s in by_model] == [[numbers[0], numbers[2]], [numbers[1]]]


def test_trials_without_a_group_come_last_and_are_told(tmp_path: Path) -> None:
    frame = trials().assign(model=["(none)"] * 20 + ["zeta"] * 20 + [None] * 20)
    frame.loc[50:, "accuracy"] = np.nan
    found = read(saved(frame, tmp_path), score="accuracy", params=PARAMS, group="model")
    assert [(s.name, len(s)) for s in found.samples] == [
        ("(none)", 20),
        ("zeta", 20),
        ("((none))", 20),
    ]
    note = (
        "20 of 60 trials have no model, 10 of them without a finite score (they fail in no other "
        "group), and are in the group ((none))"
    )
    assert all(note in s.notes for s in found.samples)


def test_a_failure_is_worse_than_the_best_of_its_group(tmp_path: Path) -> None:
    frame = trials()
    frame.loc[frame["model"] == "mlp", "accuracy"] -= 0.3
    frame.loc[0, "accuracy"] = np.nan
    path = saved(frame, tmp_path)
    asked = {"score": "accuracy", "params": PARAMS, "failure_score": 0.7}
    read(path, **asked)
    with pytest.raises(
        UserError, match=r"^failure_score: found 0.7; .* the best score in mlp, 0.5"
    ):
        read(path, **asked, group="model")


def test_one_of_them_is_in_the_singular(tmp_path: Path) -> None:
    frame = trials()
    frame.loc[0, "accuracy"] = np.nan
    (sample,) = read(saved(frame, tmp_path), score="accuracy", params=PARAMS).samples
    assert "1 of 60 trials has no finite score: it counts as the worst score of all others" in (
        sample.notes
    )


def test_what_all_of_a_group_have_alike_is_part_of_the_configuration(tmp_path: Path) -> None:
    half = trials(20).assign(depth=2, model="a")
    frame = pd.concat([half, half.assign(model="b", accuracy=half["accuracy"] - 0.01)])
    asked = {"score": "accuracy", "params": PARAMS, "group": "model"}
    for depth, paired in ((2, True), (3, False)):
        frame.loc[frame["model"] == "b", "depth"] = depth
        found = read(saved(frame, tmp_path), **asked)
        assert all("depth" not in s.names for s in found.samples)
        (pair,) = group_differences([setup_evidence(s) for s in found.samples])
        assert pair.paired is paired


def test_a_file_without_permission_says_so() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name in ("t.csv", "study.journal", "t.jsonl"):
            path = Path(folder) / name
            path.write_text("lr,accuracy\n1,2\n")
            path.chmod(0)
            superuser = os.geteuid() == 0
            if superuser:
                os.seteuid(65534)
            try:
                with pytest.raises(
                    UserError, match=r"^trials: .* can be read \(Permission denied\)"
                ):
                    read(str(path), score="accuracy", params={"lr": "linear"})
            finally:
                if superuser:
                    os.seteuid(0)
