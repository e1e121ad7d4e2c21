"""What SECURITY.md promises: nothing of others is run, nothing is told that should not be.

Archives are in `datasets/test_archives.py`, CIFAR-10's sums in `datasets/test_cifar10.py`, the
targets of groups and a run's name in `test_parsing.py`, checkpoints in `training/test_days.py`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hpsuite
from hpsuite.checks import UserError
from hpsuite.hydra_targets import check_hydra
from hpsuite.texts import without_password
from hpsuite.tracking import ui
from tests.commands import Command, check_refused

PACKAGE = Path(hpsuite.__file__).resolve().parent

# What runs, or may run, what it reads; what writes where an archive says; what listens.
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "system", "popen"),
    *("pickle.load", "pickle.loads", "Unpickler", "read_pickle", "marshal.loads", "joblib.load"),
    *("yaml.load", "yaml.load_all", "unsafe_load", "full_load", "shelve.open"),
    *("extract", "extractall", "unpack_archive"),
    *("bind", "listen", "serve_forever", "create_server", "HTTPServer", "TCPServer"),
}
# Calls that are safe with an argument of this value.
ONLY_WITH = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}


def dangers(source: str) -> Iterator[str]:
    """The calls of a source that run what they read, by name."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        given = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
        if given.get("shell"):
            yield f"{name} in a shell"
        if name in ONLY_WITH and ONLY_WITH[name] not in given.items():
            yield name
        is_method = name != last and last == "eval" and not node.args
        is_safe = name in ("re.compile", "torch.compile") or is_method
        if not is_safe and {name, last} & FORBIDDEN:
            yield name


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("torch.load(path)", ["torch.load"]),
        ("torch.load(path, weights_only=False)", ["torch.load"]),
        ("torch.load(path, weights_only=True)", []),
        ("np.load(path)", ["np.load"]),
        ("np.load(path, allow_pickle=False)", []),
        ("pickle.loads(text)", ["pickle.loads"]),
        ("eval(text)", ["eval"]),
        ("model.eval()(x)", []),
        ("yaml.load(text, Loader)", ["yaml.load"]),
        ("yaml.safe_load(text)", []),
        ("archive.extractall(folder)", ["archive.extractall"]),
        ("subprocess.run(text, shell=True)", ["subprocess.run in a shell"]),
        ("re.compile(text)", []),
        ("server.bind(address)", ["server.bind"]),
    ],
)
def test_dangers_are_found(source: str, found: list[str]) -> None:
    assert list(dangers(source)) == found


def test_nothing_runs_what_it_reads_nor_listens() -> None:
    found = {
        str(path.relative_to(PACKAGE)): names
        for path in PACKAGE.rglob("*.py")
        if (names := list(dangers(path.read_text(encoding="utf-8"))))
    }
    # The UI looks for a free port, on loopback, and does not listen there. What a batch's own
    # process and the main process say to each other goes by pickle.
    assert found == {
        "on_ray/executor.py": ["pickle.loads"],
        "serving.py": ["pickle.loads"],
        "tracking/ui.py": ["any_port.bind", "server.bind"],
    }
    assert ui.HOST == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql+psycopg://me:se/c:r@et@host/db", "postgresql+psycopg://me:***@host/db"),
        ("redis://:secret@host", "redis://:***@host"),
        ("https://secret@host/mlflow", "https://***@host/mlflow"),
        ("https://me:secret@host/mlflow", "https://me:***@host/mlflow"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        (
            "mysql://host/db?user=me&password=secret&ssl=1",
            "mysql://host/db?user=me&password=***&ssl=1",
        ),
        ("postgresql://h/d?sslpassword=secret", "postgresql://h/d?sslpassword=***"),
        ("https://h/?access_token=secret#x", "https://h/?access_token=***#x"),
        ("https://h/?x=1&API_KEY=secret", "https://h/?x=1&API_KEY=***"),
        ("'storage=mysql://a:secret@h/d' 'seed=1'", "'storage=mysql://a:***@h/d' 'seed=1'"),
        ("sqlite:///record.db", "sqlite:///record.db"),
        ("http://127.0.0.1:5000/#/x mail@host", "http://127.0.0.1:5000/#/x mail@host"),
    ],
)
def test_passwords_are_hidden(text: str, shown: str) -> None:
    assert without_password(text) == shown
    assert without_password(shown) == shown
    assert str(UserError(text)) == shown


