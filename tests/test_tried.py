"""What searches tried, against a space whose good region is known."""

import math
from typing import Any

import numpy as np
import optuna
import pytest

from hpsuite.analysis import Interval
from hpsuite.analysis.oracles import grid_misses, random_misses
from hpsuite.analysis.trials_to_good import trials_to_good
from hpsuite.findings import ArmTable, StudyTable
from hpsuite.findings.tried import find_tried
from hpsuite.samplers import build_sampler
from hpsuite.training.streams import study_seed
from hpsuite.trials import TrialResult
from tests.studies import plan

REPEATS = 400
# One hyperparameter acts, of which a tenth of the range is good.
SHARE = 0.1
GOOD = Interval(SHARE, 0.08, 0.12, 0.95, "known")


def table_of(*overrides: str) -> ArmTable:
    """An arm over a space of a learning rate that acts and a decay that does not; not trained."""
    (planned,) = plan("space=rate_inert", "optimizer.schedule=step", *overrides)
    space = planned.arm.setup.space
    studies = []
    for repeat in range(REPEATS):
        seed = study_seed(0, repeat)
        sampler: Any = build_sampler(planned.arm, seed)
        study = optuna.create_study(sampler=sampler)
        values, results = [], []
        for number in range(sampler.n_planned):
            trial = study.ask(sampler.search_space)
            values.append(space.values(trial.params))
            study.tell(trial, 0.0)
            # [1e-4, 10] on a log: a tenth of the five decades from .01 on.
            place = (math.log10(values[-1]["learning_rate"]) + 4) / 5
            accuracy = 0.9 if 0.4 <= place < 0.4 + SHARE else 0.5
            results.append(TrialResult("s", number, "finite", accuracy, accuracy, (), (), 1, 0.1))
        studies.append(StudyTable("s", repeat, seed, values, results))
    return ArmTable(planned.arm, planned.data, "i", "s", 1, {}, studies)


@pytest.mark.parametrize(
    ("strategy", "expected", "distinct"),
    [
        (("strategy=offset_grid", "strategy.points=3"), grid_misses(3, SHARE), 3),
        (("strategy=offset_grid", "strategy.points=3", "budget.trials=16"), 0.7, 3),
        (("strategy=log_random",), random_misses(9, SHARE), 9),
    ],
)
def test_misses_are_those_expected(
    strategy: tuple[str, ...], expected: float, distinct: int
) -> None:
    table = table_of("budget.trials=9", *strategy)
    tried = find_tried(table, GOOD)
    assert tried.oracle is not None
    assert tried.oracle.estimate == pytest.approx(expected)
    assert tried.oracle.low < expected < tried.oracle.high
    assert tried.distinct == {"decay_rate": distinct, "learning_rate": distinct}
    missed = 1 - trials_to_good(table.scores(), 0.9).reached.estimate
    assert missed == pytest.approx(expected, abs=4 * math.sqrt(0.25 / REPEATS))


def test_nothing_is_expected_where_no_closed_form_holds() -> None:
    for strategy in ("random", "grid"):
        table = table_of("budget.trials=4", f"strategy={strategy}")
        assert find_tried(table, GOOD).oracle is None
    table = table_of("budget.trials=4", "strategy=log_random")
    assert find_tried(table, None).oracle is None


def test_shares_of_decades_are_those_of_the_scale() -> None:
    log = find_tried(table_of("budget.trials=4", "strategy=log_random"), GOOD).decades
    edges = [1e-4, 1e-3, 1e-2, 0.1, 1, 10]
    ends = [end for both in log["learning_rate"] for end in both]
    assert ends[::2] == pytest.approx(edges[:-1])
    assert ends[1::2] == pytest.approx(edges[1:])
    assert list(log["learning_rate"].values()) == pytest.approx([0.2] * 5, abs=0.04)
    # 1 - decay_rate over [.01, .5].
    ends = [end for both in log["decay_rate"] for end in both]
    assert ends == pytest.approx([0.01, 0.1, 0.1, 0.5])
    low = 1 / math.log10(50)
    assert list(log["decay_rate"].values()) == pytest.approx([low, 1 - low], abs=0.04)
    even = find_tried(table_of("budget.trials=4", "strategy=random"), GOOD).decades
    shares = np.diff(edges) / (10 - 1e-4)
    assert list(even["learning_rate"].values()) == pytest.approx(shares, abs=0.04)
