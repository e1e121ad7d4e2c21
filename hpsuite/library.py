"""hpsuite from Python: a study, its trials and its sensitivity in a few lines of a notebook.

It composes the same configuration as the command line, checks it in the same way and trains the
same trials; only what is printed and written differs.
"""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import optuna
import torch
from hydra import initialize_config_dir
from optuna.storages import BaseStorage
from rich.console import Console

from hpsuite.analysis import Sensitivity
from hpsuite.arms import ArmRun, open_studies, plan_arms
from hpsuite.asking import (
    Arrays,
    Builder,
    ask_choice,
    ask_dataset,
    ask_executor,
    ask_packages,
    ask_places,
    ask_value,
)
from hpsuite.checks import refuse
from hpsuite.compose import compose_experiment
from hpsuite.config import Arm, Settings
from hpsuite.executors import count_workers
from hpsuite.experiment import (
    Again,
    Moved,
    alone_if_short,
    analysed,
    checkpoints_of,
    find_device,
    train_again,
    train_missing,
)
from hpsuite.findings import Findings
from hpsuite.on_ray.cluster import check_ray, reached
from hpsuite.overrides import config_dir as conf_dir
from hpsuite.record import open_storage
from hpsuite.report.console import make_console
from hpsuite.report.files import trial_rows
from hpsuite.report.flat import arm_figures, arm_names, setup_figures
from hpsuite.report.tables import print_tables
from hpsuite.training import Planner
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import Scalar

if TYPE_CHECKING:
    import pandas as pd

Space = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Fit:
    """What was trained, and what it says.

    Attributes:
        findings: all figures, of setups, arms and their differences.
        studies: the Optuna studies, by name, in order of arm and repeat.
    """

    findings: Findings
    studies: Mapping[str, optuna.Study]

    @property
    def study(self) -> optuna.Study:
        """The Optuna study, where there is one alone.

        Raises:
            ValueError: where there are several.
        """
        if len(self.studies) != 1:
            raise ValueError(
                f"study: found {len(self.studies)} studies; accepted: one; see studies, by name"
            )
        return next(iter(self.studies.values()))

    @property
    def trials(self) -> "pd.DataFrame":
        """All trials, a row each: hyperparameters by name, accuracies in [0, 1], outcome."""
        import pandas as pd

        header, *rows = trial_rows([arm.table for arm in self.findings.arms])
        frame = pd.DataFrame(rows, columns=[str(name) for name in header])
        return frame.replace("", np.nan).infer_objects()

    @property
    def best(self) -> dict[str, Scalar]:
        """Hyperparameters of the trial that validation selects among all, and its accuracies."""
        tables = [arm.table for arm in self.findings.arms]
        study = max(
            (study for table in tables for study in table.studies),
            key=lambda study: study.best.merit[:2],
        )
        best = study.best
        return {
            **study.values[best.number],
            "val_accuracy": best.val_accuracy,
            "test_accuracy": best.test_accuracy,
        }

    @property
    def sensitivity(self) -> Sensitivity:
        """How sensitive the setup is to its hyperparameters, where there is one setup.

        Raises:
            ValueError: where there are several, or no reference sample, and why.
        """
        if len(self.findings.setups) != 1:
            found = f"{len(self.findings.setups)} setups"
            raise ValueError(f"sensitivity: found {found}; accepted: one; see setups, a row each")
        (setup,) = self.findings.setups
        if setup.sensitivity is None:
            raise ValueError(f"sensitivity: {setup.reason}")
        return setup.sensitivity

    @property
    def setups(self) -> "pd.DataFrame":
        """The setups' figures, a row each, under the names of summary.json."""
        import pandas as pd

        return pd.DataFrame([setup_figures(setup) for setup in self.findings.setups])

    @property
    def arms(self) -> "pd.DataFrame":
        """The arms' figures, a row each, under the names of summary.json."""
        import pandas as pd

        return pd.DataFrame(
            [{**arm_names(arm.table), **arm_figures(arm)} for arm in self.findings.arms]
        )

    def __str__(self) -> str:
        text = io.StringIO()
        print_tables(self.findings, Console(file=text, width=120))
        return text.getvalue().rstrip()

    def __repr__(self) -> str:
        arms = ", ".join(arm.table.arm.label for arm in self.findings.arms)
        return f"<hpsuite.Fit of {len(self.studies)} studies: {arms}>"

    def _repr_html_(self) -> str:
        console = Console(file=io.StringIO(), width=120, record=True)
        print_tables(self.findings, console)
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def fit(
    *overrides: str,
    dataset: str | Arrays | None = None,
    model: str | Builder | None = None,
    optimizer: str | None = None,
    space: str | Space | None = None,
    strategy: str | Builder | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    repeats: int | None = None,
    seed: int | None = None,
    workers: int | None = 1,
    storage: str | None = None,
    config_dir: str | Path | None = None,
    progress: bool = True,
) -> Fit:
    """Train studies, and say how sensitive their setups are and what their strategies found.

    What is not said is as on the command line (conf/config.yaml), but for 64 trials in one study
    where no experiment is named. Everything is checked before anything is trained.

    Args:
        overrides: of any key, as on the command line: `"model.layers=3"`,
            `"matrix.model=[mlp, mlp_bn]"`, `"+experiment=quickstart"`.
        dataset: an option's name; or inputs [N, ...] and classes [N], of which a fifth validates
            and a fifth tests, in proportion by class.
        model: an option's name; or a function or class `(input_shape, n_classes, **arguments) ->
            torch.nn.Module`, perhaps with arguments by `functools.partial`.
        optimizer: an option's name.
        space: an option's name; or hyperparameters, each with its scale and range, such as
            `{"learning_rate": {"scale": "log", "low": 1e-4, "high": 1}}`.
        strategy: an option's name; or an Optuna sampler's class, perhaps with arguments by
            `functools.partial`.
        trials: of each study, >= 1.
        epochs, steps: of each trial, >= 1; one of them.
        repeats: studies of each arm, >= 1.
        seed: of all trials, >= 0.
        workers: processes that train on the CPU, >= 1; None for one a core. With more than one, a
            script needs `if __name__ == "__main__":`, and a model must lie in a module.
        storage: the record, as on the command line: the same call goes on where it stopped. None
            keeps it in memory.
        config_dir: a folder of your own options, as with `--config-dir`.
        progress: whether to show it.

    Returns:
        What was trained. On the CPU the trials are those of the command line to the bit, unless
        this process multiplied matrices by MKL before its first fit: then the last bits may differ.

    Raises:
        ValueError: one line that names the key, what was found and what is accepted.
    """
    for text in overrides:
        if not isinstance(text, str):
            raise refuse("overrides", text, "texts, such as 'model.layers=3'")
    alone = not any(text.startswith("+experiment=") for text in overrides)
    n_threads = torch.get_num_threads()
    try:
        with tempfile.TemporaryDirectory(prefix="hpsuite-") as scratch, _quiet():
            asked = [
                *(["name=fit"] if alone else []),
                *ask_dataset(dataset, Path(scratch)),
                *ask_choice("model", model),
                *ask_choice("optimizer", optimizer),
                *ask_choice("space", space),
                *ask_choice("strategy", strategy),
                *ask_value("budget.trials", 64 if trials is None and alone else trials),
                *ask_value("budget.epochs", epochs),
                *ask_value("budget.steps", steps),
                *ask_value("repeats", 1 if repeats is None and alone else repeats),
                *ask_value("seed", seed),
                *ask_places(storage, Path(scratch), config_dir),
                *ask_executor(workers, model),
                *overrides,
                *ask_packages((model, strategy), overrides),
            ]
            return _train(asked, in_memory=storage is None, progress=progress)
    finally:
        torch.set_num_threads(n_threads)


