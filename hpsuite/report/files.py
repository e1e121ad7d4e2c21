"""The files that a run leaves: summary.json and trials.csv. Written whole or not at all."""

import csv
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from hpsuite.analysis import Interval
from hpsuite.findings import ArmFinding, ArmTable, Difference, Findings, SetupFinding

SCHEMA = 1


def write_files(
    folder: Path, findings: Findings, about: Mapping[str, object], *, now: datetime
) -> Path:
    """Write summary.json and trials.csv into a new folder named by the time.

    Args:
        folder: the experiment's own, made where it is missing.
        findings: what was found.
        about: what the summary says besides: experiment, versions, device, commit.
        now: the local time.

    Returns:
        The new folder; it appears when both files are whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        scratch.chmod(0o777 & ~_umask())
        text = json.dumps(_plain({**about, **summary(findings)}), indent=2, allow_nan=False)
        (scratch / "summary.json").write_text(text + "\n", encoding="utf-8")
        with (scratch / "trials.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerows(trial_rows([arm.table for arm in findings.arms]))
        name = now.strftime("%Y-%m-%dT%H-%M-%S")
        target, n = folder / name, 1
        while target.exists():
            n += 1
            target = folder / f"{name}-{n}"
        return scratch.rename(target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def summary(findings: Findings) -> dict[str, object]:
    """The figures of setups, arms and studies; accuracies and fractions in [0, 1]."""
    return {
        "schema": SCHEMA,
        "setups": [setup_figures(setup) for setup in findings.setups],
        "differences": [_difference(pair) for pair in findings.differences],
        "arms": [
            {**arm_names(arm.table), **arm_figures(arm), **_origin(arm.table)}
            for arm in findings.arms
        ],
        "studies": [study for arm in findings.arms for study in _studies(arm.table)],
    }


def setup_names(table: ArmTable) -> dict[str, object]:
    """What a setup is called: the names of the options, and what else tells it apart."""
    setup = table.arm.setup
    return {"dataset": setup.dataset.name, "model": setup.model_name, **dict(setup.variant)}


def arm_names(table: ArmTable) -> dict[str, object]:
    """What an arm is called."""
    strategy = table.arm.strategy
    return {**setup_names(table), "strategy": strategy.name, **dict(strategy.variant)}


def setup_figures(setup: SetupFinding) -> dict[str, object]:
    """A setup's figures by name; null where it has no reference sample."""
    found = setup.sensitivity
    names = setup_names(setup.arms[0])
    if found is None or setup.reference is None:
        empty = dict.fromkeys(
            (
                *("good_fraction_2pt", "good_fraction_2pt_low", "good_fraction_2pt_high"),
                *("nonfinite_fraction", "chance_fraction", "best_val_accuracy", "test_accuracy"),
            )
        )
        return {**names, "n_trials": 0, **empty, "reason": setup.reason}
    figures: dict[str, object] = {
        "strategy": setup.reference.arm.strategy.name,
        "repeats": len(setup.reference.studies),
        "n_trials": found.n,
    }
    for e in sorted(found.good_fractions):
        figures |= _ends(f"good_fraction_{e:g}pt", found.good_fractions[e])
    return {
        **names,
        **figures,
        "good_fraction_method": found.good_fractions[2].method,
        **_ends("nonfinite_fraction", found.nonfinite_fraction),
        **_ends("chance_fraction", found.chance_fraction),
        "best_val_accuracy": found.best_val_accuracy,
        "test_accuracy": found.test_accuracy,
        "b": found.b,
        "b_rule": found.b_rule,
        "trained": setup.trained,
        "identity": setup.reference.setup_identity,
    }


def arm_figures(arm: ArmFinding) -> dict[str, object]:
    """An arm's figures by name."""
    found = arm.figures
    return {
        "repeats": found.repeats,
        "n_trials": found.n_trials,
        **_ends("best_val_accuracy", found.best_val_accuracy),
        "best_val_accuracy_sd": found.best_val_accuracy_sd,
        **_ends("test_accuracy", found.test_accuracy),
        "test_accuracy_sd": found.test_accuracy_sd,
        "rank": arm.rank.text,
        "rank_low": arm.rank.low,
        "rank_high": arm.rank.high,
        "seconds": arm.seconds,
        "trials_per_second": arm.trials_per_second,
        "best_so_far": list(found.best_so_far),
    }


def trial_rows(tables: Sequence[ArmTable]) -> list[list[object]]:
    """All trials as rows, the first of them the header.

    Hyperparameters stand under their own names; one that an arm does not search is empty.
    """
    names = sorted({name for table in tables for name in table.arm.setup.space.names})
    labels = list(dict.fromkeys(key for table in tables for key in arm_names(table)))
    header: list[object] = ["study", *labels, "repeat", "number", *names]
    rows = [[*header, "val_accuracy", "test_accuracy", "state", "outcome", "seconds"]]
    for table in tables:
        own_names = arm_names(table)
        own = [own_names.get(key, "") for key in labels]
        for study in table.studies:
            for values, result in zip(study.values, study.results, strict=True):
                rows.append(
                    [
                        study.name,
                        *own,
                        study.repeat,
                        result.number,
                        *(values.get(name, "") for name in names),
                        result.val_accuracy,
                        result.test_accuracy,
                        "COMPLETE",
                        result.outcome,
                        result.seconds,
                    ]
                )
    return rows


def _difference(pair: Difference) -> dict[str, object]:
    found = pair.difference
    figures: dict[str, object] = {}
    for e in sorted(found.own):
        figures |= _ends(f"good_fraction_{e:g}pt", found.own[e])
        figures |= _ends(f"good_fraction_{e:g}pt_common", found.common[e])
    return {
        "a": setup_names(pair.a.arms[0]),
        "b": setup_names(pair.b.arms[0]),
        "n": found.n,
        **figures,
    }


def _studies(table: ArmTable) -> list[dict[str, object]]:
    return [
        {
            **arm_names(table),
            "repeat": study.repeat,
            "seed": study.seed,
            "name": study.name,
            "n_trials": len(study.results),
            "best_val_accuracy": study.best.val_accuracy,
            "test_accuracy": study.best.test_accuracy,
            "best_trial": study.best.number,
            "best_values": dict(study.values[study.best.number]),
        }
        for study in table.studies
    ]


def _origin(table: ArmTable) -> dict[str, object]:
    return {
        "identity": table.identity,
        "generation": table.generation,
        "provenance": dict(table.provenance),
    }


def _ends(name: str, interval: Interval) -> dict[str, object]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _plain(value: object) -> object:
    """A value for JSON, which has no nan: that becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
