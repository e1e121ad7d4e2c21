"""What an experiment trains with fresh seeds: setups' best and defaults, and searches' choices.

The best of many noisy scores is lucky, and so is what a search selected: what they are worth shows
in trials that did not select them (docs/statistics.md). A setup's default configuration, with as
many fresh seeds, shows what tuning gains at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hpsuite.analysis.best import n_best
from hpsuite.arms import ArmRun, PlannedArm, planned_arm
from hpsuite.config import Arm, StrategyConfig
from hpsuite.findings import Replayed
from hpsuite.strategies import ReplaySampler
from hpsuite.study import StudyRun
from hpsuite.training.streams import fresh_seed
from hpsuite.trials import Scalar
from hpsuite.untuned import untuned

Point = tuple[Scalar, ...]

BEST, DEFAULT, CHOICES = "best again", "default", "choices again"
MOVED = "choices moved"


@dataclass(frozen=True)
class Replay:
    """Configurations of one arm, to be trained again.

    Attributes:
        source: identity of the arm that found them.
        purpose: BEST for the best 4% of a reference sample, DEFAULT for its setup's default
            configuration, CHOICES for what each repeat selected, MOVED for that on another setup.
        planned: the arm that trains them.
        n_points: how many configurations.
        onto: identity of the arm on whose setup they are trained: the source but for MOVED.
    """

    source: str
    purpose: str
    planned: PlannedArm
    n_points: int
    onto: str


def plan_replays(
    runs: Sequence[ArmRun], n_seeds: int, routes: Sequence[tuple[Arm, Arm]] = ()
) -> list[Replay]:
    """What to train again of complete arms.

    Args:
        runs: the experiment's arms, complete.
        n_seeds: fresh seeds for each configuration; 0 for none.
        routes: (the arm that chose, the arm on whose setup that is trained too), of `runs`.
    """
    if n_seeds == 0:
        return []
    replays = []
    for run in runs:
        if run.planned.arm.strategy.is_reference:
            replays.append(_replay(run, BEST, _best_points(run.studies), n_seeds))
            default = untuned(run.planned.arm.setup).point
            if default is not None:
                replays.append(_replay(run, DEFAULT, [default], n_seeds))
        if not any(study.days_of_models for study in run.studies):
            replays.append(_replay(run, CHOICES, _choices(run.studies), n_seeds))
    for before, today in routes:
        one, other = (next(r for r in runs if r.planned.arm == arm) for arm in (before, today))
        replays.append(_replay(other, MOVED, _choices(one.studies), n_seeds, source=one))
    return replays


def _best_points(studies: Sequence[StudyRun]) -> list[Point]:
    """Twice as many as the best 4% of all trials, the first among ties.

    Some of what was selected diverges with other seeds: fresh means cut the list back to 4%
    (`analysis.best.estimate_best`).
    """
    trials = [(study, result) for study in studies for result in study.results]
    trials.sort(key=lambda pair: (-pair[1].val_accuracy, pair[0].repeat, pair[1].number))
    return [study.point(result.number) for study, result in trials[: 2 * n_best(len(trials))]]


def _choices(studies: Sequence[StudyRun]) -> list[Point]:
    """What validation selects in each study."""
    return [
        study.point(max(study.results, key=lambda result: result.merit).number) for study in studies
    ]


def _replay(
    run: ArmRun, purpose: str, points: list[Point], n_seeds: int, source: ArmRun | None = None
) -> Replay:
    arm = run.planned.arm
    strategy = StrategyConfig(
        name=f"{arm.strategy.label} {purpose}",
        target=f"{ReplaySampler.__module__}.{ReplaySampler.__qualname__}",
        arguments=(("points", tuple(points)),),
        asking=(),
    )
    again = replace(
        arm,
        strategy=strategy,
        trials=len(points) * n_seeds,
        repeats=1,
        seed=fresh_seed(arm.seed),
    )
    return Replay(
        (source or run).planned.identity,
        purpose,
        planned_arm(again, run.planned.data),
        len(points),
        run.planned.identity,
    )


def replayed(replay: Replay, run: ArmRun) -> Replayed:
    """The results of a complete replay."""
    (study,) = run.studies
    val, test = (
        np.array([getattr(result, name) for result in study.results]).reshape(-1, replay.n_points).T
        for name in ("val_accuracy", "test_accuracy")
    )
    return Replayed(val, test)
