"""From trials to figures: what is compared with what."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpsuite.analysis import ranking
from hpsuite.evidence import setup_evidence
from hpsuite.findings import UNKNOWN, ArmTable, SetupFinding
from hpsuite.findings.searches import find_arms
from hpsuite.findings.setups import gated_setups
from hpsuite.samples import Sample
from hpsuite.space import Hyperparameter
from hpsuite.trials import TrialResult


def finding(best: float, fingerprint: str = "a") -> SetupFinding:
    """A setup whose 50 trials all score `best`."""
    sample = Sample(
        name="s",
        hyperparameters=(Hyperparameter("learning_rate", "log", 0.01, 1.0),),
        values=[{"learning_rate": 0.01 * 1.09**i} for i in range(50)],
        scores=np.full(50, best),
        failed=np.zeros(50, bool),
        tests=np.full(50, best),
    )
    table: Any = SimpleNamespace(data=SimpleNamespace(fingerprint=fingerprint))
    return SetupFinding([table], table, setup_evidence(sample, chance_limit=0.15), "", UNKNOWN)


def test_gate_is_ten_points_under_the_common_best_on_the_same_data() -> None:
    setups = [finding(0.95), finding(0.86), finding(0.84), finding(0.1), finding(0.3, "b")]
    assert [setup.trained for setup in gated_setups(setups)] == [True, True, False, False, True]


def study(scores: np.ndarray[Any, Any]) -> Any:
    results = [
        TrialResult("s", i, "finite", float(score), float(score), (), (), 1, 0.1)
        for i, score in enumerate(scores)
    ]
    return SimpleNamespace(results=results, days=())


def test_ranks_compare_as_many_trials_as_the_shortest_arm_has() -> None:
    rng = np.random.default_rng(3)
    # Of two equal searches one has four times the trials: its best of all is better.
    long, short = rng.uniform(size=(30, 64)), rng.uniform(size=(30, 16))
    nothing: Any = None
    space = SimpleNamespace(hyperparameters=())
    arm: Any = SimpleNamespace(setup=SimpleNamespace(space=space))
    tables = [
        ArmTable(arm, nothing, name, "setup", 1, {}, [study(row) for row in scores])
        for name, scores in (("long", long), ("short", short))
    ]
    found = find_arms(tables, None, {})
    expected = ranking({"long": long[:, :16].max(axis=1), "short": short.max(axis=1)})
    assert [f.rank for f in found] == list(expected.values())
    assert [f.rank.text for f in found] == ["too few to rank"] * 2
    unfair = ranking({"long": long.max(axis=1), "short": short.max(axis=1)})
    assert unfair["long"].text == "1"
    assert found[0].figures.best_val_accuracy.estimate == pytest.approx(long.max(axis=1).mean())
