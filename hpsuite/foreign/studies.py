"""Trials of an Optuna study, wherever it is stored; nothing is written to it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from hpsuite.checks import UserError, one_line, refuse
from hpsuite.foreign.request import Dimension, Direction, Request
from hpsuite.foreign.table import Table, check_rows, shown
from hpsuite.record import is_journal, open_storage, storage_exists

# The columns of what has no name of its own, as in Optuna's own tables.
VALUE, STATE, NUMBER = "value", "state", "number"


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
    ended = [trial for trial in trials if trial.state.is_finished()]
    check_rows(request, len(ended))
    objectives = _objectives(study, {name for trial in ended for name in trial.params})
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
    notes = []
    pruned = sum(trial.state == TrialState.PRUNED for trial in ended)
    if pruned:
        notes.append(
            f"{pruned} of {len(ended)} trials were pruned and count with the last value that they "
            "reported: of the space, more may be good than is said"
        )
    if len(ended) < len(trials):
        notes.append(f"{len(trials) - len(ended)} trials have not ended and are left out")
    return Table(
        pd.DataFrame(rows),
        f"Optuna study {name}",
        score,
        told,
        _dimensions(ended),
        tuple(notes),
    )


def _opened(address: str) -> BaseStorage:
    if not storage_exists(address):
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
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(address)
        try:
            there = sqlalchemy.inspect(engine).has_table("studies")
        finally:
            engine.dispose()
    except Exception as error:  # each driver has errors of its own
        line = one_line(error).partition(" (Background")[0]
        raise refuse("trials", address, f"a database that can be opened ({line})") from error
    if not there:
        raise refuse("trials", address, "a database with Optuna studies")


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
