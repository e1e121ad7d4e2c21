"""What an experiment found: its trials as tables, and the figures that analysis/ makes of them."""

from hpsuite.findings.finding import find
from hpsuite.findings.found import (
    UNKNOWN,
    ArmFinding,
    Difference,
    Findings,
    SetupFinding,
    TransferFinding,
)
from hpsuite.findings.searches import MARGIN
from hpsuite.findings.setups import difference, paired
from hpsuite.findings.sweeps import Ladder, ladder
from hpsuite.findings.tables import ArmTable, Replayed, StudyTable, sample_of, setup_axes

__all__ = [
    "MARGIN",
    "UNKNOWN",
    "ArmFinding",
    "ArmTable",
    "Difference",
    "Findings",
    "Ladder",
    "Replayed",
    "SetupFinding",
    "StudyTable",
    "TransferFinding",
    "difference",
    "find",
    "ladder",
    "paired",
    "sample_of",
    "setup_axes",
]
