"""Trials of an Optuna study, wherever it is stored; nothing is written to it."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from hpsuite.checks import UserError, one_line, refuse
from hpsuite.foreign.request import Dimension, Direction, Request
from hpsuite.foreign.table import Table, check_rows, counted, shown
from hpsuite.journal import is_journal
from hpsuite.postgres import is_postgres, with_driver
from hpsuite.record import open_storage, storage_exists
from hpsuite.tracking.schema import REVISION, unfit
from hpsuite.trials import Day

if TYPE_CHECKING:
    import pandas as pd

# The columns of what has no name of its own, as in Optuna's own tables.
VALUE, STATE, NUMBER = "value", "state", "number"
# The tables by which a database of Optuna's is known.
TABLES = (
    *(REVISION, "version_info", "studies", "study_directions", "trials", "trial_params"),
    *("trial_values", "trial_intermediate_values", "trial_user_attributes"),
    *("trial_system_attributes", "study_user_attributes", "study_system_attributes"),
    "trial_heartbeats",
)


def is_storage(trials: str) -> bool:
    """Whether this names an Optuna storage: an address, or a journal file."""
    return "://" in trials or is_journal(Path(trials).expanduser())


def read_study(request: Request) -> Table:
    """The finished trials of a study.

    A trial that failed has no score. One that was pruned has the last value that it reported, as
    in Optuna's own tables. Hyperparameters, the score and user attributes are columns of their
    names.

    Raises:
        UserError: a storage without the study, a study of several objectives without `score`.
    """
    import pandas as pd

    storage = _opened(request.trials)
    name = _name(request, storage)
    study = optuna.load_study(study_name=name, storage=storage)
    trials = study.get_trials(deepcopy=False)
    if any(Day.of(trial.user_attrs) for trial in trials):
        raise UserError(
            f"study: found {name!r}, whose trials are days of models that go on from each other; "
            "accepted: a study whose trials stand by themselves"
        )
    ended = [trial for trial in trials if trial.state.is_finished()]
    n_left = len(trials) - len(ended)
    retried = _retried(ended)
    ended = [trial for trial in ended if trial.number not in retried]
    check_rows(request, len(ended))
    dimensions = _dimensions(ended)
    objectives = _objectives(study, dimensions)
    for key, column in (("score", request.score), ("test_score", request.test_score)):
        if column in dimensions:
            accepted = f"an objective ({shown(list(objectives))}) or user attribute of the study"
            raise UserError(f"{key}: found {column!r}, a hyperparameter; accepted: {accepted}")
    rows = [_row(trial, objectives) for trial in ended]
    told: Direction | None = None
    score = next(iter(objectives)) if len(objectives) == 1 else None
    if request.score in objectives:
        score = request.score
    if score is None and request.score is None:
        raise refuse("score", None, f"one of the study's objectives: {shown(list(objectives))}")
    if score is not None and request.score in (None, score):
        told = objectives[score]
        if request.direction not in (None, told):
            raise refuse("direction", request.direction, f"{told}, as the study has it, or null")
    frame = pd.DataFrame(rows, index=[trial.number for trial in ended])
    notes = _pruned(frame, request.score or score, told)
    if n_left:
        has, are = ("has", "is") if n_left == 1 else ("have", "are")
        notes.append(f"{counted(n_left, 'trial')} {has} not ended and {are} left out")
    if retried:
        was, counts = ("was", "counts") if len(retried) == 1 else ("were", "count")
        what = counted(len(retried), "trial")
        notes.append(f"{what} that failed {was} run again and {counts} by the last attempt alone")
    source, stepped = f"Optuna study {name}", _stepped(ended)
    return Table(frame, source, "trial", score, told, dimensions, tuple(notes), stepped)


def _retried(ended: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of failed trials of which a later attempt has ended.

    Optuna's callbacks that retry enqueue a trial anew, which keeps the numbers of those before it.
    """
    failed = {trial.number: trial for trial in ended if trial.state is TrialState.FAIL}
    retried = set()
    for trial in ended:
        for number in RetryHeartbeatStaleTrialCallback.retry_history(trial):
            # In a copy of a study numbers may be others: the values are those of the trial.
            if number in failed and failed[number].params.items() <= trial.params.items():
                retried.add(number)
    return retried


