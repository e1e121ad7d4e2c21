"""Claims as an experiment's file declares them, before anything is run.

    claims:
      - claim: With batch norm a larger share of the space is good.
        statistic: good_fraction_2pt
        a: {model: mlp_bn}
        b: {model: mlp}
        direction: greater
        smallest_effect: 0.05
        n: 256
        primary: {dataset: digits}

`a` and `b` choose setups, or arms, by what tells them apart in the matrix; every other axis makes
a cell of its own, in which the two are compared. `primary` names the cell whose verdict is the
claim's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from annotated_types import Ge, Gt, Le, Lt

from hpsuite.analysis.claims import Direction
from hpsuite.checks import UserError, build, refuse, show

# Statistics of a pair of setups, in their units: e is 1, 2 or 5 points.
SETUP_STATISTICS = {
    **{f"good_fraction_{e}pt": "share of the space" for e in (1, 2, 5)},
    **{f"good_fraction_{e}pt_common": "share of the space" for e in (1, 2, 5)},
    **{f"rate_width_{e}pt": "decades" for e in (1, 2, 5)},
    "nonfinite_fraction": "share of the space",
    "chance_fraction": "share of the space",
    "mean_val_accuracy": "accuracy",
    "largest_stable_rate": "decades",
    "rate_sensitivity": "accuracy",
}
# Statistics of two hyperparameters of one setup, by evaluator.
HYPERPARAMETER_STATISTICS = {
    f"importance_{evaluator}": "share of the variance"
    for evaluator in ("fanova", "ped_anova_top10", "ped_anova_top10_of_top50")
}
# Statistics of a pair of arms.
ARM_STATISTICS = {
    "best_val_accuracy": "accuracy",
    "test_accuracy": "accuracy",
    "area": "accuracy",
    "true_accuracy": "accuracy",
    "miss_probability": "share of the repeats",
    "probability_better": "share of the repeats",
    "trials_to_good": "trials",
    "never_good": "share of the repeats",
    "val_accuracy_at": "accuracy",
    "steps_to_accuracy": "steps",
    "staleness": "accuracy",
    "trials_saved": "trials",
}
# Those of what one side chose and the other is to use: they share a space, and need fresh seeds.
TRANSFER_STATISTICS = ("staleness", "trials_saved")
# Those that need a field of their own.
NEEDS = {"val_accuracy_at": "at_step", "steps_to_accuracy": "target"}
STATISTICS = {**SETUP_STATISTICS, **HYPERPARAMETER_STATISTICS, **ARM_STATISTICS}
# Those that may be of unequal numbers of trials.
OF_SO_MANY = ("best_val_accuracy", "test_accuracy", "probability_better")
# In words, units and factors for a reader.
_SHARE = ("points", 100.0)
WORDS: Mapping[str, tuple[str, tuple[str, float]]] = {
    **{
        f"good_fraction_{e}pt": (f"share of the space within {e} points of its own best", _SHARE)
        for e in (1, 2, 5)
    },
    **{
        f"good_fraction_{e}pt_common": (f"share within {e} points of the common best", _SHARE)
        for e in (1, 2, 5)
    },
    **{
        f"rate_width_{e}pt": (f"width of the rates within {e} points of the best", ("decades", 1.0))
        for e in (1, 2, 5)
    },
    "nonfinite_fraction": ("share of diverged trials", _SHARE),
    "chance_fraction": ("share of trials that stay at chance", _SHARE),
    "mean_val_accuracy": ("mean validation accuracy over the space", _SHARE),
    "largest_stable_rate": ("largest stable learning rate", ("decades", 1.0)),
    "rate_sensitivity": ("mean loss of accuracy over the swept rates", _SHARE),
    **{
        f"importance_{evaluator}": (f"share of the variance by {words}", _SHARE)
        for evaluator, words in (
            ("fanova", "fANOVA"),
            ("ped_anova_top10", "PED-ANOVA, best 10%"),
            ("ped_anova_top10_of_top50", "PED-ANOVA, best 10% of the best half"),
        )
    },
    "never_good": ("chance to try no good one", _SHARE),
    "trials_to_good": ("trials to a good one", ("trials", 1.0)),
    "best_val_accuracy": ("best validation accuracy", _SHARE),
    "test_accuracy": ("test accuracy of what validation selected", _SHARE),
    "area": ("area under the best-so-far curve", _SHARE),
    "true_accuracy": ("fresh-seed accuracy of what was selected", _SHARE),
    "miss_probability": ("chance to end on a configuration that is not good", _SHARE),
    "probability_better": ("chance to find a better one", ("%", 100.0)),
    "val_accuracy_at": ("validation accuracy", _SHARE),
    "steps_to_accuracy": ("steps to a validation accuracy", ("steps", 1.0)),
    "staleness": ("test accuracy of what is chosen today less that of the old choice", _SHARE),
    "trials_saved": ("trials of a new random search that the old choice saves", ("trials", 1.0)),
}
# By which the sides of a claim on hyperparameters choose them.
HYPERPARAMETER = "hyperparameter"


@dataclass(frozen=True)
class Limit:
    """How much of a search counts: so many first trials, or as many as so many epochs train."""

    trials: int | None = None
    epochs: int | None = None

    @property
    def given(self) -> bool:
        """Whether it limits anything."""
        return self.trials is not None or self.epochs is not None

    @property
    def words(self) -> str:
        """As it is read after a search's name."""
        if self.epochs is not None:
            return f" after {self.epochs} epochs"
        return "" if self.trials is None else f" after {self.trials} trials"


