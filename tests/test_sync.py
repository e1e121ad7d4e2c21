"""`+experiment=sync`: MLflow brought up to date from the record, by the commands in summaries."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hpsuite.checks import UserError
from hpsuite.earlier import Earlier, asked_again, earlier_runs
from tests.commands import Command, check_refused

# Two arms of two trials, without the report: drawing takes most of a second.
SMALL = (
    "name=small",
    "+matrix.strategy=[random,log_random]",
    "budget.trials=2",
    "budget.steps=5",
    "repeats=1",
    "model.units=4",
    "executor=inline",
    "analysis.report=false",
)
DOWN = "tracking.uri=http://127.0.0.1:9"


def up() -> str:
    """Whole, as MLflow keeps databases open by their address."""
    return f"tracking.uri=sqlite:///{Path.cwd()}/mlflow.db"


@pytest.fixture(autouse=True)
def asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a server that is down on purpose."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def dump(database: str = "mlflow.db") -> list[str]:
    """All that is there, but for which files say what: a summary holds its own command."""
    with closing(sqlite3.connect(database)) as connection:
        return [line for line in connection.iterdump() if "hpsuite.files" not in line]


def active(database: str = "mlflow.db") -> list[str]:
    """Keys of all runs that are not superseded."""
    ask = "select run_uuid, value from tags where key = ?"
    with closing(sqlite3.connect(database)) as connection:
        kinds = dict(connection.execute(ask, ("hpsuite.kind",)).fetchall())
        keys = dict(connection.execute(ask, ("hpsuite.key",)).fetchall())
    return sorted(key for run, key in keys.items() if not kinds[run].startswith("superseded"))


def lines(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("small: ")]


def test_mlflow_that_was_down_is_brought_up_to_date(command: Command) -> None:
    ended = command(*SMALL, "analysis.fresh_seeds=2", DOWN)
    assert ended.status == 0
    assert ended.out.count("MLflow was not updated: ") == 1
    assert "+experiment=sync, brings MLflow up to date" in ended.out
    left = [path.name for path in Path("outputs/small").iterdir()]
    record = Path("hpsuite.journal").read_bytes()

    ended = command("+experiment=sync")
    assert ended.status == 1
    (line,) = lines(ended.out)
    assert line.startswith("small: not up to date: MLflow at http://127.0.0.1:9: Conn")
    ended = command("+experiment=sync", up())
    assert (ended.status, ended.err) == (0, "")
    (line,) = lines(ended.out)
    assert line.startswith("small: 4 runs created, 0 unchanged, 0 superseded in MLflow at sqlite")

    # As the command itself would have written it.
    before, keys = dump(), active()
    assert len(set(keys)) == len(keys) == 4 + 2 * 2
    assert command(*SMALL, "analysis.fresh_seeds=2", up()).status == 0
    assert dump() == before
    # The newest command says where MLflow is.
    assert command("+experiment=sync", "experiments=small").status == 0
    assert dump() == before
    # Nothing was trained, and no files were written but those of the command.
    assert Path("hpsuite.journal").read_bytes() == record
    assert len(list(Path("outputs/small").iterdir())) == len(left) + 1


@pytest.mark.slow
def test_what_the_newest_command_shows_no_older_one_replaces(command: Command) -> None:
    for own in (["repeats=1"], ["repeats=2"], ["repeats=1", "model=mlp_bn"], ["tracking=none"]):
        assert command(*SMALL, *own, DOWN).status == 0
    ended = command("+experiment=sync", up())
    assert ended.status == 0
    first, *others = lines(ended.out)
    assert first.startswith("small: left out: it was run with tracking=none (python -m hpsuite")
    assert [line.partition(" in ")[0] for line in others] == [
        "small: 4 runs created, 0 unchanged, 0 superseded",
        "small: 4 runs created, 0 unchanged, 0 superseded",
    ]
    before, keys = dump(), active()
    assert len(set(keys)) == len(keys)
    assert command("+experiment=sync", up()).status == 0
    assert dump() == before


def test_a_record_that_is_short_of_trials(command: Command) -> None:
    assert command(*SMALL, "tracking=none").status == 0
    (summary,) = Path("outputs").glob("small/*/summary.json")
    said = json.loads(summary.read_text())
    said["command"] = said["command"].replace(" tracking=none", "").replace("s=1", "s=3", 1)
    summary.write_text(json.dumps(said))
    assert "repeats=3" in said["command"]
    record = Path("hpsuite.journal").read_bytes()
    ended = command("+experiment=sync")
    assert ended.status == 1
    (line,) = lines(ended.out)
    assert line == (
        f"small: not up to date: 8 trials are missing in the record; {said['command']} trains them"
    )
    assert Path("hpsuite.journal").read_bytes() == record
    Path("hpsuite.journal").unlink()
    ended = command("+experiment=sync")
    assert ended.status == 1
    assert lines(ended.out)[0].startswith("small: not up to date: storage: found 'hpsuite.journal'")
    assert ended.left == ["outputs"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("", "output_dir: found 'outputs'; accepted: a folder in which experiments have left"),
        ("repeats=3", "repeats: found a key that trains, which sync does not; accepted: "),
        ("tracking=none", "tracking: found 'none'; accepted: mlflow, as that is what sync writes"),
        ("tracking.time_limit=0", "tracking.time_limit: found 0; accepted: "),
        ("experiments=[3]", "experiments"),
    ],
)
def test_a_mistake_is_one_line(command: Command, arguments: str, line: str) -> None:
    check_refused(command("+experiment=sync", *arguments.split()), line)


def run_of(command: str) -> Earlier:
    return Earlier("small", Path("outputs/small/now"), {"command": command})


def test_a_command_is_taken_apart(tmp_path: Path) -> None:
    own = run_of(
        f"python -m hpsuite --config-dir {tmp_path} --config-name mine 'title=\"a b\"' a=1"
    )
    asked = asked_again(own, ["storage=other"], ["mine"])
    assert asked.config_name == "mine"
    assert asked.overrides == (
        *('title="a b"', "a=1", "storage=other", "packages=['mine']"),
        f"hydra.searchpath=['file://{tmp_path}']",
    )


@pytest.mark.parametrize(
    "command",
    [
        "",
        "python -m other a=1",
        "python -m hpsuite 'a=1",
        "python -m hpsuite --config-dir nowhere a=1",
        "python -m hpsuite a=1 --multirun",
        "python -m hpsuite hydra.searchpath=[pkg://mine]",
        "python -m hpsuite ++hydra.searchpath=[pkg://mine]",
        "python -m hpsuite +hydra/launcher=mine",
        "python -m hpsuite storage=postgresql://me:***@there/record",
        "python -m hpsuite 'title=${oc.env:SECRET}'",
        "python -m hpsuite 'storage=sqlite:///${oc.env:SECRET}.db'",
    ],
)
def test_commands_that_are_not_composed(command: str) -> None:
    with pytest.raises(UserError):
        asked_again(run_of(command), ["tracking.uri=http://there"], [])


def test_what_stands_for_something_else_is_given_again() -> None:
    own = run_of("python -m hpsuite 'tracking.uri=http://there/${oc.env:SECRET}' a=1")
    with pytest.raises(UserError, match=r"^tracking\.uri: found \$\{\.\.\.\} in outputs"):
        asked_again(own, [], [])
    asked = asked_again(own, ["tracking.uri=http://here"], [])
    assert asked.overrides[-2:] == ("tracking.uri=http://here", "packages=[]")


def test_passwords_are_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    storage, uri = "storage=postgresql://me:***@there/record", "tracking.uri=http://me:***@there"
    own = run_of(f"python -m hpsuite {storage} {uri}")
    given = ["storage=postgresql://me:secret@there/record"]
    with pytest.raises(UserError, match=r"tracking\.uri: its password is in no summary"):
        asked_again(own, given, [])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@there")
    asked = asked_again(own, given, [])
    assert asked.overrides == (storage, uri, "tracking.uri=null", *given, "packages=[]")


def test_a_summary_does_not_allow_code_to_be_run(command: Command) -> None:
    assert command(*SMALL, "tracking=none").status == 0
    Path("evil.py").write_text("open('was run', 'w')\n")
    (summary,) = Path("outputs").glob("small/*/summary.json")
    said = json.loads(summary.read_text())
    said["command"] = "python -m hpsuite name=small packages=[evil] model._target_=evil.model"
    summary.write_text(json.dumps(said))
    ended = command("+experiment=sync")
    assert ended.status == 1
    assert "packages=[evil], which runs its code" in lines(ended.out)[0]
    assert "was run" not in ended.left


def test_the_newest_run_of_each_command(tmp_path: Path) -> None:
    for time, said in [
        ("2026-01-02T03-04-05", "a"),
        ("2026-01-02T03-04-05-2", "b"),
        ("2026-01-02T03-04-05-10", "a"),
        ("2026-01-01T00-00-00", "c"),
        (".writing-x", "d"),
    ]:
        (tmp_path / "small" / time).mkdir(parents=True)
        (tmp_path / "small" / time / "summary.json").write_text(json.dumps({"command": said}))
    (tmp_path / "small" / "2025-01-01T00-00-00").mkdir()
    (tmp_path / "small" / "2025-01-01T00-00-00" / "summary.json").write_text("torn {")
    found = [(run.folder.name, run.command) for run in earlier_runs(tmp_path, "small")]
    assert found == [
        ("2026-01-02T03-04-05-10", "a"),
        ("2026-01-02T03-04-05-2", "b"),
        ("2026-01-01T00-00-00", "c"),
        ("2025-01-01T00-00-00", ""),
    ]
