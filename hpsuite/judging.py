"""Declared claims, judged: which setups or arms a claim compares, cell by cell, and its verdict."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hpsuite.analysis.claims import Cell, Claim, Verdict
from hpsuite.analysis.comparisons import Comparison, compare_strategies
from hpsuite.analysis.contrasts import combined
from hpsuite.analysis.intervals import Interval, welch
from hpsuite.analysis.verdicts import verdict, whole_space
from hpsuite.checks import UserError, show
from hpsuite.config import Arm
from hpsuite.declared import ARM_STATISTICS, Declared, matches, rest
from hpsuite.findings import ArmFinding, Findings, SetupFinding, difference, paired, setup_axes
from hpsuite.space import Hyperparameter

Names = Mapping[str, str]
# The name of a cell that nothing tells from others.
ALL = "all"

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
    "best_val_accuracy": ("best validation accuracy", _SHARE),
    "test_accuracy": ("test accuracy of what validation selected", _SHARE),
    "area": ("area under the best-so-far curve", _SHARE),
    "true_accuracy": ("fresh-seed accuracy of what was selected", _SHARE),
    "miss_probability": ("chance to end on a configuration that is not good", _SHARE),
    "probability_better": ("chance to find a better one", ("%", 100.0)),
}


def judge(
    declared: Sequence[Declared],
    setups: Sequence[SetupFinding],
    arms: Sequence[ArmFinding],
    conditions: Mapping[str, str],
) -> tuple[Verdict, ...]:
    """The verdict on each declared claim.

    Raises:
        UserError: a claim that names no setups or arms of the experiment, or cells without its
            primary one.
    """
    return tuple(_judge(i, claim, setups, arms, conditions) for i, claim in enumerate(declared))


def _judge(
    place: int,
    declared: Declared,
    setups: Sequence[SetupFinding],
    arms: Sequence[ArmFinding],
    conditions: Mapping[str, str],
) -> Verdict:
    named: list[tuple[Names, object]] = (
        [(setup_axes(s.arms[0].arm), s) for s in setups]
        if declared.of_setups
        else [(arm_axes(arm.table.arm), arm) for arm in arms]
    )
    sides = _sides(f"claims[{place}]", declared, named)
    primary = _primary(f"claims[{place}]", declared, sides)
    words, (unit, factor) = WORDS[declared.statistic]
    versus = f"{_chosen(declared.a)} against {_chosen(declared.b)}"
    claim = Claim(
        text=declared.claim,
        statistic=f"{words}, {versus}",
        direction=declared.direction,
        smallest_effect=declared.smallest_effect,
        primary=primary,
        n=declared.n,
        alpha=declared.alpha,
        null=0.5 if declared.statistic == "probability_better" else 0.0,
        unit=unit,
        factor=factor,
    )
    cells = {name: _cell(declared, found) for name, found in sides.items()}
    return verdict(claim, cells, conditions)


def check_claims(declared: Sequence[Declared], arms: Sequence[Arm]) -> None:
    """Check that claims name what the experiment has, before anything is trained.

    Raises:
        UserError: a claim that names no setups or arms of the experiment, or cells without its
            primary one.
    """
    for place, claim in enumerate(declared):
        axes = setup_axes if claim.of_setups else arm_axes
        # Setups once each, whatever the number of their arms.
        by_name = {tuple(axes(arm).items()): arm for arm in arms}
        named: list[tuple[Names, object]] = [(dict(names), arm) for names, arm in by_name.items()]
        _primary(f"claims[{place}]", claim, _sides(f"claims[{place}]", claim, named))


def conditions(findings: Findings) -> dict[str, str]:
    """What all setups of an experiment have in common: what its verdicts hold under."""
    setups = [finding.setup for finding in findings.setups]
    parts = [
        {
            "data": setup.dataset.name,
            "optimizer": setup.optimizer.kind,
            "batch size": str(setup.batch_size),
            "length": f"{setup.epochs} epochs" if setup.epochs else f"{setup.steps} steps",
            "split": f"split_seed {setup.dataset.split_seed}",
            **{h.name: _range(h) for h in setup.space.hyperparameters},
            **{key: show(value) for key, value in setup.model.arguments},
        }
        for setup in setups
    ]
    searched = {name for setup in setups for name in setup.space.names}
    shared = {
        key: value
        for key, value in parts[0].items()
        if all(part.get(key) == value for part in parts)
    }
    return {
        key: value
        for key, value in shared.items()
        if not (key == "batch size" and "batch_size" in searched)
    }


def _range(h: Hyperparameter) -> str:
    if h.choices is not None:
        return ", ".join(show(c) for c in h.choices)
    return f"{h.low:g} to {h.high:g} ({h.scale.replace('_', ' ')})"


def arm_axes(arm: Arm) -> Names:
    """What an arm is called, by axis of the matrix."""
    strategy = arm.strategy
    return {**setup_axes(arm), "strategy": strategy.name, **dict(strategy.variant)}


def _chosen(axes: Mapping[str, object]) -> str:
    return " ".join(
        str(v) if k in ("model", "strategy", "dataset") else f"{k}={show(v)}"
        for k, v in axes.items()
    )


def cell_name(cell: tuple[tuple[str, str], ...]) -> str:
    """A cell in words: `dataset digits, optimizer.momentum 0.9`."""
    return ", ".join(f"{axis} {value}" for axis, value in cell) or ALL


def _sides(
    key: str, declared: Declared, named: Sequence[tuple[Names, object]]
) -> dict[str, list[object]]:
    """What is compared in each cell: one for each combination of the axes that nobody chose."""
    sides: dict[str, dict[str, object]] = {}
    for side in ("a", "b", "a_other", "b_other"):
        chosen: Mapping[str, object] | None = getattr(declared, side)
        if chosen is None:
            continue
        sides[side] = {}
        for names, it in named:
            if not matches(names, chosen):
                continue
            cell = cell_name(rest(names, *_chosen_axes(declared)))
            if cell in sides[side]:
                raise UserError(
                    f"{key}.{side}: found several for {show(dict(chosen))}; accepted: what chooses "
                    "one in each cell, by all axes that another side chooses by"
                )
            sides[side][cell] = it
        if not sides[side]:
            there = "; ".join(dict.fromkeys(_chosen(names) for names, _ in named))
            raise UserError(f"{key}.{side}: found none of {show(dict(chosen))}; accepted: {there}")
    first, *others = sides.values()
    cells = {
        name: [it, *(other[name] for other in others)]
        for name, it in first.items()
        if all(name in other for other in others)
    }
    if not cells:
        raise UserError(f"{key}.b: found no cell that has both; accepted: a and b of one cell")
    return cells


def _primary(key: str, declared: Declared, cells: Mapping[str, object]) -> str:
    """The name of the cell whose verdict is the claim's."""
    asked = cell_name(rest({k: _text(v) for k, v in declared.primary.items()}))
    found = [name for name in cells if set(_parts(asked)) <= set(_parts(name))]
    if len(found) != 1:
        there = "; ".join(cells)
        raise UserError(
            f"{key}.primary: found {show(dict(declared.primary))}, {len(found)} cells; "
            f"accepted: what names one of {there}"
        )
    return found[0]


