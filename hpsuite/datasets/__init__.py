"""Data sets: one file per source over the small common file `common.py`."""

from hpsuite.datasets.common import Data, Source, prepare

__all__ = ["Data", "Source", "prepare"]
