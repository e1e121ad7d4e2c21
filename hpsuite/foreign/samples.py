"""From a table of trials to samples: one a group, with every value checked."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpsuite.checks import UserError, refuse
from hpsuite.foreign.columns import hyperparameter_of, numbers_of, over_all, unusable, values_of
from hpsuite.foreign.files import read_file
from hpsuite.foreign.request import MLFLOW, Dimension, Direction, Request
from hpsuite.foreign.runs import read_experiment
from hpsuite.foreign.seeds import CONTINUOUS, Repeats, repeats, seed_noise
from hpsuite.foreign.studies import is_storage, read_study
from hpsuite.foreign.table import Table, check_columns, counted
from hpsuite.samples import Sample
from hpsuite.space import Hyperparameter

if TYPE_CHECKING:
    import pandas as pd

# More groups than these are no comparison.
MOST_GROUPS = 50
# The name of the only group.
ALL = "trials"
# Of trials without a value in the group's column.
NO_GROUP = "(none)"


@dataclass(frozen=True)
class Foreign:
    """Trials that hpsuite did not make.

    Attributes:
        source: where they came from, in words.
        score: what their scores are called.
        samples: of each group, in order of their names; numbers count as numbers.
        group: the column of the groups; None for one group.
        n_trials: by group, trials that were read; more than its sample has where configurations
            have several seeds.
    """

    source: str
    score: str
    samples: tuple[Sample, ...]
    group: str | None
    n_trials: Mapping[str, int]

    def noun(self, name: str) -> str:
        """What the sample of a group counts: trials, or configurations of several."""
        (size,) = (len(sample) for sample in self.samples if sample.name == name)
        return "configurations" if size < self.n_trials[name] else "trials"


def read_samples(request: Request, uri: str | None = None) -> Foreign:
    """The trials that are asked for.

    Args:
        request: what is asked for.
        uri: of the MLflow server, where it is needed; None takes MLflow's own.

    Raises:
        UserError: on the first column or value that is not what it must be.
    """
    table = _read(request, uri)
    frame, columns = table.frame, [str(column) for column in table.frame.columns]
    score = request.score or table.score
    assert score is not None
    extra = [column for column in (request.group, request.test_score) if column is not None]
    check_columns(request, columns, [score, *extra, *(request.params or {})])
    direction = request.direction or table.direction or "maximize"
    sign = 1.0 if direction == "maximize" else -1.0
    scores = sign * numbers_of(frame[score], "score", table.place)
    failed = ~np.isfinite(scores)
    if failed.all():
        found = f"no finite score in {counted(len(scores), 'trial')}"
        raise UserError(f"score: found {found}; accepted: a column with scores")
    worst = float(scores[~failed].min())
    given = request.failure_score
    tests = None
    if request.test_score is not None:
        tests = sign * numbers_of(frame[request.test_score], "test_score", table.place)
    dimensions = _dimensions(request, table, {score, *extra})
    ranges = {c: over_all(frame[c], c, d, table) for c, d in dimensions.items()}
    values = {c: values_of(frame[c], c, dimension, table) for c, dimension in ranges.items()}
    groups = _groups(frame, request)
    if given is not None:
        _check_failure_score(sign * given, scores, failed, groups, direction)
    scores = np.where(failed, worst if given is None else sign * given, scores)
    about = [*table.notes, *_without_group(frame, failed, request, groups)]
    continuous = {c for c, d in ranges.items() if d.scale in CONTINUOUS} - table.stepped
    valued = {
        name: {c: [own[row] for row in rows.tolist()] for c, own in values.items()}
        for name, rows in groups.items()
    }
    by_group = {name: repeats(valued[name], continuous) for name in groups}
    noise, told = _noise(scores, failed, groups, by_group, request)
    unit = request.margins[0]
    samples = []
    for name, rows in groups.items():
        same = by_group[name]
        notes = [*about, *same.notes, *told, *_failures(failed[rows], request)]
        hyperparameters: list[Hyperparameter] = []
        for column, dimension in ranges.items():
            own_values = valued[name][column]
            reason = unusable(own_values)
            if reason:
                notes.append(f"{column} is left out: {reason}")
            else:
                hyperparameters.append(hyperparameter_of(column, dimension, own_values))
        own = None if tests is None else tests[rows]
        if own is not None and not np.isfinite(own[~failed[rows]]).all():
            own = None
            notes.append(f"{request.test_score} is left out: not all trials have one")
        if own is not None:
            # A failed trial is never the one that validation selects, but for samples of them.
            own = same.mean(np.where(np.isfinite(own), own, scores[rows]))
        first = rows[same.first]
        samples.append(
            Sample(
                name=name,
                hyperparameters=tuple(hyperparameters),
                values=[{c: values[c][row] for c in values} for row in first],
                scores=same.mean(scores[rows]),
                failed=same.all(failed[rows]),
                tests=own,
                higher_is_better=direction == "maximize",
                unit=unit,
                points=tuple(float(f"{margin / unit:.6g}") for margin in request.margins),
                random=request.sampled == "random",
                notes=tuple(notes),
                noise_sd=noise * same.noise_share,
                numbers=tuple(frame.index[first].tolist()),
            )
        )
    return Foreign(
        table.source,
        score,
        tuple(samples),
        request.group,
        {name: len(rows) for name, rows in groups.items()},
    )


def _noise(
    scores: NDArray[np.float64],
    failed: NDArray[np.bool_],
    groups: Mapping[str, NDArray[np.intp]],
    by_group: Mapping[str, Repeats],
    request: Request,
) -> tuple[float, list[str]]:
    """The noise of one seed, as given or measured; 0 where it is neither. And what to say of it."""
    several = any(len(found.first) < len(found.of) for found in by_group.values())
    by_root = "divided by the root of the number of seeds (their harmonic mean)"
    if request.noise is not None or not several:
        noise = request.noise or 0.0
        return noise, [f"noise={noise:g}, of one seed, is {by_root}"] if noise and several else []
    noise, n = seed_noise([(scores[r], failed[r], by_group[g]) for g, r in groups.items()])
    if not noise:
        return 0.0, []
    of = f"{counted(n, 'configuration')} of several seeds, the better half of those without failure"
    return noise, [f"the noise of one seed was measured, {noise:.2g} ({of}), and is {by_root}"]


def _read(request: Request, uri: str | None) -> Table:
    """The table of whatever source is named."""
    if request.trials.startswith(MLFLOW):
        if request.study is not None:
            raise refuse("study", request.study, "null, as MLflow has no studies")
        return read_experiment(request, uri)
    if is_storage(request.trials):
        return read_study(request)
    if request.study is not None:
        raise refuse("study", request.study, "null for a file, which has no studies")
    return read_file(request)


def _failures(failed: NDArray[np.bool_], request: Request) -> list[str]:
    n = int(failed.sum())
    if not n:
        return []
    given = request.failure_score
    rule = "the worst score of all others" if given is None else f"failure_score={given:g}"
    has, count = ("has", "it counts") if n == 1 else ("have", "they count")
    of = counted(len(failed), "trial")
    return [f"{n} of {of} {has} no finite score: {count} as {rule}"]


def _check_failure_score(
    given: float,
    scores: NDArray[np.float64],
    failed: NDArray[np.bool_],
    groups: Mapping[str, NDArray[np.intp]],
    direction: Direction,
) -> None:
    """Check that no failure would be better than all that did not fail, in any group.

    Args:
        given: what a failure counts as; higher is better, as in `scores`.
        scores, failed: of all trials.
        groups: rows by group.
        direction: of the scores as the user has them.

    Raises:
        UserError: where one would be.
    """
    sign = 1.0 if direction == "maximize" else -1.0
    at, why = ("at most", "") if sign > 0 else ("at least", ", as lower is better")
    everyone = np.arange(len(scores))
    for name, rows in {"": everyone, **groups}.items():
        fine = scores[rows][~failed[rows]]
        # Where nothing failed, the least good of several bests does not matter.
        if len(fine) and given > fine.max() and (not name or failed[rows].any()):
            whose = f" in {name}" if name and len(groups) > 1 else ""
            accepted = f"{at} the best score{whose}, {sign * fine.max():g}{why}"
            raise UserError(f"failure_score: found {sign * given:g}; accepted: {accepted}")


def _dimensions(request: Request, table: Table, named: Collection[str]) -> dict[str, Dimension]:
    """The hyperparameters' columns: what the source declares, under what the user says of them."""
    dimensions = request.dimensions or {c: d for c, d in table.dimensions.items() if c not in named}
    if not dimensions:
        accepted = "columns and their scales, as in params={lr: log, momentum: one_minus_log}"
        raise UserError(f"params: found nothing; accepted: {accepted}")
    for column, dimension in dimensions.items():
        declared = table.dimensions.get(column)
        # A user who names another scale keeps the range that the source declares.
        if dimension.low is None and declared is not None and dimension.scale != "choice":
            dimensions[column] = Dimension(dimension.scale, declared.low, declared.high)
    return dimensions


