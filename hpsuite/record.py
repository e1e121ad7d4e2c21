"""The record: an Optuna storage, opened, mended and looked up by identity.

The names of studies, their attributes and the attribute of each trial are versioned by SCHEMA.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from hpsuite.checks import UserError
from hpsuite.trials import TrialResult

SCHEMA = 1
ATTRIBUTE = "hpsuite"

# Seconds after which the lock of a killed process is taken away. An append holds it for
# milliseconds; Optuna's own default, 30, is what a resumed run would have to wait.
LOCK_GRACE_SECONDS = 10

_log = logging.getLogger(__name__)


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


def open_storage(address: str) -> BaseStorage:
    """Open a record: the path of a journal file, or an address that Optuna takes.

    A journal's torn last line, as a crash leaves it, is moved to a file beside it.

    Raises:
        UserError: an address that cannot be opened.
    """
    try:
        if "://" in address:
            return optuna.storages.get_storage(address)
        # Absolute, as the lock is a symbolic link to it, which Optuna follows.
        path = Path(address).expanduser().absolute()
        lock = JournalFileSymlinkLock(str(path), grace_period=LOCK_GRACE_SECONDS)
        if path.exists():
            mend(path, lock)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except UserError:
        raise
    except Exception as error:  # each database driver has errors of its own
        line = next(iter(str(error).splitlines()), "")
        raise UserError(
            f"storage: cannot open {address} ({type(error).__name__}: {line}); accepted: the path "
            "of a journal file, or an address such as sqlite:///record.db"
        ) from error


def mend(path: Path, lock: JournalFileSymlinkLock) -> None:
    """Cut a journal's torn last line off, and keep it in a file beside the journal.

    Optuna reads past a torn line, but appends to it, and can never open the journal again. The
    lock keeps this from cutting the line that a living process is writing.
    """
    lock.acquire()
    try:
        with path.open("rb+") as file:
            start = _torn_from(file.read())
            if start is None:
                return
            file.seek(start)
            torn = file.read()
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            copy = path.with_name(f"{path.name}.torn-{stamp}")
            copy.write_bytes(torn)
            file.truncate(start)
            file.flush()
            os.fsync(file.fileno())
            _log.warning(
                "%s ended in a torn line of %d bytes, as after a crash; it is now in %s",
                path,
                len(torn),
                copy.name,
            )
    finally:
        lock.release()


def _torn_from(content: bytes) -> int | None:
    """Where a journal's torn last line starts; None where it ends well."""
    if not content:
        return None
    ends_well = content.endswith(b"\n")
    start = content.rfind(b"\n", 0, len(content) - 1) + 1
    if ends_well:
        try:
            json.loads(content[start:])
        except ValueError:
            return start
        return None
    return start


def study_name(label: str, arm: str, repeat: int, generation: int) -> str:
    """A study's name: readable first, then what finds it again."""
    return f"{label} r{repeat} {arm} g{generation}"


_NAME = re.compile(r"r(?P<repeat>\d+) (?P<arm>[0-9a-f]{16}) g(?P<generation>\d+)$")


def generations(storage: BaseStorage) -> dict[tuple[str, int], dict[int, str]]:
    """All of hpsuite's studies in a record: (arm, generation) -> repeat -> name."""
    found: dict[tuple[str, int], dict[int, str]] = {}
    for study in storage.get_all_studies():
        match = _NAME.search(study.study_name)
        if match:
            key = (match["arm"], int(match["generation"]))
            found.setdefault(key, {})[int(match["repeat"])] = study.study_name
    return found


def newest_generation(found: Mapping[tuple[str, int], object], arm: str) -> int:
    """The newest generation of an arm in a record; 0 where there is none."""
    return max((generation for name, generation in found if name == arm), default=0)


def create_study(storage: BaseStorage, name: str, attributes: Mapping[str, object]) -> None:
    """Create a study with hpsuite's attributes."""
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    study.set_user_attr(ATTRIBUTE, {"schema": SCHEMA, **attributes})


def read_study(storage: BaseStorage, name: str) -> Mapping[str, object]:
    """The attributes that hpsuite gave a study.

    Raises:
        UserError: a study without them, or of another version of the schema.
    """
    found = storage.get_study_user_attrs(storage.get_study_id_from_name(name))
    attributes: Mapping[str, object] = found.get(ATTRIBUTE, {})
    schema = attributes.get("schema")
    if schema != SCHEMA:
        raise UserError(
            f"storage: study {name!r} has schema {schema}; accepted: {SCHEMA}; use another "
            "storage=, or the version of hpsuite that wrote it"
        )
    return attributes


def result_of(trial: FrozenTrial, study: str) -> TrialResult | None:
    """The result that a record holds of a trial; None where it has none."""
    if trial.state is not TrialState.COMPLETE or ATTRIBUTE not in trial.user_attrs:
        return None
    values = dict(trial.user_attrs[ATTRIBUTE])
    for curve in ("val_curve", "loss_curve"):
        values[curve] = tuple(values[curve])
    return TrialResult(study=study, number=trial.number, **values)


def attribute_of(result: TrialResult) -> dict[str, object]:
    """A result as the attribute that a record keeps with its trial."""
    values = asdict(result)
    del values["study"], values["number"]
    return values
