"""What is measured on a GPU before a setup's first trial, and recorded with its studies."""

from collections.abc import Sequence

import torch
from optuna.storages import BaseStorage
from rich.console import Console
from rich.markup import escape

from hpsuite.arms import ArmRun
from hpsuite.model_checks import examples
from hpsuite.provenance import device_name
from hpsuite.record import read_tuned, write_tuned
from hpsuite.training import Planner, Resident
from hpsuite.training.autotune import Tuned, autotune

# Where trials are put together by what was measured.
TUNED_DEVICES = ("cuda",)


def tune(
    storage: BaseStorage, runs: Sequence[ArmRun], planner: Planner, console: Console
) -> dict[str, Tuned]:
    """Settle how the trials of each arm are put together that is short of some.

    On a GPU, what earlier runs on the same kind of GPU and the same torch found holds on; the rest
    is measured once a setup, where its numerics leave anything open, and recorded. Under
    `numerics.deterministic`, and on a CPU, nothing is measured.

    Returns:
        By the setup's identity, what was settled.
    """
    found: dict[str, Tuned] = {}
    if planner.device.type not in TUNED_DEVICES:
        return found
    where = f"{device_name(planner.device)}, torch {torch.__version__}"
    short = [run for run in runs if any(not study.is_complete for study in run.studies)]
    for run in short:
        for study in run.studies:
            before = read_tuned(storage, study.name, where)
            if before is not None:
                found.setdefault(run.planned.setup_identity, Tuned.of_plain(before))
    for run in short:
        key = run.planned.setup_identity
        if key not in found:
            found[key] = _measured(run, planner, console)
        tuned = found[key]
        for study in run.studies:
            if not study.is_complete and read_tuned(storage, study.name, where) is None:
                write_tuned(storage, study.name, where, tuned.as_plain())
            study.settle(tuned.settled)
            planner.memory_shares[study.name] = tuned.memory_share
    return found


def _measured(run: ArmRun, planner: Planner, console: Console) -> Tuned:
    setup, data = run.planned.arm.setup, run.planned.data
    if setup.numerics.deterministic or setup.numerics.trainer == "plain":
        return Tuned()
    spec = max(examples(setup, data), key=planner.cost)
    if planner.structure(spec).signature is None:
        return Tuned()
    console.print(f"{escape(setup.label)}: measuring how to put trials together ...", style="dim")
    most = sum(study.n_planned - study.n_told for study in run.studies)
    resident = Resident.place(data, planner.device)
    return autotune(spec, resident, planner.at_once, most=most)
