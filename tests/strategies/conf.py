"""The strategies of conf/strategy/, as an experiment builds them, for any space of Optuna's."""

import functools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hydra import initialize_config_dir
from optuna.distributions import BaseDistribution

from hpsuite.compose import compose_experiment
from hpsuite.config import Arm
from hpsuite.overrides import config_dir
from hpsuite.samplers import build_sampler
from hpsuite.space import Space
from hpsuite.strategies import PlannedSampler
from tests.registries import write_registry


@dataclass(frozen=True)
class GivenSpace(Space):
    """A space of Optuna's distributions, which need not be any that hpsuite writes."""

    given: Mapping[str, BaseDistribution] = field(default_factory=dict)

    def distributions(self) -> dict[str, BaseDistribution]:
        return dict(self.given)


def options() -> list[str]:
    """The names of all strategies."""
    return sorted(path.stem for path in (config_dir() / "strategy").glob("*.yaml"))


@functools.cache
def arm_of(name: str) -> Arm:
    """An arm of a strategy as its file has it."""
    with tempfile.TemporaryDirectory() as folder:
        needed = []
        if name == "hub":
            root = write_registry(Path(folder))
            needed = ["strategy.package=samplers/hill_climb", f"strategy.registry_root='{root}'"]
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            _, (arm,) = compose_experiment(["name=x", f"strategy={name}", *needed])
    return arm


def from_conf(name: str, **arguments: object) -> Callable[..., PlannedSampler]:
    """Builds an option's sampler as `build(space, n_trials, seed=...)`.

    Args:
        name: of the option.
        arguments: other values for those of the sampler's arguments that the file has.
    """

    def build(space: Mapping[str, BaseDistribution], n_trials: int, *, seed: int) -> PlannedSampler:
        arm = arm_of(name)
        strategy = arm.strategy
        changed = {key: arguments.get(key, value) for key, value in strategy.arguments}
        return build_sampler(
            replace(
                arm,
                setup=replace(arm.setup, space=GivenSpace((), space)),
                strategy=replace(strategy, arguments=tuple(changed.items())),
                trials=n_trials,
            ),
            seed,
        )

    return build
