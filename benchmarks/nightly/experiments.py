"""Parts of a night that are experiments: what their summaries and trials say, as figures."""

import csv
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.nightly.figures import Figure, from_interval, named
from hpsuite.declared import WORDS

LEVEL = 0.95
_STRATEGY = "strategy"


def newest(folder: Path) -> Path:
    """The folder of the newest summary under a folder of outputs.

    Raises:
        FileNotFoundError: there is none.
    """
    found = sorted(path.parent for path in folder.glob("*/*/summary.json"))
    if not found:
        raise FileNotFoundError(f"{folder} has no summary.json")
    return found[-1]


def claims(folder: Path) -> list[Figure]:
    """Effects of an experiment's claims in each cell, and good fractions of its setups."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return [*_effects(summary), *_shares(summary)]


def _effects(summary: Mapping[str, Any]) -> Iterator[Figure]:
    for verdict in summary["verdicts"]:
        several = len(verdict["cells"]) > 1
        unit = _unit(verdict["statistic"])
        for cell in verdict["cells"]:
            error = from_interval(cell["low"], cell["high"], cell["level"])
            if cell["estimate"] is None or error is None:
                continue
            where = cell["cell"] if several else ""
            name = named(summary["experiment"], verdict["claim"], where)
            yield Figure(name, "effect", cell["estimate"], error, unit=unit)


def _unit(statistic: str) -> str:
    """Of a statistic in words, which begin as those of `WORDS` and say between what it is."""
    own = [(words, unit) for words, unit in WORDS.values() if statistic.startswith(words)]
    _, (unit, factor) = max(own, key=lambda found: len(found[0]))
    return unit if factor == 1 else "points"


def _shares(summary: Mapping[str, Any]) -> Iterator[Figure]:
    for setup in summary["setups"]:
        value = setup.get("good_fraction_2pt")
        if value is None:
            continue
        low, high = setup["good_fraction_2pt_low"], setup["good_fraction_2pt_high"]
        name = named(summary["experiment"], "good within 2 points", _setup(setup))
        yield Figure(name, "share", value, _share_error(value, low, high), unit="points")


def _share_error(value: float, low: float | None, high: float | None) -> float | None:
    """From the lower half of its interval: the upper one allows for more than noise."""
    if low is None or high is None:
        return None
    return from_interval(low, 2 * value - low, LEVEL) or from_interval(low, high, LEVEL)


def _setup(row: Mapping[str, Any]) -> str:
    """What tells a setup from the others: all that stands before its strategy."""
    words = []
    for key, value in row.items():
        if key == _STRATEGY:
            break
        words.append(str(value) if key in ("dataset", "model") else f"{key} {value}")
    return " ".join(words)


Row = dict[str, str]


def controls(folder: Path) -> list[Figure]:
    """Figures of the experiment `controls`."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wide = [row for row in rows if not row["space.learning_rate.low"]]
    high = [row for row in rows if row["space.learning_rate.low"]]
    found = [figure for figure in _shares(summary) if "space" not in figure.name]
    for model in ("mlp", "mlp_bn"):
        found += _failed(model, _of(wide, model=model, strategy="log_random"))
        decayed = _of(high, model=model, **{"optimizer.schedule": "cosine"})
        constant = _of(high, model=model, **{"optimizer.schedule": "none"})
        name = named("controls", f"accuracy that cosine decay adds at rates of .01 to 1, {model}")
        found.append(_paired(name, decayed, constant))
    name = named("controls", "accuracy that batch norm adds")
    found.append(_paired(name, _of(wide, model="mlp_bn"), _of(wide, model="mlp")))
    for strategy in dict.fromkeys(row[_STRATEGY] for row in wide):
        own = _of(wide, model="mlp", strategy=strategy)
        found += [_best(strategy, own), _spread(strategy, own)]
    return found


def _of(rows: Sequence[Row], **wanted: str) -> list[Row]:
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def _failed(model: str, rows: Sequence[Row]) -> Iterator[Figure]:
    n = len(rows)
    share = sum(row["outcome"] != "finite" for row in rows) / n
    # Agresti and Coull 1998: of two more successes and two more failures, so that it is never 0.
    held = (share * n + 2) / (n + 4)
    error = math.sqrt(held * (1 - held) / (n + 4))
    yield Figure(named("controls", f"diverged, {model}"), "share", share, error, unit="points")


def _paired(name: str, a: Sequence[Row], b: Sequence[Row]) -> Figure:
    """Mean difference of the accuracies of the same configurations and seeds."""
    others = {_place(row): float(row["val_accuracy"]) for row in b}
    gains = [float(row["val_accuracy"]) - others[_place(row)] for row in a if _place(row) in others]
    error = statistics.stdev(gains) / math.sqrt(len(gains))
    # Not 0 where nothing differs, as where a mechanism does nothing any more.
    least = 1e-3 / math.sqrt(len(gains))
    return Figure(name, "effect", statistics.mean(gains), max(error, least), unit="points")


def _place(row: Row) -> tuple[str, str]:
    return row["repeat"], row["number"]


def _best(strategy: str, rows: Sequence[Row]) -> Figure:
    """Mean over repeats of the best validation accuracy of the first 16 trials."""
    best: dict[str, float] = {}
    for row in rows:
        if int(row["number"]) < 16:
            score = float(row["val_accuracy"])
            best[row["repeat"]] = max(score, best.get(row["repeat"], 0.0))
    values = list(best.values())
    error = max(statistics.stdev(values), 1e-3) / math.sqrt(len(values))
    name = named("controls", f"best of 16 trials, {strategy}")
    return Figure(name, "effect", statistics.mean(values), error, unit="points")


def _spread(strategy: str, rows: Sequence[Row]) -> Figure:
    """Standard deviation of the learning rates that were tried, in decades."""
    tried = [math.log10(float(row["learning_rate"])) for row in rows]
    by_repeat: dict[str, list[float]] = {}
    for row, rate in zip(rows, tried, strict=True):
        by_repeat.setdefault(row["repeat"], []).append(rate)
    own = [statistics.pstdev(rates) for rates in by_repeat.values()]
    error = max(statistics.stdev(own), 1e-3) / math.sqrt(len(own))
    name = named("controls", f"decades over which rates are tried, {strategy}")
    return Figure(name, "effect", statistics.mean(own), error)
