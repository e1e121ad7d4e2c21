"""What a strategy that goes on from other trials needs of its setup, checked."""

from dataclasses import fields

from hpsuite.checks import UserError, refuse
from hpsuite.config import Setup, StrategyConfig
from hpsuite.strategies import PopulationSampler
from hpsuite.training.schedules import ENDLESS
from hpsuite.trials import OptimizerSpec, Scalar

# What may change in the middle of training: numbers of the optimizer.
NUDGEABLE = tuple(f.name for f in fields(OptimizerSpec) if isinstance(f.default, float))


def check_days(setup: Setup, strategy: StrategyConfig) -> None:
    """Whether trials can be days of models.

    Raises:
        UserError: a pruner, a budget of steps, epochs that are searched, a learning rate whose
            course depends on the number of steps to come, nothing or something else to nudge, a
            gain above 1 that is enough.
    """
    sampler = strategy.sampler
    if not (isinstance(sampler, type) and issubclass(sampler, PopulationSampler)):
        return
    _check_budget(setup, strategy)
    _check_course(setup)
    nudged, searched = dict(strategy.arguments)["nudged"], setup.space.hyperparameters
    assert isinstance(nudged, tuple | list)
    for name in nudged:
        if name not in NUDGEABLE:
            raise refuse("strategy.nudged", name, f"names of {', '.join(NUDGEABLE)}")
    can = [h.name for h in searched if h.name in NUDGEABLE and h.choices is None]
    if not can:
        accepted = f"a space with a number that can be nudged: {', '.join(NUDGEABLE)}"
        raise refuse("space", list(setup.space.names), accepted)
    if not set(nudged) & set(can):
        raise refuse("strategy.nudged", list(nudged), f"at least one of {', '.join(can)}")
    enough = dict(strategy.arguments)["enough"]
    assert isinstance(enough, int | float)
    if enough > 1:
        accepted = "0 to 1, a gain of accuracy: 0.02 is two points"
        raise refuse("strategy.enough", enough, accepted)


def _check_budget(setup: Setup, strategy: StrategyConfig) -> None:
    beside = f"beside strategy {strategy.name}, whose trials are days of so many epochs"
    if strategy.pruning is not None:
        target = strategy.pruning.target
        raise UserError(f"strategy.pruner: found {target} {beside}; accepted: null")
    if setup.steps is not None:
        raise UserError(f"budget.steps: found {setup.steps} {beside}; accepted: budget.epochs")
    for name in {"epochs", "steps"}.intersection(setup.space.names):
        raise UserError(f"space.{name}: found it {beside}; accepted: a space without it")


def _check_course(setup: Setup) -> None:
    """Whether the learning rate of a step follows from the steps before it."""
    unknown = "as nobody knows how many steps of a model there will be"
    searched = {h.name: h for h in setup.space.hyperparameters}
    key = "optimizer.schedule"
    schedules: list[Scalar] = [setup.optimizer.schedule]
    if "schedule" in searched:
        key, schedules = "space.schedule.choices", list(searched["schedule"].choices or ())
    for schedule in schedules:
        if schedule not in ENDLESS:
            raise refuse(key, schedule, f"{', '.join(ENDLESS)}, {unknown}")
    if "warmup_fraction" in searched:
        raise UserError(f"space.warmup_fraction: found it; accepted: a space without it, {unknown}")
    if setup.optimizer.warmup_fraction > 0:
        found = setup.optimizer.warmup_fraction
        raise refuse("optimizer.warmup_fraction", found, f"0 for days, {unknown}")
