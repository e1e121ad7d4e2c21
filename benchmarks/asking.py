"""What each strategy's own thinking costs: CPU milliseconds of asking for a trial, and telling it.

Each strategy of conf/strategy/ (without hub, which is anyone's) searches a learning rate and a
momentum, by a made-up score, in a study in memory, one trial at a time. Prints median and quartiles
over the last trials before each mark, of all seeds. A journal file adds about 5 ms a trial,
whatever the strategy.
"""

import argparse
import math
import platform
import statistics
import time
import warnings
from collections.abc import Sequence

import optuna
import scipy
import torch
from hydra import initialize_config_dir

from hpsuite.arms import plan_arms
from hpsuite.compose import compose_experiment
from hpsuite.config import Arm
from hpsuite.overrides import config_dir
from hpsuite.samplers import build_sampler
from hpsuite.training.reproducible import reproducible

# Trials before a mark that are measured.
WINDOW = 8


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = sorted(path.stem for path in (config_dir() / "strategy").glob("*.yaml"))
    names.remove("hub")
    parser.add_argument("strategies", nargs="*", default=names, help="default: all")
    parser.add_argument("--marks", type=int, nargs="+", default=[16, 100, 500])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    reproducible()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)

    print(
        f"optuna {optuna.__version__}, scipy {scipy.__version__}, torch {torch.__version__}, "
        f"Python {platform.python_version()}, one thread of {platform.machine()}; "
        f"n = {WINDOW} trials x {arguments.seeds} seeds"
    )
    print("\n| strategy | " + " | ".join(f"at trial {mark}" for mark in arguments.marks) + " |")
    print("| --- |" + " --- |" * len(arguments.marks))
    for name in arguments.strategies:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            overrides = ["name=asking", f"strategy={name}", f"budget.trials={arguments.marks[-1]}"]
            (planned,) = plan_arms(compose_experiment(overrides)[1])
        costs = [ask_and_tell(planned.arm, seed) for seed in range(arguments.seeds)]
        cells = []
        for mark in arguments.marks:
            window = [1000 * c for own in costs for c in own[max(0, mark - WINDOW) : mark]]
            cells.append(quartiles(window) if window else "-")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def quartiles(milliseconds: Sequence[float]) -> str:
    """The median, and the quartiles."""
    low, median, high = statistics.quantiles(milliseconds, n=4)
    return f"{median:.1f} ({low:.1f} to {high:.1f})"


def ask_and_tell(arm: Arm, seed: int) -> Sequence[float]:
    """CPU seconds of each trial of a whole study."""
    sampler = build_sampler(arm, seed)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    costs = []
    for _ in range(sampler.n_planned):
        started = time.process_time()
        trial = study.ask(sampler.search_space)
        asked = time.process_time()
        score = made_up(trial.params["learning_rate"], trial.params["one_minus_momentum"])
        told = time.process_time()
        study.tell(trial, score)
        costs.append(asked - started + time.process_time() - told)
    return costs


def made_up(rate: float, one_minus_momentum: float) -> float:
    """A score in (0, 1] that is best along a ridge, as the two hyperparameters trade off."""
    return round(1 / (1 + (math.log10(rate / one_minus_momentum) - 0.5) ** 2), 3)


if __name__ == "__main__":
    main()
