"""What bfloat16 products gain (`numerics.autocast`), on one thread of a CPU, as ratios.

Contenders train one after the other in every repeat, 32 steps and a validation each; times are CPU
times; a ratio is taken within a repeat. The data are random numbers of the sizes of digits (64
features) and MNIST (784), which change no time. **b** is a loop of torch.nn and torch.optim in
float32, its inputs resident, with torch's fused optimizer, images in torch's usual layout.

Run `python benchmarks/mixed_precision.py --help` for its options.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from hpsuite.datasets import Data, Source, prepare
from hpsuite.training import Resident, train_plain
from hpsuite.training.fused import FusedBatch
from hpsuite.training.loop import build_model
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import ModelSpec, Numerics, OptimizerSpec, TrialSpec, frozen_arguments

STEPS = 32
# Data set, its shape, batch size, model and its arguments.
CASES: dict[str, tuple[tuple[int, ...], int, str, dict[str, object]]] = {
    "digits": ((64,), 64, "mlp", {"units": (128, 128)}),
    "digits_bn": ((64,), 64, "mlp", {"units": (128, 128), "normalization": "before"}),
    "mnist": ((784,), 128, "mlp", {"units": (256, 256)}),
    "mnist_bn": ((784,), 128, "mlp", {"units": (256, 256), "normalization": "before"}),
    "convnet": ((1, 28, 28), 64, "convnet", {}),
    "resnet_bn": ((1, 28, 28), 64, "resnet", {"normalization": "before"}),
}


def random_data(shape: tuple[int, ...], batch_size: int) -> Data:
    """Random pixels: 32 mini-batches to train, 128 rows each to validate and test."""
    generator = np.random.default_rng(0)
    n = STEPS * batch_size + 256
    x = generator.integers(0, 256, (n, *shape), dtype=np.uint8)
    y = generator.integers(0, 10, n)
    source = Source(x=x, y=y, n_classes=10, scale=255)
    return prepare(source, split_seed=0, validation_size=128, test_size=128)


def trials(data: Data, case: str, optimizer: str, k: int, autocast: str) -> list[TrialSpec]:
    _, batch_size, model, arguments = CASES[case]
    return [
        TrialSpec(
            study="",
            number=i,
            seed=1,
            dataset=data.fingerprint,
            model=ModelSpec(f"hpsuite.models.{model}", frozen_arguments(arguments)),
            optimizer=OptimizerSpec(kind=optimizer, learning_rate=1e-3),  # type: ignore[arg-type]
            batch_size=batch_size,
            epochs=1,
            numerics=Numerics(autocast=autocast),  # type: ignore[arg-type]
        )
        for i in range(k)
    ]


def well_written(spec: TrialSpec, resident: Resident, *, autocast: bool) -> None:
    """Baseline b."""
    model = build_model(spec.model, resident.data, seed=1, number=0)
    rate = spec.optimizer.learning_rate
    descent: torch.optim.Optimizer
    if spec.optimizer.kind == "adam":
        descent = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    else:
        descent = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, fused=True)
    x, y = resident.inputs(resident.x_train, torch.float32), resident.y_train

    def outputs(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            found: torch.Tensor = model(x)
        return found.float()

    for rows in torch.randperm(len(y)).split(spec.batch_size):
        loss = F.cross_entropy(outputs(x[rows]), y[rows])
        descent.zero_grad()
        loss.backward()
        descent.step()
    model.eval()
    with torch.inference_mode():
        outputs(resident.inputs(resident.x_val, torch.float32)).argmax(1)


def fused(specs: list[TrialSpec], resident: Resident) -> None:
    FusedBatch(specs, resident).train_epoch()


def contenders(
    case: str, optimizer: str, ks: list[int]
) -> dict[str, tuple[int, Callable[[], object]]]:
    """Trials at once and what trains them, by name."""
    shape, batch_size, model, _ = CASES[case]
    data = random_data(shape, batch_size)
    resident = Resident.place(data, torch.device("cpu"))
    found: dict[str, tuple[int, Callable[[], object]]] = {}
    for autocast in ("none", "bfloat16"):
        name = {"none": "float32", "bfloat16": "bfloat16"}[autocast]
        specs = trials(data, case, optimizer, max(ks), autocast)
        is_mixed = autocast != "none"
        found[f"b {name}"] = 1, partial(well_written, specs[0], resident, autocast=is_mixed)
        found[f"plain {name}"] = 1, partial(train_plain, specs[0], resident)
        for k in ks if model == "mlp" else []:
            found[f"K = {k} {name}"] = k, partial(fused, specs[:k], resident)
    return found


def measure(case: str, optimizer: str, ks: list[int], repeats: int) -> None:
    racing = contenders(case, optimizer, ks)
    seconds: dict[str, list[float]] = {name: [] for name in racing}
    for repeat in range(-1, repeats):  # the first round warms up
        for name, (k, train) in racing.items():
            started = time.process_time()
            train()
            if repeat >= 0:
                seconds[name].append((time.process_time() - started) / k)
    for name, times in seconds.items():
        ratios = [b / own for b, own in zip(seconds["b float32"], times, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        milliseconds = statistics.median(times) / STEPS * 1e3
        print(
            f"| {case} | {optimizer} | {name} | {milliseconds:.3f} | "
            f"{middle:.2f} ({low:.2f} to {high:.2f}) |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=11, help="of each contender (default 11)")
    parser.add_argument("--k", type=int, nargs="+", default=[4, 8, 16], help="trials at once")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--optimizers", nargs="+", default=["sgd", "adam"])
    given = parser.parse_args()
    reproducible()
    print(f"torch {torch.__version__}, one thread, n = {given.repeats}, median (quartiles)\n")
    print("| case | optimizer | contender | CPU ms a trial and step | times b float32 |")
    print("| --- | --- | --- | --- | --- |")
    for case in given.cases:
        for optimizer in given.optimizers:
            measure(case, optimizer, given.k, given.repeats)


if __name__ == "__main__":
    main()