ADDRESS = "postgresql+no_such_driver://me:secret@127.0.0.1:1/x?sslpassword=hushed"


@pytest.mark.parametrize(
    "arguments",
    [
        ["name=x", f"storage={ADDRESS}"],
        ["name=x", f"storage='{ADDRESS}'", "seed=[1"],
        ["name=x", f"storage={ADDRESS}["],
        ["-m", "name=x", f"storage={ADDRESS}["],
        ["name=x", f"+storages={ADDRESS}"],
        ["name=x", f"tracking={ADDRESS}"],
        ["name=x", f"output_dir=/proc/none/{ADDRESS}"],
        ["+experiment=analyze", f"trials={ADDRESS}", "points=1"],
        ["+experiment=analyze", "trials=mlflow:x", f"tracking.uri={ADDRESS}", "points=1"],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_no_line_tells_a_password(command: Command, arguments: list[str]) -> None:
    ended = command(*arguments)
    check_refused(ended, "")
    assert "secret" not in ended.err
    assert "hushed" not in ended.err


def test_no_file_and_no_message_tells_a_password(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole run: its record in a database with a token, its view where nobody is."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ADDRESS.replace("postgresql", "mysql"))
    record = "storage='sqlite:///file:record.db?token=secret&uri=true'"
    asked = ("budget.trials=2", "budget.steps=2", "repeats=1", "executor=inline", "log_level=debug")
    ended = command("name=x", record, *asked)
    assert ended.status == 0, ended.err
    assert "MLflow was not updated" in ended.out
    texts = {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()}
    assert {"summary.json", "report.md", "report.html"} <= {path.name for path in texts}
    for told in (ended.out.encode(), ended.err.encode(), *texts.values()):
        assert b"secret" not in told
        assert b"hushed" not in told


@pytest.mark.parametrize("driver", ["postgresql", "mysql+no_such_driver"])
def test_a_fit_tells_no_password(
    driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    address = ADDRESS.replace("postgresql+no_such_driver", driver)
    with pytest.raises(ValueError, match=r"^storage: ") as caught:
        hpsuite.fit(storage=address, trials=2, steps=2, progress=False)
    assert "secret" not in str(caught.value)
    assert "hushed" not in str(caught.value)


EVIL = {
    "callback": "hydra: {callbacks: {x: {_target_: os.makedirs, name: DONE}}}",
    "log": "hydra: {hydra_logging: {version: 1, formatters: {x: {(): os.makedirs, name: DONE}}}}",
    "stream": "hydra: {job_logging: {version: 1, root: {x: 'ext://evil.module'}}}",
    "import": "hydra: {callbacks: {x: {_target_: hydra.utils.get_method, path: evil.module}}}",
    "model": "model: {_target_: os.makedirs, name: DONE}",
    "matrix": "matrix: {model._target_: [os.makedirs], dataset._target_: [os.makedirs]}",
}

# What the line must name, where it is not os.makedirs.
NAMED = {"stream": "ext://evil.module", "import": "hydra.utils.get_method"}


@pytest.mark.parametrize("how", ["--config-dir", "hydra.searchpath"])
@pytest.mark.parametrize("kind", EVIL)
def test_a_foreign_folder_has_nothing_run(
    command: Command, tmp_path: Path, kind: str, how: str
) -> None:
    folder, done = tmp_path / "own", tmp_path / "done"
    (folder / "experiment").mkdir(parents=True)
    text = f"# @package _global_\nname: x\n{EVIL[kind].replace('DONE', str(done))}\n"
    (folder / "experiment" / "evil.yaml").write_text(text)
    given = [how, str(folder)] if how == "--config-dir" else [f"{how}=['file://{folder}']"]
    for more in ([], ["-m"]):
        ended = command(*more, *given, "+experiment=evil")
        check_refused(ended, "hydra." if kind not in ("model", "matrix") else "")
        assert f"found '{NAMED.get(kind, 'os.makedirs')}'" in ended.err
        assert not done.exists()


def test_ones_own_packages_may_be_built_by_hydra() -> None:
    node = {"callbacks": {"x": {"_target_": "mine.Callback"}}}
    with pytest.raises(UserError, match=r"^hydra.callbacks.x._target_: found 'mine.Callback'; acc"):
        check_hydra(node)
    check_hydra(node, ["mine"])
    check_hydra({"callbacks": {"x": {"_target_": "hpsuite.multirun.CheckFirst"}}})
