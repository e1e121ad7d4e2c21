"""Arms on their way: planned against the data, identified, and opened in the record."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import optuna
import torch
from optuna.storages import BaseStorage

from hpsuite import RESULTS_VERSION, __version__
from hpsuite.analysis import chance_limit
from hpsuite.checks import UserError
from hpsuite.config import Arm
from hpsuite.datasets import Data
from hpsuite.findings import ArmTable, StudyTable
from hpsuite.journal import rarely_synced
from hpsuite.model_checks import examples
from hpsuite.parsing import check_against_data
from hpsuite.provenance import commit, own_code, processor
from hpsuite.pruning import Pruning
from hpsuite.record import (
    TOLD,
    Provenance,
    count_told,
    create_study,
    generations,
    identity,
    newest_generation,
    read_study,
    study_name,
)
from hpsuite.samplers import build_sampler
from hpsuite.study import StudyRun
from hpsuite.training import Checkpoints
from hpsuite.training.history import results_version
from hpsuite.training.loop import build_model
from hpsuite.training.streams import study_seed

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedArm:
    """An arm with its data, its identity and its plan.

    Attributes:
        arm, data: what to train, on what.
        decided_by: all that decides its trials, as plain values.
        n_planned: trials of each study.
    """

    arm: Arm
    data: Data
    decided_by: Mapping[str, object]
    n_planned: int

    @property
    def identity(self) -> str:
        """Hash of all that decides its trials."""
        return identity(self.decided_by)

    @property
    def setup_identity(self) -> str:
        """Hash of all that decides its setup."""
        setup = self.decided_by["setup"]
        assert isinstance(setup, dict)
        return identity(setup)


def plan_arms(arms: Sequence[Arm]) -> list[PlannedArm]:
    """Load the data, and check all that needs it.

    Raises:
        UserError: on the first mistake.
    """
    loaded: dict[object, Data] = {}
    planned = []
    for arm in arms:
        config = arm.setup.dataset
        key = (config.target, config.arguments, config.split, config.split_seed)
        if key not in loaded:
            loaded[key] = config.load()
        data = loaded[key]
        check_against_data(arm.setup, data)
        planned.append(planned_arm(arm, data))
    _check_distinct(planned)
    return planned


def planned_arm(arm: Arm, data: Data) -> PlannedArm:
    """An arm with its data, which it was checked against."""
    sampler = build_sampler(arm, study_seed(arm.seed, 0))
    strategy = arm.strategy
    decided_by = {
        "setup": arm.setup.decided_by(data.fingerprint),
        "sampler": strategy.target,
        "arguments": dict(strategy.arguments),
        "asking": dict(strategy.asking),
        "plan": sampler.shaped_by_budget(),
        "seed": arm.seed,
        **own_code(strategy.target),
        **_pruned_by(strategy.pruning, sampler.n_planned),
    }
    return PlannedArm(arm, data, decided_by, sampler.n_planned)


def _pruned_by(pruning: Pruning | None, n_planned: int) -> dict[str, object]:
    """What a pruner adds to what decides an arm's trials.

    A last cohort that the budget cuts short would be another one with a larger budget.
    """
    if pruning is None:
        return {}
    own = {**pruning.decided_by(), **own_code(pruning.target)}
    return {"pruning": own if n_planned % pruning.cohort == 0 else {**own, "trials": n_planned}}


def _check_distinct(planned: Sequence[PlannedArm]) -> None:
    """Arms that differ in name, budget or repeats alone would be the same studies."""
    labels: dict[str, str] = {}
    for p in planned:
        other = labels.setdefault(p.identity, p.arm.label)
        if other != p.arm.label:
            raise UserError(
                f"matrix: found {other} and {p.arm.label}, which would make the same trials; "
                "accepted: arms that differ in more than their number of trials or repeats"
            )


@dataclass(frozen=True)
class ArmRun:
    """An arm with its studies open."""

    planned: PlannedArm
    generation: int
    provenance: Mapping[str, object]
    studies: Sequence[StudyRun]

    def table(self) -> ArmTable:
        """Its trials."""
        arm, data = self.planned.arm, self.planned.data
        return ArmTable(
            arm=arm,
            data=data,
            identity=self.planned.identity,
            setup_identity=self.planned.setup_identity,
            generation=self.generation,
            provenance=self.provenance,
            studies=[
                StudyTable(
                    s.name,
                    s.repeat,
                    study_seed(arm.seed, s.repeat),
                    s.values,
                    s.results,
                    s.days if s.days_of_models else (),
                )
                for s in self.studies
            ],
        )


def count_missing(storage: BaseStorage, planned: Sequence[PlannedArm]) -> int:
    """How many trials the newest studies of arms are short of; the record is only read."""
    found, missing = generations(storage), 0
    for p in planned:
        names = found.get((p.identity, newest_generation(found, p.identity)), {})
        for repeat in range(p.arm.repeats):
            told = count_told(storage, names[repeat]) if repeat in names else 0
            missing += max(0, p.n_planned - told)
    return missing


def open_studies(
    storage: BaseStorage,
    planned: Sequence[PlannedArm],
    *,
    fresh: bool,
    device: torch.device,
    checkpoints: Checkpoints | None = None,
) -> list[ArmRun]:
    """Find each arm's newest studies in the record, and create those that are missing.

    Args:
        storage: the record.
        planned: all arms.
        fresh: whether to start a new generation of each.
        device: where trials will be trained.
        checkpoints: where the states of days are.

    Raises:
        UserError: studies that are short of trials and were trained elsewhere, that somebody else
            changed, or of another schema; nothing is created.
    """
    now = {p.identity: _provenance(p, device) for p in planned}
    origin = {
        "hpsuite": __version__,
        "commit": commit() or "unknown",
        "processor": processor(),
    }
    found = generations(storage)
    newest = {p.identity: newest_generation(found, p.identity) for p in planned}
    chosen = {arm: n + 1 if fresh else max(n, 1) for arm, n in newest.items()}
    names = {p.identity: dict(found.get((p.identity, chosen[p.identity]), {})) for p in planned}

    # All that the record has is looked at before anything is written.
    studies: dict[str, StudyRun] = {}
    for p in planned:
        names[p.identity] = _usable(storage, names[p.identity], now[p.identity], p)
        for repeat, name in names[p.identity].items():
            studies[name] = _open(storage, name, p, repeat, checkpoints)

    begins = chosen if fresh else None
    runs = []
    with rarely_synced(storage):
        for p in planned:
            generation = chosen[p.identity]
            for repeat in range(p.arm.repeats):
                if repeat in names[p.identity]:
                    continue
                name = study_name(p.arm.label, p.identity, repeat, generation)
                own = {**asdict(now[p.identity]), **origin}
                attributes = {"provenance": own, "decided_by": p.decided_by}
                create_study(storage, name, attributes, begins=begins)
                begins = None  # one study says it for all
                names[p.identity][repeat] = name
                studies[name] = _open(storage, name, p, repeat, checkpoints)
            its = [names[p.identity][repeat] for repeat in range(p.arm.repeats)]
            provenance = read_study(storage, its[0])["provenance"]
            assert isinstance(provenance, dict)
            runs.append(ArmRun(p, generation, provenance, [studies[name] for name in its]))
    return runs


def _provenance(planned: PlannedArm, device: torch.device) -> Provenance:
    """Where an arm's results would come from now.

    Setups that only later versions fuse have a version of their own, so that the records of all
    others go on.
    """
    setup, data = planned.arm.setup, planned.data
    version = RESULTS_VERSION
    if setup.numerics.trainer == "auto":
        for spec in examples(setup, data):
            model = build_model(spec.model, data, seed=0, number=0)
            found = results_version(model, data.input_shape, device, before=RESULTS_VERSION)
            version = max(version, found)
    return Provenance(version, torch.__version__, optuna.__version__, device.type)


def _open(
    storage: BaseStorage,
    name: str,
    planned: PlannedArm,
    repeat: int,
    checkpoints: Checkpoints | None,
) -> StudyRun:
    arm, data = planned.arm, planned.data
    seed = study_seed(arm.seed, repeat)
    return StudyRun(
        storage,
        name,
        build_sampler(arm, seed),
        setup=arm.setup,
        dataset=planned.data.fingerprint,
        seed=seed,
        repeat=repeat,
        pruning=arm.strategy.pruning,
        checkpoints=checkpoints,
        chance=chance_limit(data.majority_share("val"), len(data.y_val)),
    )


def _usable(
    storage: BaseStorage, names: Mapping[int, str], now: Provenance, planned: PlannedArm
) -> dict[int, str]:
    """Those of an arm's studies that go on: repeat -> name.

    One that needs more trials must get them where it got those that it has. One that has none yet
    is begun anew where it comes from elsewhere.

    Raises:
        UserError: a study that was begun elsewhere and is unfinished.
    """
    usable = {}
    elsewhere = set()
    for repeat in sorted(repeat for repeat in names if repeat < planned.arm.repeats):
        name = names[repeat]
        before = read_study(storage, name)["provenance"]
        assert isinstance(before, dict)
        difference = now.difference(before)
        study_id = storage.get_study_id_from_name(name)
        if difference and storage.get_n_trials(study_id) == 0:
            continue
        if difference:
            if storage.get_n_trials(study_id, TOLD) < planned.n_planned:
                raise UserError(
                    f"storage: study {name!r} is unfinished and was trained with {difference}; "
                    "its trials would not be comparable; accepted: the same as before, another "
                    "storage=, or fresh=true to train it anew beside the old one"
                )
            elsewhere.add(difference)
        usable[repeat] = name
    for difference in sorted(elsewhere):
        _log.warning("%s: complete and used as it is, though of %s", planned.arm.label, difference)
    return usable