def _train(asked: Sequence[str], *, in_memory: bool, progress: bool) -> Fit:
    """Compose, check, train and analyse what overrides ask for."""
    reproducible()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        settings, arms = compose_experiment(asked)
    if settings.plan:
        raise refuse("plan", True, "false, as a fit trains; see python -m hpsuite plan=true")
    device = find_device(settings.device)
    check_ray(settings.executor, device)
    with reached(settings.executor, device):
        runs, again, studies = _trained(
            settings, arms, device, in_memory=in_memory, progress=progress
        )
    return Fit(analysed(settings, runs, *again), studies)


def _trained(
    settings: Settings,
    arms: Sequence[Arm],
    device: torch.device,
    *,
    in_memory: bool,
    progress: bool,
) -> tuple[list[ArmRun], tuple[Again, Moved], dict[str, optuna.Study]]:
    """Train: the arms, what was trained again, and the studies by name."""
    planned = plan_arms(arms)
    storage: BaseStorage = (
        optuna.storages.InMemoryStorage() if in_memory else open_storage(settings.storage)
    )
    checkpoints = checkpoints_of(settings)
    datasets = {p.data.fingerprint: p.data for p in planned}
    planner = Planner(datasets, device, count_workers(settings.executor, device))
    console = make_console()
    console.quiet = not progress
    with alone_if_short(settings, storage, planned):
        runs = open_studies(
            storage, planned, fresh=settings.fresh, device=device, checkpoints=checkpoints
        )
        train_missing(settings.executor, storage, runs, planner, console, checkpoints=checkpoints)
    names = [study.name for run in runs for study in run.studies]
    studies = {name: optuna.load_study(study_name=name, storage=storage) for name in names}
    return runs, train_again(settings, storage, runs, planner, console), studies


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's lines for each study, and its warnings of what is experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
