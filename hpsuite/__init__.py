"""hpsuite: numbers with honest uncertainty on hyperparameter tuning.

`python -m hpsuite +experiment=NAME` runs an experiment; `hpsuite.fit(...)` trains one from Python.
The rooms of the package, what each may import and why are in docs/architecture.md.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpsuite.library import Fit as Fit
    from hpsuite.library import fit as fit

# The only place that states the version: packaging reads it from here.
__version__ = "0.1.0"

# Raised whenever the result of some trial may change; a study is never continued across it. Setups
# whose results alone changed have a later version of their own (training/history.py).
RESULTS_VERSION = 1

_OF_THE_LIBRARY = ("Fit", "fit")


def __getattr__(name: str) -> object:
    """What stands in the library, imported when it is asked for: torch and Hydra take seconds."""
    if name in _OF_THE_LIBRARY:
        return getattr(importlib.import_module("hpsuite.library"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_OF_THE_LIBRARY])
