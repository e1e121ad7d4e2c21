"""Trials that hpsuite did not make: read from a file, an Optuna study or MLflow runs."""

from hpsuite.foreign.request import Request, parse_request
from hpsuite.foreign.samples import read_samples

__all__ = ["Request", "parse_request", "read_samples"]
