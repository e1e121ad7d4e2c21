"""Trials made without hpsuite, for its analysis: what a user might have on disk."""

from pathlib import Path

import numpy as np
import pandas as pd

from hpsuite.foreign import Foreign, parse_request, read_samples


def trials(n: int = 60, seed: int = 0) -> pd.DataFrame:
    """Random trials of a response with a known best, at lr = .01: two groups, one loss each."""
    generator = np.random.default_rng(seed)
    lr = 10 ** generator.uniform(-4, 0, n)
    depth = generator.integers(1, 6, n)
    kind = generator.choice(["relu", "tanh"], n)
    accuracy = 0.9 - 0.1 * (np.log10(lr) + 2) ** 2 - 0.01 * abs(depth - 3)
    return pd.DataFrame(
        {
            "lr": lr,
            "depth": depth,
            "kind": kind,
            "accuracy": accuracy,
            "loss": 1 - accuracy,
            "test": accuracy - 0.01,
            "model": np.where(np.arange(n) % 2 == 0, "mlp", "mlp_bn"),
        }
    )


PARAMS = {"lr": "log", "depth": "integer", "kind": "choice"}


def saved(frame: pd.DataFrame, folder: Path, kind: str = "csv") -> str:
    """The path of a table's file."""
    path = folder / f"trials.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=True)
    return str(path)


def read(address: str, **asked: object) -> Foreign:
    """The samples of trials within .02 of the best, as the command reads them."""
    return read_samples(parse_request({"trials": address, "points": 0.02, **asked}))
