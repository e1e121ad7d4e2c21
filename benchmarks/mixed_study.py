"""How much faster trials that differ in everything train together than only with their like.

Trials of digits are drawn at random from `space=all`: kinds of optimizer, batch sizes, epochs,
depths, widths, activations and all the rest. The planner cuts them into batches. Of some of these,
chosen at random, each is trained as it was planned, and as if trials could not be mixed: with only
those together that share structure, update rule, batch size and number of steps. Both run on one
thread, one after the other, in turns going first; times are CPU times.

Run `python benchmarks/mixed_study.py --help` for its options. Recorded results:
docs/fused-training.md.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from hydra import initialize_config_dir

from hpsuite.arms import plan_arms
from hpsuite.compose import compose_experiment
from hpsuite.forecast import _example, planned_batches
from hpsuite.overrides import config_dir
from hpsuite.training import Planner, Resident, train
from hpsuite.training.loop import count_steps
from hpsuite.training.optimizers import update_rule
from hpsuite.training.reproducible import reproducible
from hpsuite.trials import TrialSpec


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=512, help="that wait at once (default 512)")
    parser.add_argument("--batches", type=int, default=12, help="that are timed (default 12)")
    parser.add_argument("--override", nargs="*", default=[], help="such as model=mlp_bn")
    given = parser.parse_args()
    reproducible()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        _, arms = compose_experiment(
            ["name=x", "space=all", "strategy=log_random", "device=cpu", *given.override]
        )
    (planned,) = plan_arms(arms)
    resident = Resident.place(planned.data, torch.device("cpu"))
    planner = Planner({planned.data.fingerprint: planned.data}, resident.device, n_workers=1)
    started = time.process_time()
    batches = planned_batches([_example(planned, i) for i in range(given.trials)], planner)
    planning = time.process_time() - started
    rng = np.random.default_rng(0)
    chosen = [batches[i] for i in rng.choice(len(batches), given.batches, replace=False)]
    rows = []
    for turn, batch in enumerate(chosen):
        apart = unmixed(planner, batch)
        contenders = [("mixed", [batch]), ("apart", apart)]
        seconds = {}
        for name, parts in contenders if turn % 2 else contenders[::-1]:
            begun = time.process_time()
            for part in parts:
                train(part, resident)
            seconds[name] = time.process_time() - begun
        steps = sum(count_steps(spec, len(resident.y_train))[0] for spec in batch)
        rows.append((batch, len(apart), steps, seconds["mixed"], seconds["apart"]))
    show(planner, batches, rows, planning / given.trials)


def unmixed(planner: Planner, batch: Sequence[TrialSpec]) -> list[list[TrialSpec]]:
    """Cut a batch into what could be one program if nothing could be mixed."""
    parts: dict[Hashable, list[TrialSpec]] = {}
    for spec in batch:
        key = (
            planner.structure(spec).signature,
            (spec.epochs, spec.steps),
            update_rule(spec.optimizer),
            spec.optimizer.label_smoothing > 0,
        )
        parts.setdefault(key, []).append(spec)
    return list(parts.values())


def show(
    planner: Planner,
    batches: Sequence[Sequence[TrialSpec]],
    rows: Sequence[tuple[Sequence[TrialSpec], int, int, float, float]],
    planning: float,
) -> None:
    """Print what was found."""
    sizes = [len(batch) for batch in batches]
    print(
        f"torch {torch.__version__}, {platform.processor() or platform.machine()}, one thread; "
        f"{sum(sizes)} trials in {len(sizes)} batches, mean size "
        f"{statistics.mean(sizes):.1f}, planned in {planning * 1e3:.1f} ms a trial\n"
    )
    print("| batch | apart | trial-steps | mixed, s | apart, s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for batch, n_apart, steps, mixed, apart in rows:
        print(
            f"| {planner.explain(batch)} | {n_apart} | {steps} | {mixed:.2f} | {apart:.2f} | "
            f"{apart / mixed:.2f} |"
        )
    ratios = [apart / mixed for _, _, _, mixed, apart in rows]
    low, middle, high = statistics.quantiles(ratios, n=4)
    total = [sum(row[i] for row in rows) for i in (2, 3, 4)]
    print(
        f"\nn = {len(rows)} batches: median ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f});"
        f" all together {total[2] / total[1]:.2f}: {total[0] / total[1]:.0f} trial-steps a second "
        f"in place of {total[0] / total[2]:.0f}"
    )


if __name__ == "__main__":
    main()
