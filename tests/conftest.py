"""Settings for all tests: one thread, no network, nobody's MLflow server, and where data lies."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Command, Ended, names

# Read when numpy and torch are first imported, so set before any test module is. One thread is
# what the worker processes use, keeps results bitwise repeatable, and is fastest on small nets.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# A test that wants a server or a storage names it; a developer's own is never written to.
os.environ.pop("MLFLOW_TRACKING_URI", None)

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Ignore what hpsuite ignores itself: Optuna calls some of its samplers experimental."""
    ignored = "ignore::optuna.exceptions.ExperimentalWarning"
    config.addinivalue_line("filterwarnings", ignored)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` where there is no CUDA device."""
    if item.get_closest_marker("gpu") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded data is cached in a folder of this session, and nobody's home is written to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPSUITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """`python -m hpsuite` in an empty folder, within this process."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HPSUITE_DATA", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # main sets it, and the test puts it back

    def command(*arguments: str) -> Ended:
        from hpsuite.__main__ import main

        monkeypatch.setattr(sys, "argv", ["hpsuite", *arguments])
        handlers = list(logging.root.handlers)
        with pytest.raises(SystemExit) as ended:
            main()
        logging.root.handlers = handlers  # those of a run write to what the test captured
        out, err = capfd.readouterr()
        return Ended(int(ended.value.code or 0), out, err, names(folder))

    return command


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for the name of a socket, of 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="a b ") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """A `data_dir` that holds MNIST: HPSUITE_DATA, or ../shared/data beside the checkout."""
    return _data_dir("MNIST", "MNIST/raw")


@pytest.fixture(scope="session")
def cifar10_jpeg_dir() -> Path:
    """A `data_dir` that holds cifar10_jpeg, looked for in the same places."""
    return _data_dir("cifar10_jpeg", "cifar10_jpeg.tar.gz")


def _data_dir(name: str, file: str) -> Path:
    folder = Path(os.environ.get("HPSUITE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / file).exists():
        pytest.skip(f"needs {name} ({file} in HPSUITE_DATA; looked in {folder})")
    return folder
