"""The record: an Optuna storage, opened, mended and looked up by identity.

The names of studies, their attributes and the attribute of each trial are versioned by SCHEMA.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import make_url

from hpsuite import __version__
from hpsuite.checks import UserError, one_line
from hpsuite.journal import open_journal
from hpsuite.postgres import is_postgres, reason
from hpsuite.served import is_served, open_served
from hpsuite.trials import Judged, TrialResult

SCHEMA = 1
ATTRIBUTE = "hpsuite"
# Of a study: by the kind of device, how trials are put together on it.
TUNED = "hpsuite_tuned"

# States of trials that have a result.
TOLD = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Provenance:
    """Where results come from; compared when a study is continued.

    Attributes:
        results: version of hpsuite's results (see `hpsuite.RESULTS_VERSION`).
        torch, optuna: versions.
        device: `cpu` or `cuda`.
    """

    results: int
    torch: str
    optuna: str
    device: str

    def difference(self, other: Mapping[str, object]) -> str:
        """What differs from another study's provenance, in words; empty where nothing does."""
        mine = asdict(self)
        parts = [f"{k} {other.get(k)}, now {v}" for k, v in mine.items() if other.get(k) != v]
        return "; ".join(parts)


def identity(parts: Mapping[str, object]) -> str:
    """The hash, 16 hexadecimal digits, of all that decides an arm's trials.

    Args:
        parts: plain values; equal ones give equal hashes whatever their order.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def open_storage(address: str, *, writing: bool = True) -> BaseStorage:
    """Open a record: the path of a journal file, or an address that Optuna takes.

    A journal's folder is made where it is missing. What a crash left of a line at the end of one
    is moved to a file beside it.

    Args:
        address: where it is.
        writing: False for a record that exists and is only to be read: then nothing is made or
            mended.

    Raises:
        UserError: an address that cannot be opened, a file that is no journal, a damaged journal.
    """
    with _told(address):
        if is_postgres(address):
            return open_served(address, writing=writing)
        if "://" in address:
            return optuna.storages.get_storage(address)
        return open_journal(Path(address).expanduser().resolve(), writing)


@contextlib.contextmanager
def _told(address: str) -> Iterator[None]:
    """What keeps a record from being opened, in a line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # each database driver has errors of its own
        raise UserError(
            f"storage: cannot open {address} ({type(error).__name__}: {reason(error)}); accepted: "
            "the path of a journal file, or an address such as sqlite:///record.db or "
            "postgresql://USER@HOST/DATABASE"
        ) from error


def beside(address: str, suffix: str, *, otherwise: Path) -> Path:
    """A path beside a record, named after it.

    Args:
        address: of the record.
        suffix: what to add to the record's name.
        otherwise: the folder for a record on a server, or in memory, which lies nowhere.
    """
    place = address if "://" not in address else None
    if place is None:
        url = make_url(address)
        place = url.database if url.get_backend_name() == "sqlite" else None
    if not place or place == ":memory:":
        return otherwise / f"record{suffix}"
    path = Path(place).expanduser().resolve()
    return path.with_name(path.name + suffix)


def storage_exists(address: str) -> bool:
    """Whether a record is there: opening one that is not would make it.

    Raises:
        UserError: a server that cannot be asked.
    """
    if "://" not in address:
        return Path(address).expanduser().exists()
    if is_postgres(address):
        with _told(address):
            return is_served(address)
    url = make_url(address)
    if url.get_backend_name() != "sqlite":
        return True
    return url.database is not None and Path(url.database).exists()


def study_name(label: str, arm: str, repeat: int, generation: int) -> str:
    """A study's name: readable first, then what finds it again."""
    return f"{label} r{repeat} {arm} g{generation}"


_NAME = re.compile(r"r(?P<repeat>\d+) (?P<arm>[0-9a-f]{16}) g(?P<generation>\d+)$")


def generations(storage: BaseStorage) -> dict[tuple[str, int], dict[int, str]]:
    """All of hpsuite's studies in a record: (arm, generation) -> repeat -> name.

    A generation that was begun (see `create_study`) is there even without studies. A name to which
    a kill left no attributes is not there: such a study was never begun.
    """
    found: dict[tuple[str, int], dict[int, str]] = {}
    for study in storage.get_all_studies():
        match = _NAME.search(study.study_name)
        attributes = study.user_attrs.get(ATTRIBUTE)
        if match is None or not isinstance(attributes, Mapping):
            continue
        for arm, generation in attributes.get("begins", {}).items():
            found.setdefault((arm, generation), {})
        key = (match["arm"], int(match["generation"]))
        found.setdefault(key, {})[int(match["repeat"])] = study.study_name
    return found


def newest_generation(found: Mapping[tuple[str, int], object], arm: str) -> int:
    """The newest generation of an arm in a record; 0 where there is none."""
    return max((generation for name, generation in found if name == arm), default=0)


