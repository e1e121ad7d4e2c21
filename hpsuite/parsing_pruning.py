"""A strategy's pruner, checked: from its group of a configuration to what stops trials early."""

from collections.abc import Callable, Mapping

from optuna.pruners import BasePruner

from hpsuite.checks import UserError, checked, checked_arguments, refuse, without_defaults
from hpsuite.config import AtLeastOne, Setup, StrategyConfig
from hpsuite.pruning import KEY, Pruning, check_pruning, told_epochs


def parse_pruning(
    target: str,
    pruner: Callable[..., object],
    arguments: Mapping[str, object],
    *,
    cohort: object,
    setup: Setup,
    strategy: StrategyConfig,
) -> Pruning:
    """How the trials of an arm are stopped early, tried out.

    Args:
        target: dotted name of the pruner's class.
        pruner: what has that name.
        arguments: the user's.
        cohort: the user's; None takes what the sampler is asked for at once.
        setup: what is trained.
        strategy: the sampler, and how it is asked.

    Raises:
        UserError: on the first mistake.
    """
    if not (isinstance(pruner, type) and issubclass(pruner, BasePruner)):
        raise refuse(f"{KEY}._target_", target, "a pruner of Optuna's")
    searched = {h.name: h for h in setup.space.hyperparameters}
    if setup.steps is not None or "steps" in searched:
        raise UserError(
            f"budget.steps: found a budget of steps beside {KEY}; accepted: budget.epochs, after "
            "each of which a pruner is asked"
        )
    ends = searched["epochs"].ends() if "epochs" in searched else (setup.epochs,)
    epochs = max(end for end in ends if isinstance(end, int))
    at_once = dict(strategy.asking).get("asks_at_once")
    if cohort is None:
        cohort = 1 if at_once is None else at_once
    size = checked("strategy.cohort", AtLeastOne, cohort)
    if isinstance(at_once, int) and size > at_once:
        raise refuse("strategy.cohort", size, f"1 to strategy.asks_at_once, {at_once}")
    given = checked_arguments(KEY, pruner, arguments)
    known = told_epochs(pruner, without_defaults(pruner, given), epochs)
    pruning = Pruning(target, tuple(sorted(known.items())), size)
    check_pruning(pruning, epochs)
    return pruning
