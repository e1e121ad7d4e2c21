"""The record: an Optuna storage, opened, mended and looked up by identity.

The names of studies, their attributes and the attribute of each trial are versioned by SCHEMA.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import make_url

from hpsuite.checks import UserError
from hpsuite.trials import Judged, TrialResult

SCHEMA = 1
ATTRIBUTE = "hpsuite"

# States of trials that have a result.
TOLD = (TrialState.COMPLETE, TrialState.PRUNED)

# Seconds after which the lock of a killed process is taken away. An append holds it for
# milliseconds; Optuna's own default, 30, is what a resumed run would have to wait.
LOCK_GRACE_SECONDS = 5

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
    try:
        if "://" in address:
            return optuna.storages.get_storage(address)
        return _open_journal(Path(address).expanduser().absolute(), writing)
    except UserError:
        raise
    except Exception as error:  # each database driver has errors of its own
        line = next(iter(str(error).splitlines()), "")
        raise UserError(
            f"storage: cannot open {address} ({type(error).__name__}: {line}); accepted: the path "
            "of a journal file, or an address such as sqlite:///record.db"
        ) from error


def is_journal(path: Path) -> bool:
    """Whether a file begins as a journal of Optuna's does."""
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except (OSError, ValueError):  # no file, a folder, or no path at all
        return False


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
    path = Path(place).expanduser().absolute()
    return path.with_name(path.name + suffix)


def storage_exists(address: str) -> bool:
    """Whether a record is there: opening one that is not would make it."""
    if "://" not in address:
        return Path(address).expanduser().exists()
    url = make_url(address)
    if url.get_backend_name() != "sqlite":
        return True
    return url.database is not None and Path(url.database).exists()


def _open_journal(path: Path, writing: bool) -> JournalStorage:
    if writing:
        path.parent.mkdir(parents=True, exist_ok=True)
    # Optuna's other lock is a symbolic link to the journal: a link that was left by a killed
    # process and points nowhere, as in a folder that was moved, is waited for without an end.
    lock = JournalFileOpenLock(str(path), grace_period=LOCK_GRACE_SECONDS)
    if writing and path.exists():
        mend(path, lock)
    try:
        return JournalStorage(_Journal(str(path), lock_obj=lock))
    except ValueError as error:  # of JSON, or of its encoding
        with path.open("rb") as file:
            damaged = (number for number, line in enumerate(file, 1) if not _is_whole(line))
            number = next(damaged, None)
        if number is None:
            raise
        raise UserError(
            f"storage: line {number} of {path} is damaged, as by a crash, and others follow it; "
            "accepted: a journal of whole lines; take that line out of a copy, or use another "
            "storage="
        ) from error


class _Journal(JournalFileBackend):
    """A journal that can hold lines back."""

    _held: list[dict[str, object]] | None = None

    def append_logs(self, logs: list[dict[str, object]]) -> None:
        if self._held is None:
            super().append_logs(logs)
        else:
            self._held += logs

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write all lines at the end, in one go: each by itself is waited for on the disk."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                self.append_logs(held)


def together(storage: BaseStorage) -> contextlib.AbstractContextManager[None]:
    """While this lasts, a journal collects what is written, and nothing of it is read back."""
    backend = getattr(storage, "_backend", None)
    return backend.together() if isinstance(backend, _Journal) else contextlib.nullcontext()


def mend(path: Path, lock: JournalFileOpenLock) -> None:
    """Cut a journal's torn end off, and keep it in a file beside the journal.

    Optuna reads past a torn line, but appends to it, and can never open the journal again. The
    lock keeps this from cutting the line that a living process is writing.

    Raises:
        UserError: a file that is no journal; it stays as it is.
    """
    lock.acquire()
    try:
        with path.open("rb+") as file:
            content = file.read()
            start = _torn_from(content)
            torn = content[start:]
            if not torn:
                return
            if start == 0 and not (torn.startswith(_BEGIN) or _BEGIN.startswith(torn)):
                raise UserError(
                    f"storage: {path} is no journal of Optuna's; accepted: the path of a journal "
                    "file, new or old, or an address such as sqlite:///record.db"
                )
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            copy = path.with_name(f"{path.name}.torn-{stamp}")
            copy.write_bytes(torn)
            file.truncate(start)
            os.fsync(file.fileno())
            _log.warning(
                "%s ended in a torn line of %d bytes, as after a crash; it is now in %s",
                path,
                len(torn),
                copy.name,
            )
    finally:
        lock.release()


# How Optuna begins each line of a journal.
_BEGIN = b'{"op_code":'


def _torn_from(content: bytes) -> int:
    """Where the part after a journal's last whole line starts."""
    end = len(content)
    while end > 0:
        start = content.rfind(b"\n", 0, end - 1) + 1
        if _is_whole(content[start:end]):
            break
        end = start
    return end


def _is_whole(line: bytes) -> bool:
    """Whether this is a line of a journal, with its end."""
    try:
        log = json.loads(line)
    except ValueError:  # of JSON, or of its encoding
        return False
    return line.endswith(b"\n") and isinstance(log, dict) and "op_code" in log


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
        if match is None or attributes is None:
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


def result_of(trial: FrozenTrial, study: str) -> TrialResult | None:
    """The result that a record holds of a trial; None where it has none."""
    if trial.state not in TOLD or ATTRIBUTE not in trial.user_attrs:
        return None
    values = dict(trial.user_attrs[ATTRIBUTE])
    if "judged" in values:
        reports, marks = values["judged"]["reports"], values["judged"]["marks"]
        values["judged"] = Judged(tuple(reports), tuple((key, mark) for key, mark in marks))
    for curve in ("val_curve", "loss_curve"):
        values[curve] = tuple(values[curve])
    if "probe" in values:
        values["probe"] = tuple(tuple(row) for row in values["probe"])
    return TrialResult(study=study, number=trial.number, **values)


def count_told(storage: BaseStorage, name: str) -> int:
    """How many trials of a study have been told."""
    return storage.get_n_trials(storage.get_study_id_from_name(name), TOLD)


def attribute_of(result: TrialResult) -> dict[str, object]:
    """A result as the attribute that a record keeps with its trial."""
    elsewhere = ("study", "number", "judged", "probe")
    own = {f.name: getattr(result, f.name) for f in fields(result) if f.name not in elsewhere}
    if result.judged is not None:
        own["judged"] = asdict(result.judged)
    return own if result.probe is None else {**own, "probe": result.probe}
