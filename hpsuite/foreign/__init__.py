"""Trials that hpsuite did not make: read from a file, an Optuna study or MLflow runs."""

from hpsuite.foreign.differences import GroupDifference, group_differences
from hpsuite.foreign.request import KEYS, MLFLOW, Request, parse_request
from hpsuite.foreign.samples import Foreign, read_samples
from hpsuite.foreign.table import counted

__all__ = [
    "KEYS",
    "MLFLOW",
    "Foreign",
    "GroupDifference",
    "Request",
    "counted",
    "group_differences",
    "parse_request",
    "read_samples",
]
