"""What is measured on a GPU before a setup's first trial, and recorded with its studies."""

from collections.abc import Sequence

import torch
from optuna.storages import BaseStorage
from rich.console import Console
from rich.markup import escape

from hpsuite.arms import ArmRun
from hpsuite.model_checks import examples
from hpsuite.provenance import device_name
from hpsuite.record import read_tuned, tuned_setups, write_tuned
from hpsuite.training import Planner, Resident
from hpsuite.training.autotune import Tuned, autotune
from hpsuite.training.memory import free_memory

# Where trials are put together by what was measured.
TUNED_DEVICES = ("cuda",)


def tune(storage: BaseStorage, runs: Sequence[ArmRun], planner: Planner, console: Console) -> None:
    """Settle how the trials of each arm are put together.

    On a GPU, what a study was begun with on the same kind of GPU and the same torch holds on: what
    is recorded of it, or, of studies from before there was such a thing, what was done then. A new
    study takes what any other one of its setup has in the record. Else it is measured, once a
    setup, where its numerics leave anything open. Under `numerics.deterministic`, and on a CPU,
    nothing is measured.
    """
    short = [run for run in runs if any(not study.is_complete for study in run.studies)]
    if planner.device.type not in TUNED_DEVICES or not short:
        return
    where = f"{device_name(planner.device)}, torch {torch.__version__}"
    known = {key: Tuned.of_plain(value) for key, value in tuned_setups(storage, where).items()}
    for run in short:
        key = run.planned.setup_identity
        for study in run.studies:
            if study.is_complete:
                continue
            recorded = read_tuned(storage, study.name, where)
            if recorded is not None:
                tuned = Tuned.of_plain(recorded)
            elif study.n_told:
                tuned = Tuned()
            else:
                if key not in known:
                    known[key] = _measured(run, planner, console)
                    free_memory(planner.device)  # workers plan with all of it
                tuned = known[key]
            if recorded is None:
                write_tuned(storage, study.name, where, tuned.as_plain())
            study.settle(tuned.settled)
            planner.memory_shares[study.name] = tuned.memory_share


def _measured(run: ArmRun, planner: Planner, console: Console) -> Tuned:
    setup, data = run.planned.arm.setup, run.planned.data
    if setup.numerics.deterministic or setup.numerics.trainer == "plain":
        return Tuned()
    spec = max(examples(setup, data), key=planner.cost)
    if planner.structure(spec).signature is None:
        return Tuned()
    console.print(f"{escape(setup.label)}: measuring how to put trials together ...", style="dim")
    most = sum(study.n_waiting for study in run.studies)
    return autotune(spec, Resident.place(data, planner.device), planner.at_once, most=most)