def _groups(frame: "pd.DataFrame", request: Request) -> Mapping[str, NDArray[np.intp]]:
    """Rows by the name of their group, in order of the names; those without one last."""
    if request.group is None:
        return {ALL: np.arange(len(frame))}
    column = frame[request.group]
    missing = column.isna().to_numpy(dtype=bool)
    names = column.map(str).to_numpy(dtype=object)
    different = sorted(set(names[~missing]), key=_natural)
    groups = {name: np.flatnonzero((names == name) & ~missing) for name in different[:MOST_GROUPS]}
    n = len(different) + int(missing.any())
    if n > MOST_GROUPS:
        found = f"{n} values of {request.group}"
        raise UserError(f"group: found {found}; accepted: a column of {MOST_GROUPS} or fewer")
    if missing.any():
        name = NO_GROUP
        while name in groups:
            name = f"({name})"
        groups[name] = np.flatnonzero(missing)
    return groups


def _without_group(
    frame: "pd.DataFrame",
    failed: NDArray[np.bool_],
    request: Request,
    groups: Mapping[str, NDArray[np.intp]],
) -> list[str]:
    """That trials have no value in the group's column, as those do that failed before it."""
    if request.group is None:
        return []
    missing = frame[request.group].isna().to_numpy(dtype=bool)
    n, lost = int(missing.sum()), int((missing & failed).sum())
    if not n or len(groups) < 2:
        return []
    has, are = ("has", "is") if n == 1 else ("have", "are")
    text = f"{n} of {counted(len(frame), 'trial')} {has} no {request.group}"
    if lost:
        text += f", {lost} of them without a finite score (they fail in no other group)"
    return [f"{text}, and {are} in the group {list(groups)[-1]}"]


def _natural(name: str) -> list[tuple[bool, float, str]]:
    """A key that sorts 8 before 16, and mlp2 before mlp10."""
    parts = re.findall(r"\d+(?:\.\d+)?|\D+", name)
    return [(not p[0].isdecimal(), float(p) if p[0].isdecimal() else 0.0, p) for p in parts]
