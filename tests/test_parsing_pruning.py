"""A strategy's pruner: what of it is part of a study's identity, and mistakes in one line."""

import pytest

from hpsuite.checks import UserError
from tests.studies import plan

PRUNER = "+strategy.pruner={_target_: optuna.pruners.MedianPruner, n_startup_trials: 2}"


def test_identity() -> None:
    """A pruner and its cohort decide trials; names and what Optuna would find out do not."""

    def identity(*overrides: str) -> str:
        (p,) = plan("budget.trials=16", "budget.epochs=4", *overrides)
        return p.identity

    found = [
        identity(*overrides)
        for overrides in (
            ("strategy=log_random",),
            ("strategy=hyperband",),
            ("strategy=hyperband", "strategy.cohort=8"),
            ("strategy=hyperband", "strategy.pruner.reduction_factor=4"),
            ("strategy=hyperband", "budget.trials=20"),
            ("strategy=successive_halving",),
            ("strategy=median_pruning",),
        )
    ]
    assert len(set(found)) == len(found)
    assert identity("strategy=hyperband", "+strategy.pruner.max_resource=auto") == found[1]
    assert identity("strategy=hyperband", "+strategy.pruner.max_resource=4") == found[1]
    assert identity("strategy=hyperband", "budget.trials=32") == found[1]
    none = ("strategy=hyperband", "strategy.pruner=null", "strategy.cohort=null")
    assert identity(*none) == found[0]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["budget.epochs=null", "budget.steps=20"], "budget.steps: found a budget of steps beside"),
        (
            ["strategy.pruner.min_resource=5"],
            "strategy.pruner.min_resource: found 5; accepted: 1 to 4, the epochs of a trial",
        ),
        (["strategy.pruner.min_resource=0"], "strategy.pruner.min_resource: found 0; accepted: 1"),
        (
            ["strategy.pruner.reduction_factor=1"],
            "reduction_factor: found 1; accepted: 2 to 1,000,000",
        ),
        (["strategy.pruner.min_resource=x"], "strategy.pruner.min_resource: found 'x'; accepted: "),
        (["strategy.cohort=0"], "strategy.cohort: found 0; accepted: greater than or equal to 1"),
        (["strategy.pruner=null"], "strategy.cohort: found 16; accepted: null where there is no"),
        (["+strategy.pruner.factor=3"], "strategy.pruner.factor: found no such key; accepted: one"),
        (["strategy.pruner=hyperband"], "strategy.pruner: found 'hyperband'; accepted: null, or"),
        (
            ["strategy.pruner._target_=optuna.samplers.TPESampler"],
            "strategy.pruner._target_: found 'optuna.samplers.TPESampler'; accepted: a name in",
        ),
        (
            ["strategy.pruner._target_=optuna.pruners.BasePruner"],
            "strategy.pruner",
        ),
        (
            ["strategy=median_pruning", "strategy.pruner.n_warmup_steps=9"],
            "strategy.pruner.n_warmup_steps: found 9; accepted: 0 to 4, the epochs of a trial",
        ),
        (
            ["strategy=tpe", "+strategy.cohort=2", PRUNER],
            "strategy.cohort: found 2; accepted: 1 to strategy.asks_at_once, 1",
        ),
    ],
)
def test_mistakes(overrides: list[str], message: str) -> None:
    chosen = [] if overrides[0].startswith("strategy=") else ["strategy=hyperband"]
    with pytest.raises(UserError) as refused:
        plan(*chosen, "budget.epochs=4", *overrides)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