def _pruned(frame: "pd.DataFrame", score: str | None, told: Direction | None) -> list[str]:
    """What the scores of pruned trials are, by whether the study's own is asked for."""
    pruned = frame[frame[STATE] == TrialState.PRUNED.name]
    if pruned.empty or score not in frame:
        return []
    there = sum(map(_is_finite, pruned[score]))
    notes = []
    of = f"of {counted(len(frame), 'trial')}"
    if there:
        was, count = ("was", "counts") if there == 1 else ("were", "count")
        what = f"the {score} of their attributes" if told is None else "the last value reported"
        notes.append(
            f"{there} {of} {was} pruned and {count} with {what}: of the space, more may be good "
            "than is said"
        )
    lost = len(pruned) - there
    if lost:
        was, count = ("was", "counts as a failure") if lost == 1 else ("were", "count as failures")
        notes.append(f"{lost} {of} {was} pruned without a finite score and {count}")
    return notes


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _opened(address: str) -> BaseStorage:
    if is_postgres(address):
        address = with_driver("trials", address)
    try:
        there = storage_exists(address)
    except OSError as error:
        accepted = f"a storage that can be read ({error.strerror})"
        raise refuse("trials", address, accepted) from error
    except UserError as error:
        raise UserError(str(error).replace("storage: ", "trials: ", 1)) from error
    if not there:
        raise refuse("trials", address, "a storage that is there")
    try:
        _check_tables(address)
        return open_storage(address, writing=False)
    except UserError as error:
        raise UserError(str(error).replace("storage: ", "trials: ", 1)) from error


def _check_tables(address: str) -> None:
    """Optuna makes its tables in any database that it opens: none may be made here."""
    if "://" not in address or address.startswith(("redis", "grpc")):
        return
    migrations = Path(str(optuna.__file__)).parent / "storages" / "_rdb" / "alembic"
    try:
        instead = unfit(address, "Optuna", TABLES, "version_info", migrations)
    except Exception as error:  # each driver has errors of its own
        line = one_line(error).partition(" (Background")[0]
        raise refuse("trials", address, f"a database that can be opened ({line})") from error
    if "another version" in instead:
        how = "on a copy of it, `optuna storage upgrade --storage ADDRESS`"
        accepted = f"those of Optuna {optuna.__version__}; to bring older ones up to date: {how}"
        raise UserError(f"trials: found {instead} at {address}; accepted: {accepted}")
    if instead:
        accepted = f"a database with Optuna studies (this has {instead.rstrip(',')})"
        raise refuse("trials", address, accepted)


def _name(request: Request, storage: BaseStorage) -> str:
    names = sorted(study.study_name for study in storage.get_all_studies())
    if request.study is None and len(names) == 1:
        return names[0]
    if request.study not in names:
        accepted = f"one of {shown(names)}" if names else "a storage with a study"
        raise refuse("study", request.study, accepted)
    return request.study


def _objectives(study: optuna.Study, taken: Collection[str]) -> dict[str, Direction]:
    """The study's objectives by column, with their directions.

    Args:
        study: with one objective or more.
        taken: names of hyperparameters.
    """
    names = study.metric_names or (
        [VALUE]
        if len(study.directions) == 1
        else [f"values_{i}" for i in range(len(study.directions))]
    )
    names = [f"objective {name}" if name in taken else name for name in names]
    return {
        name: "maximize" if direction.name == "MAXIMIZE" else "minimize"
        for name, direction in zip(names, study.directions, strict=True)
    }


def _row(trial: FrozenTrial, objectives: Mapping[str, Direction]) -> dict[str, object]:
    row: dict[str, object] = {NUMBER: trial.number, STATE: trial.state.name}
    row |= {key: value for key, value in trial.user_attrs.items() if not isinstance(value, Mapping)}
    # A choice of None is a value, and a hyperparameter that is missing is none.
    row |= {name: "None" if v is None else v for name, v in trial.params.items()}
    values: Sequence[float | None] = [None] * len(objectives)
    if trial.state == TrialState.COMPLETE:
        values = trial.values
    elif trial.state == TrialState.PRUNED and len(objectives) == 1 and trial.intermediate_values:
        values = [trial.intermediate_values[max(trial.intermediate_values)]]
    return row | dict(zip(objectives, values, strict=True))


def _dimensions(trials: Sequence[FrozenTrial]) -> dict[str, Dimension]:
    """The hyperparameters with their scales, each over all ranges that it was asked in."""
    found: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            among = found.setdefault(name, [])
            if distribution not in among:
                among.append(distribution)
    return {name: _dimension(among) for name, among in found.items()}


def _stepped(trials: Sequence[FrozenTrial]) -> frozenset[str]:
    """Hyperparameters that take the values of a grid in any trial, though they are no integers."""
    return frozenset(
        name
        for trial in trials
        for name, distribution in trial.distributions.items()
        if isinstance(distribution, FloatDistribution) and distribution.step is not None
    )


def _dimension(among: Sequence[BaseDistribution]) -> Dimension:
    floats = [d for d in among if isinstance(d, FloatDistribution)]
    integers = [d for d in among if isinstance(d, IntDistribution)]
    numbers: list[FloatDistribution | IntDistribution] = [*floats, *integers]
    if len(numbers) < len(among):
        return Dimension("choice")
    low, high = min(d.low for d in numbers), max(d.high for d in numbers)
    log = all(d.log for d in numbers)
    if floats:
        return Dimension("log" if log else "linear", low, high)
    return Dimension("log_integer" if log else "integer", low, high)