def _parts(cell: str) -> list[str]:
    return [part for part in cell.split(", ") if part != ALL]


def _text(value: object) -> str:
    return value if isinstance(value, str) else show(value)


def _chosen_axes(declared: Declared) -> list[Mapping[str, object]]:
    return [c for c in (declared.a, declared.b, declared.a_other, declared.b_other) if c]


def _cell(declared: Declared, found: Sequence[object]) -> Cell:
    """One comparison: its sample size, and its interval at any level."""
    measure = _of_setups if declared.of_setups else _of_arms
    pairs = [found[:2], found[2:]] if len(found) == 4 else [found]
    parts = [measure(declared.statistic, *pair) for pair in pairs]
    first = parts[0]

    def interval_at(level: float) -> Interval:
        if len(parts) == 1:
            return first.interval_at(level)
        return combined([part.interval_at(level) for part in parts], [1.0, -1.0])

    return Cell(
        n=min(part.n for part in parts),
        interval_at=interval_at,
        trained=all(part.trained for part in parts),
        all_good=all(part.all_good for part in parts),
        bounds=(-1.0, 1.0) if len(parts) == 1 and first.bounds == (-1.0, 1.0) else (-2.0, 2.0),
    )


def _of_setups(statistic: str, a: object, b: object) -> Cell:
    """Two setups compared."""
    assert isinstance(a, SetupFinding)
    assert isinstance(b, SetupFinding)
    trained = a.trained and b.trained
    if statistic.startswith("rate_width"):
        return _of_sweeps(statistic, a, b, trained=trained)
    if a.evidence is None or b.evidence is None:
        return _nothing("no reference sample")
    one, two = a.evidence, b.evidence
    n = min(len(one.sample), len(two.sample))
    good = [e.sensitivity.good_fractions[2.0] for e in (one, two)]
    if statistic.startswith("good_fraction"):
        e = float(statistic.split("_")[2].removesuffix("pt"))
        common = statistic.endswith("_common")

        def interval_at(level: float) -> Interval:
            if not paired(a, b):
                if common:
                    return Interval(np.nan, np.nan, np.nan, level, "not paired")
                pair = [x.sensitivity.good_fractions[e] for x in (one, two)]
                return combined(pair, [1.0, -1.0])
            found = difference(a, b, level)
            return (found.common if common else found.own)[e]

        return Cell(n, interval_at, trained or common, whole_space(good), (-1.0, 1.0))
    if statistic == "nonfinite_fraction":
        pair = [x.sensitivity.nonfinite_fraction for x in (one, two)]
        return Cell(n, lambda level: combined(pair, [1.0, -1.0]), bounds=(-1.0, 1.0))
    raise AssertionError(statistic)


