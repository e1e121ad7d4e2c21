"""hpsuite: numbers with honest uncertainty on hyperparameter tuning.

`python -m hpsuite +experiment=NAME` runs an experiment. The rooms of the package, what each may
import and why are in docs/architecture.md.
"""

# The only place that states the version: packaging reads it from here.
__version__ = "0.1.0"

# Raised whenever the result of some trial may change; a study is never continued across it.
RESULTS_VERSION = 1