@dataclass(frozen=True)
class Declared:
    """A claim, declared.

    Attributes:
        claim: in words.
        statistic: one of STATISTICS; `a` minus `b`, or P(a better than b).
        a, b: what is compared, by axis of the matrix.
        direction: greater, less, equivalent or not_less.
        smallest_effect: the smallest that would matter, in the statistic's unit, > 0.
        n: planned sample size: configurations for setups, repeats for arms.
        primary: the cell whose verdict is the claim's, by the other axes; empty where there is one.
        alpha: 1 - the confidence level.
        trials_a, trials_b: for arms, of how many first trials of each repeat, >= 1; None takes all,
            and as many of the longer search as the shorter one has where both are None.
        epochs_a, epochs_b: likewise, of as many first trials of each repeat as so many epochs in
            all train, >= 1; for each side, one of both at most.
        at_step: for `val_accuracy_at`, after how many gradient steps, >= 1; the nearest evaluation.
        target: for `steps_to_accuracy`, the validation accuracy, in (0, 1].
        a_other, b_other: for a claim that an effect is smaller under other conditions, those; then
            the statistic is (a - b) - (a_other - b_other).
    """

    claim: str
    statistic: str
    a: Mapping[str, object]
    b: Mapping[str, object]
    direction: Direction
    smallest_effect: Annotated[float, Gt(0)]
    n: Annotated[int, Ge(1)]
    primary: Mapping[str, object] = field(default_factory=dict)
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.05
    a_other: Mapping[str, object] | None = None
    b_other: Mapping[str, object] | None = None
    trials_a: Annotated[int, Ge(1)] | None = None
    trials_b: Annotated[int, Ge(1)] | None = None
    epochs_a: Annotated[int, Ge(1)] | None = None
    epochs_b: Annotated[int, Ge(1)] | None = None
    at_step: Annotated[int, Ge(1)] | None = None
    target: Annotated[float, Gt(0), Le(1)] | None = None

    def without(self, shared: Collection[tuple[str, str]]) -> "Declared":
        """The claim, where all setups share these axes and values, and none is told by them."""

        def left(chosen: Mapping[str, object]) -> dict[str, object]:
            return {axis: v for axis, v in chosen.items() if (axis, as_text(v)) not in shared}

        other = None if self.a_other is None else left(self.a_other)
        other_b = None if self.b_other is None else left(self.b_other)
        return replace(
            self,
            a=left(self.a),
            b=left(self.b),
            a_other=other,
            b_other=other_b,
            primary=left(self.primary),
        )

    @property
    def limits(self) -> tuple["Limit", "Limit"]:
        """How much of each side is compared."""
        return Limit(self.trials_a, self.epochs_a), Limit(self.trials_b, self.epochs_b)

    @property
    def of_setups(self) -> bool:
        """Whether setups are compared, not arms or hyperparameters."""
        return self.statistic in SETUP_STATISTICS

    @property
    def of_hyperparameters(self) -> bool:
        """Whether two hyperparameters of one setup are compared."""
        return self.statistic in HYPERPARAMETER_STATISTICS


def parse_claims(given: object) -> tuple[Declared, ...]:
    """The claims of a configuration.

    Raises:
        UserError: on the first mistake.
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise refuse("claims", given, "a list of claims")
    found = []
    for i, entry in enumerate(given):
        key = f"claims[{i}]"
        if not isinstance(entry, Mapping):
            raise refuse(key, entry, "claim, statistic, a, b, direction, smallest_effect and n")
        declared = build(key, Declared, entry)
        if declared.statistic not in STATISTICS:
            raise refuse(f"{key}.statistic", declared.statistic, ", ".join(STATISTICS))
        if declared.a == declared.b:
            raise refuse(f"{key}.b", dict(declared.b), "another choice than a's")
        if (declared.a_other is None) != (declared.b_other is None):
            raise UserError(f"{key}: found one of a_other and b_other; accepted: both or neither")
        if any(limit.given for limit in declared.limits) and declared.statistic not in OF_SO_MANY:
            accepted = f"{', '.join(OF_SO_MANY)} with trials_a, trials_b, epochs_a or epochs_b"
            raise refuse(f"{key}.statistic", declared.statistic, accepted)
        for side, limit in zip("ab", declared.limits, strict=True):
            if None not in (limit.trials, limit.epochs):
                raise UserError(f"{key}.epochs_{side}: found trials_{side} too; accepted: one")
        _check_needs(key, declared)
        found.append(declared)
    return tuple(found)


def _check_needs(key: str, declared: Declared) -> None:
    """Check that a statistic has the fields that it needs, and none that another one does."""
    for statistic, name in NEEDS.items():
        given = getattr(declared, name)
        if declared.statistic == statistic and given is None:
            raise refuse(f"{key}.{name}", None, f"a number, which {statistic} needs")
        if declared.statistic != statistic and given is not None:
            raise refuse(f"{key}.{name}", given, f"none but for {statistic}")


def matches(names: Mapping[str, str], chosen: Mapping[str, object]) -> bool:
    """Whether what a setup or arm is called has all that was chosen."""
    return all(names.get(axis) == as_text(v) for axis, v in chosen.items())


def as_text(value: object) -> str:
    """A value of an axis, as setups and arms are called by it."""
    return value if isinstance(value, str) else show(value)


def rest(names: Mapping[str, str], *chosen: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """What else a setup or arm is called: the cell that it stands in."""
    taken = {axis for each in chosen for axis in each}
    return tuple(sorted((axis, name) for axis, name in names.items() if axis not in taken))
