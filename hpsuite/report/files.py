"""The files that a run leaves: summary, trials and report. Written whole or not at all."""

import csv
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from hpsuite.findings import ArmTable, Findings
from hpsuite.pruning import state_of
from hpsuite.report.flat import (
    arm_figures,
    arm_names,
    comparison_figures,
    setup_figures,
    transfer_figures,
    verdict_figures,
)
from hpsuite.report.flat_strategies import (
    across_figures,
    carried_figures,
    environment_figures,
    learned_figures,
    pair_figures,
    split_figures,
)
from hpsuite.report.view import Report
from hpsuite.report.writing import write_report

# 2: `comparisons` was `differences`; verdicts, transfers and more figures.
SCHEMA = 2


def write_files(
    folder: Path,
    findings: Findings,
    about: Mapping[str, object],
    *,
    now: datetime,
    report: Report | None,
) -> Path:
    """Write summary.json, trials.csv and the report into a new folder named by the time.

    Args:
        folder: the experiment's own, made where it is missing.
        findings: what was found.
        about: what the summary says besides: experiment, versions, device, commit.
        now: the local time.
        report: what report.html, report.md and their pictures say; None writes none.

    Returns:
        The new folder; it appears when all files are whole.
    """

    def write(scratch: Path) -> None:
        write_json(scratch / "summary.json", {**about, **summary(findings)})
        write_rows(scratch / "trials.csv", trial_rows([arm.table for arm in findings.arms]))
        if report is not None:
            write_report(scratch, report)

    return write_whole(folder, write, now=now)


def write_whole(folder: Path, write: Callable[[Path], None], *, now: datetime) -> Path:
    """Make a new folder named by the time, whose files are all there or none.

    Args:
        folder: the experiment's own, made where it is missing.
        write: writes the files into the scratch folder that it is given.
        now: the local time.

    Returns:
        The new folder; it appears when `write` has returned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        scratch.chmod(0o777 & ~_umask())
        write(scratch)
        name = now.strftime("%Y-%m-%dT%H-%M-%S")
        target, n = folder / name, 1
        while target.exists():
            n += 1
            target = folder / f"{name}-{n}"
        return scratch.rename(target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write plain values as JSON; nan and infinities become null."""
    text = json.dumps(_plain(value), indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_rows(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def summary(findings: Findings) -> dict[str, object]:
    """The figures of setups, arms and studies; accuracies and fractions in [0, 1]."""
    return {
        "schema": SCHEMA,
        "verdicts": [verdict_figures(verdict) for verdict in findings.verdicts],
        "setups": [setup_figures(setup) for setup in findings.setups],
        "comparisons": [comparison_figures(pair) for pair in findings.differences],
        "splits": [split_figures(found) for found in findings.splits],
        "transfers": [
            {**transfer_figures(found), "adkins": environment_figures(found.environments)}
            for found in findings.transfers
        ],
        "carried": [carried_figures(found) for found in findings.carried],
        "learning_curves": [learned_figures(found) for found in findings.learned],
        "searches": [pair_figures(pair) for pair in findings.pairs],
        "across_setups": [across_figures(found) for found in findings.across],
        "arms": [
            {**arm_names(arm.table), **arm_figures(arm), **_origin(arm.table)}
            for arm in findings.arms
        ],
        "studies": [study for arm in findings.arms for study in _studies(arm.table)],
    }


def has_figures(path: Path, findings: Findings) -> bool:
    """Whether a summary that was written before has the figures of these findings."""
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    now = json.loads(json.dumps(_plain(summary(findings)), allow_nan=False))
    return isinstance(there, dict) and all(there.get(key) == now[key] for key in now)


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
                        "" if result.outcome == "pruned" else result.test_accuracy,
                        state_of(result).name,
                        result.outcome,
                        result.seconds,
                    ]
                )
    return rows


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
