"""How much a good configuration's validation accuracy varies from seed to seed, in points.

Takes the best configurations of each model from a trials.csv that `+experiment=quickstart` wrote,
trains each again with fresh seeds, and prints the standard deviation over seeds (n - 1): the noise
that `noise_sd` of hpsuite/analysis assumes.
"""

import argparse
import csv
import statistics
from pathlib import Path

import torch

from hpsuite.datasets import prepare
from hpsuite.datasets.digits import digits
from hpsuite.training import Resident, train
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import ModelSpec, OptimizerSpec, TrialSpec, frozen_arguments


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=Path, help="outputs/quickstart/<time>/trials.csv")
    parser.add_argument("--best", type=int, default=6, help="configurations a model (default 6)")
    parser.add_argument("--seeds", type=int, default=24, help="for each of them (default 24)")
    parser.add_argument("--epochs", type=int, default=12, help="as in quickstart (default 12)")
    arguments = parser.parse_args()
    reproducible()
    data = prepare(
        digits(),
        split_seed=0,
        validation_size=359,
        test_size=360,
        input_normalization="feature",
    )
    resident = Resident.place(data, torch.device("cpu"))
    with arguments.trials.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for model, normalization in (("mlp", "none"), ("mlp_bn", "before")):
        own = [row for row in rows if row["model"] == model]
        own.sort(key=lambda row: -float(row["val_accuracy"]))
        deviations = []
        for row in own[: arguments.best]:
            optimizer = OptimizerSpec(
                learning_rate=float(row["learning_rate"]), momentum=float(row["momentum"])
            )
            specs = [
                TrialSpec(
                    study="",
                    number=number,
                    seed=20_261_123,
                    dataset=data.fingerprint,
                    model=ModelSpec(
                        "hpsuite.models.mlp", frozen_arguments({"normalization": normalization})
                    ),
                    optimizer=optimizer,
                    epochs=arguments.epochs,
                )
                for number in range(arguments.seeds)
            ]
            results = train(specs, resident)
            deviations.append(100 * statistics.stdev(r.val_accuracy for r in results))
        print(
            f"{model}: {', '.join(f'{d:.2f}' for d in deviations)}; "
            f"median {statistics.median(deviations):.2f} points "
            f"({arguments.best} configurations, {arguments.seeds} seeds each)"
        )


if __name__ == "__main__":
    main()