def _of_sweeps(statistic: str, a: SetupFinding, b: SetupFinding, *, trained: bool) -> Cell:
    if a.sweep is None or b.sweep is None:
        return _nothing("no sweep of the learning rate")
    e = float(statistic.split("_")[2].removesuffix("pt")) / 100
    pair = [a.sweep.widths[e].width, b.sweep.widths[e].width]
    n = min(a.sweep.seeds, b.sweep.seeds)
    return Cell(n, lambda level: combined(pair, [1.0, -1.0]), trained, bounds=(-20.0, 20.0))


def _of_arms(statistic: str, a: object, b: object) -> Cell:
    """Two arms compared, over their repeats."""
    assert isinstance(a, ArmFinding)
    assert isinstance(b, ArmFinding)
    assert statistic in ARM_STATISTICS, statistic
    n = min(a.figures.repeats, b.figures.repeats)
    if statistic == "miss_probability":
        if a.misses is None or b.misses is None:
            return _nothing("nothing was trained again")
        pair = [a.misses.probability, b.misses.probability]
        return Cell(n, lambda level: combined(pair, [1.0, -1.0]), bounds=(-1.0, 1.0))
    if statistic == "true_accuracy":
        if a.again is None or b.again is None:
            return _nothing("nothing was trained again")
        means = [x.again.test.mean(axis=1) for x in (a, b) if x.again is not None]
        return Cell(n, lambda level: welch(means[0], means[1], level), bounds=(-1.0, 1.0))
    if statistic == "test_accuracy":
        tests = [np.array(x.figures.test_by_repeat) for x in (a, b)]
        return Cell(n, lambda level: welch(tests[0], tests[1], level), bounds=(-1.0, 1.0))
    scores = [x.table.scores() for x in (a, b)]
    field: Callable[[Comparison], Interval] = {
        "best_val_accuracy": lambda found: found.best,
        "area": lambda found: found.area,
        "probability_better": lambda found: found.better,
    }[statistic]
    bounds = (0.0, 1.0) if statistic == "probability_better" else (-1.0, 1.0)
    return Cell(n, lambda level: field(compare_strategies(*scores, level=level)), bounds=bounds)


def _nothing(reason: str) -> Cell:
    """A cell that says nothing: its interval is all that the statistic can be."""
    nan = float("nan")
    return Cell(1, lambda level: Interval(0.0, nan, nan, level, reason), bounds=(-1.0, 1.0))