def create_study(
    storage: BaseStorage,
    name: str,
    attributes: Mapping[str, object],
    *,
    begins: Mapping[str, int] | None = None,
) -> None:
    """Create a study with hpsuite's attributes, or complete one that was created by half.

    Args:
        storage: the record.
        name: of the study; it has no trials yet.
        attributes: what to keep with it.
        begins: generation by arm, of all arms for which new ones begin with this study: should
            the process be killed before it has created their studies, they are new all the same.

    Raises:
        UserError: a study of that name that has trials.
    """
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    if storage.get_n_trials(study._study_id):
        raise UserError(
            f"storage: study {name!r} has trials, but is not of hpsuite's making; accepted: "
            "studies that hpsuite alone writes; use another storage="
        )
    marks = {} if begins is None else {"begins": dict(begins)}
    study.set_user_attr(ATTRIBUTE, {"schema": SCHEMA, **attributes, **marks})


def read_study(storage: BaseStorage, name: str) -> Mapping[str, object]:
    """The attributes that hpsuite gave a study.

    Raises:
        UserError: a study of another version of the schema.
    """
    found = storage.get_study_user_attrs(storage.get_study_id_from_name(name))
    attributes: Mapping[str, object] = found[ATTRIBUTE]
    schema = attributes.get("schema")
    if schema != SCHEMA:
        raise UserError(
            f"storage: study {name!r} has schema {schema}; accepted: {SCHEMA}; use another "
            "storage=, or the version of hpsuite that wrote it"
        )
    return attributes


def read_tuned(storage: BaseStorage, name: str, where: str) -> Mapping[str, object] | None:
    """How a study's trials were put together on a kind of device; None where none was recorded."""
    found = storage.get_study_user_attrs(storage.get_study_id_from_name(name)).get(TUNED, {})
    of_device: Mapping[str, object] | None = found.get(where)
    return of_device


def tuned_setups(storage: BaseStorage, where: str) -> dict[str, Mapping[str, object]]:
    """How trials of each setup are put together on a kind of device, by the setup's identity.

    Where studies of one setup differ in it, what the first of them has.
    """
    found: dict[str, Mapping[str, object]] = {}
    for study in storage.get_all_studies():
        tuned = study.user_attrs.get(TUNED, {}).get(where)
        own = study.user_attrs.get(ATTRIBUTE)
        if tuned is not None and isinstance(own, dict):
            found.setdefault(identity(own["decided_by"]["setup"]), tuned)
    return found


def write_tuned(storage: BaseStorage, name: str, where: str, tuned: Mapping[str, object]) -> None:
    """Record how a study's trials are put together on a kind of device, beside what is there."""
    study = storage.get_study_id_from_name(name)
    before = storage.get_study_user_attrs(study).get(TUNED, {})
    storage.set_study_user_attr(study, TUNED, {**before, where: dict(tuned)})


def result_of(trial: FrozenTrial, study: str) -> TrialResult | None:
    """The result that a record holds of a trial; None where it has none.

    Raises:
        UserError: a result of a version that says more, or something else, of a trial.
    """
    if trial.state not in TOLD or ATTRIBUTE not in trial.user_attrs:
        return None
    try:
        return _result(trial.user_attrs[ATTRIBUTE], study, trial.number)
    except (TypeError, KeyError, ValueError) as error:
        raise UserError(
            f"storage: trial {trial.number} of study {study!r} holds what this version cannot read "
            f"({type(error).__name__}: {one_line(error)}); accepted: results of hpsuite "
            f"{__version__} and older ones; use the version that wrote it, or another storage="
        ) from error


def _result(attribute: Mapping[str, Any], study: str, number: int) -> TrialResult:
    values = dict(attribute)
    if "judged" in values:
        reports, marks = values["judged"]["reports"], values["judged"]["marks"]
        values["judged"] = Judged(tuple(reports), tuple((key, mark) for key, mark in marks))
    for curve in ("val_curve", "loss_curve"):
        values[curve] = tuple(values[curve])
    if "probe" in values:
        values["probe"] = tuple(tuple(row) for row in values["probe"])
    return TrialResult(study=study, number=number, **values)


def count_told(storage: BaseStorage, name: str) -> int:
    """How many trials of a study have been told."""
    return storage.get_n_trials(storage.get_study_id_from_name(name), TOLD)


def attribute_of(result: TrialResult) -> dict[str, object]:
    """A result as the attribute that a record keeps with its trial."""
    elsewhere = ("study", "number", "judged", "probe", "reason")
    own = {f.name: getattr(result, f.name) for f in fields(result) if f.name not in elsewhere}
    if result.reason:
        own["reason"] = result.reason
    if result.judged is not None:
        own["judged"] = asdict(result.judged)
    return own if result.probe is None else {**own, "probe": result.probe}
