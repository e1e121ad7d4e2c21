"""What an experiment found: its trials as tables, and the figures that analysis/ makes of them."""

from hpsuite.findings.courses import Course, courses, is_single
from hpsuite.findings.finding import find
from hpsuite.findings.found import (
    UNKNOWN,
    Across,
    ArmFinding,
    Carried,
    Difference,
    Environments,
    Findings,
    Fresh,
    Learned,
    SearchPair,
    SetupFinding,
    SplitFinding,
    StrategyAcross,
    TransferFinding,
)
from hpsuite.findings.searches import MARGIN
from hpsuite.findings.setups import difference, paired
from hpsuite.findings.splits import unsplit
from hpsuite.findings.strategies import against_baseline, baseline_of
from hpsuite.findings.sweeps import Ladder, ladder
from hpsuite.findings.tables import (
    ArmTable,
    Replayed,
    StudyTable,
    sample_of,
    setup_axes,
    setup_name,
    tried_alike,
)

__all__ = [
    "MARGIN",
    "UNKNOWN",
    "Across",
    "ArmFinding",
    "ArmTable",
    "Carried",
    "Course",
    "Difference",
    "Environments",
    "Findings",
    "Fresh",
    "Ladder",
    "Learned",
    "Replayed",
    "SearchPair",
    "SetupFinding",
    "SplitFinding",
    "StrategyAcross",
    "StudyTable",
    "TransferFinding",
    "against_baseline",
    "baseline_of",
    "courses",
    "difference",
    "find",
    "is_single",
    "ladder",
    "paired",
    "sample_of",
    "setup_axes",
    "setup_name",
    "tried_alike",
    "unsplit",
]
