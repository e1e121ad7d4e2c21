"""Groups of trials compared: how much more of the space is good in one than in another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hpsuite.analysis import Interval, paired_difference
from hpsuite.analysis.unpaired import unpaired_difference
from hpsuite.evidence import SetupEvidence, generator
from hpsuite.samples import Sample


@dataclass(frozen=True)
class GroupDifference:
    """Good fractions of group A minus those of B.

    Attributes:
        a, b: names of the groups.
        n: trials of A and of B.
        paired: whether both tried the same configurations.
        own: by e in points, each against its own best.
        common: by e, both against the better of their bests.
        only: by e, where paired, the shares of configurations good in A alone and in B alone.
    """

    a: str
    b: str
    n: tuple[int, int]
    paired: bool
    own: Mapping[float, Interval]
    common: Mapping[float, Interval]
    only: Mapping[float, tuple[float, float]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What is compared."""
        return f"{self.a} minus {self.b}"


def group_differences(found: Sequence[SetupEvidence]) -> list[GroupDifference]:
    """Each group against the first; paired where both tried the same configurations, each once."""
    if len(found) < 2:
        return []
    first = found[0].sample
    differences = []
    for evidence in found[1:]:
        sample = evidence.sample
        points, unit = sample.points, sample.unit
        # Of means over fewer seeds; the noise of both is known, or of neither.
        noise = max(sample.noise_sd or 0.0, first.noise_sd or 0.0)
        a, b = _by_configuration(sample), _by_configuration(first)
        names = (sample.name, first.name)
        if a is not None and b is not None and set(a) == set(b):
            pair = paired_difference(
                np.array(list(a.values())),
                np.array([b[key] for key in a]),
                generator=generator(),
                points=points,
                unit=unit,
                noise_sd=noise,
            )
            n = (pair.n, pair.n)
            differences.append(GroupDifference(*names, n, True, pair.own, pair.common, pair.only))
            continue
        apart = unpaired_difference(
            sample.scores,
            first.scores,
            generator=generator(),
            points=points,
            unit=unit,
            noise_sd=noise,
        )
        differences.append(GroupDifference(*names, apart.n, False, apart.own, apart.common))
    return differences


def _by_configuration(sample: Sample) -> dict[tuple[tuple[str, str], ...], float] | None:
    """Scores by configuration; None where one was tried twice, or nothing varied.

    A configuration is all that was asked for, also what all trials of the group have alike.
    """
    found = {
        tuple(sorted((name, repr(value)) for name, value in values.items())): float(score)
        for values, score in zip(sample.values, sample.scores, strict=True)
    }
    return found if sample.names and len(found) == len(sample) else None
