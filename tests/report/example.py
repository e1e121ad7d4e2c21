"""A report of invented but likely figures (see `pictures.py`).

Every picture, every verdict, a table with missing values. To look at it:

    python -m tests.report.example FOLDER
"""

import math
import sys
from pathlib import Path

from hpsuite.report.figures.intervals import Estimate
from hpsuite.report.view import (
    Cell,
    Column,
    Judged,
    Note,
    Picture,
    Report,
    Section,
    Table,
    Verdict,
)
from hpsuite.report.writing import write_report
from tests.report.pictures import (
    best_so_far,
    diary,
    differences,
    importance,
    parallel_coordinates,
    random_response,
    rate_response,
    sampled_points,
    strategies,
    transfer,
    tuning_curves,
)


def verdicts() -> tuple[Verdict, ...]:
    conditions = {
        "learning rate": "log, 0.0001 to 10",
        "momentum": "log of 1 - x, 0 to 0.999, v = bv + g",
        "budget": "12 epochs, mini-batches of 64",
        "model": "2 ReLU layers of 64 units, normalisation before the activation",
    }
    return (
        Verdict(
            claim="Batch norm makes a network less sensitive to its hyperparameters",
            word="supported",
            sentence="With batch norm, 13.0 points more of the search space is good; the interval "
            "lies beyond 5 points, the smallest effect that matters.",
            statistic="good fraction within 2 points of the best, with batch norm minus without",
            estimate=Estimate(13.0, 7.1, 19.2),
            unit="points",
            n="256 paired configurations, as planned",
            smallest_effect=5,
            conditions=conditions,
            cells=(
                Judged("digits", "supported", "+13.0 points [7.1, 19.2]", 256, primary=True),
                Judged("mnist, small", "contradicted", "-11.0 points [-16.0, -6.5]", 256),
            ),
        ),
        Verdict(
            claim="Coarse to fine beats random search on a log scale",
            word="no difference",
            sentence="Over 30 repeats of 16 trials, coarse to fine was better in 49% of pairs.",
            statistic="P(coarse_to_fine better than log_random), ties half",
            estimate=Estimate(0.49, 0.41, 0.58),
            unit="",
            n="30 repeats each",
            smallest_effect=0.1,
            null=0.5,
            conditions=conditions,
        ),
        Verdict(
            claim="A grid is as good as random search when two hyperparameters matter",
            word="inconclusive",
            sentence="The interval reaches from no effect to a large one.",
            statistic="P(log_random better than grid), ties half",
            estimate=Estimate(0.64, 0.5, 0.77),
            unit="",
            n="30 repeats each",
            smallest_effect=0.1,
            null=0.5,
            settles="140 repeats each",
            declared=False,
        ),
        Verdict(
            claim="A log scale is better than a linear one for learning rates over [0.0001, 1]",
            word="contradicted",
            sentence="On this range the linear scale finds more, for 90% of it is where these "
            "networks like to be.",
            statistic="regret, log minus linear",
            estimate=Estimate(-1.9, -2.8, math.inf),
            unit="points",
            n="30 repeats each",
            smallest_effect=0.5,
        ),
        Verdict(
            claim="Weight decay needs tuning",
            word="tuning did not matter here",
            sentence="All of its range is within 2 points of the best.",
            statistic="good fraction over weight decay alone",
            estimate=Estimate(98.0, 94.5, 100),
            unit="%",
            n="64 trials",
            smallest_effect=math.nan,
        ),
        Verdict(
            claim="Five sigmoid layers are robust",
            word="did not train",
            sentence="No configuration without batch norm rose above chance, so that its flatness "
            "says nothing.",
            statistic="good fraction, with batch norm minus without",
            estimate=Estimate(math.nan),
            unit="points",
            n="256 paired configurations",
            smallest_effect=5,
        ),
    )


def setup_table() -> Table:
    columns = (
        Column("setup"),
        Column("n", numeric=True),
        Column("good within 2 points", numeric=True),
        Column("diverged", numeric=True),
        Column("at chance", numeric=True),
        Column("trials for a 95% chance of a good one", numeric=True),
    )
    rows = (
        ("digits mlp", 256, "19.5% [13.6, 29.0]", 19.5, 14, 30, 14),
        ("digits mlp_bn", 256, "32.5% [26.2, 41.8]", 32.5, 0, 9, 8),
        ("mnist mlp", 128, "17.2% [11.0, 26.9]", 17.2, 16, 28, 16),
        ("mnist mlp_bn", 128, "-", math.nan, 1, 8, math.nan),
    )
    cells = tuple(
        (
            Cell(name),
            Cell(str(n), n),
            Cell(words, good),
            Cell(f"{diverged}%", diverged),
            Cell(f"{chance}%", chance),
            Cell("-" if math.isnan(needed) else f"{needed:g}", needed),
        )
        for name, n, words, good, diverged, chance, needed in rows
    )
    return Table(
        "Setups",
        columns,
        cells,
        note="good: share of the space, sampled on its proper scales, with a validation accuracy "
        "within 2 points of the setup's best; `[95% interval]`, given one split of the data.",
    )


def example_report() -> Report:
    """All of it."""
    return Report(
        experiment="quickstart",
        title="Is a network with batch norm easier to tune, and by which search?",
        answers=(
            "With SGD, yes: with batch norm 13.0 points more of the space is good, and the good "
            "learning rates span 1.6 decades instead of 0.8. Random search on a log scale did as "
            "well as anything.",
        ),
        verdicts=verdicts(),
        sections=(
            Section(
                "Sensitivity",
                ("How much of the search space is good, and where.",),
                (
                    setup_table(),
                    Picture(
                        "rate-response",
                        rate_response(),
                        "Validation accuracy against learning rate: with batch norm the good range "
                        "is about twice as wide, and reaches higher rates.",
                        "A learning rate is good where the median of five seeds is within 2 points "
                        "of the setup's best.",
                    ),
                    Picture(
                        "rate-response-sample",
                        random_response(),
                        "The same for the 256 random trials of digits mlp.",
                    ),
                    Picture(
                        "differences",
                        differences(),
                        "Differences of good fractions with intervals: supported for SGD, "
                        "contradicted for Adam on a small range.",
                    ),
                    Note("b is not retrained: it is biased upwards by about 0.4 points."),
                ),
            ),
            Section(
                "Tuning",
                (),
                (
                    Picture(
                        "tuning-curves",
                        tuning_curves(),
                        "Expected best of k random trials, validation and test: with batch norm "
                        "8 trials reach what takes 16 without.",
                    ),
                    Picture(
                        "parallel-coordinates",
                        parallel_coordinates(),
                        "512 trials as lines: the good ones have a small learning rate with a "
                        "large momentum, or the reverse.",
                        "Drag along an axis to choose trials; drag a name to move its axis.",
                    ),
                ),
            ),
            Section(
                "Searches",
                (),
                (
                    Picture(
                        "best-so-far",
                        best_so_far(),
                        "Best validation accuracy so far by strategy: random search on a linear "
                        "scale is far behind, the others are close.",
                    ),
                    Picture(
                        "diary",
                        diary(),
                        "Validation accuracy of one model over all its days, three of which were "
                        "taken back.",
                    ),
                    Picture(
                        "strategies",
                        strategies(),
                        "Strategies compared: log_random is better than random, and as good as "
                        "coarse_to_fine.",
                    ),
                    Picture(
                        "sampled-points",
                        sampled_points(),
                        "Sixteen points of each strategy over the response: a grid tries four "
                        "values of each hyperparameter, random search sixteen.",
                    ),
                    Picture(
                        "sampled-points-sample",
                        sampled_points(scatter=True),
                        "The same over the trials of the reference sample.",
                    ),
                ),
            ),
            Section(
                "Importance and transfer",
                (),
                (
                    Picture(
                        "importance",
                        importance(),
                        "Importance of three hyperparameters by fANOVA and tuning risk: the "
                        "learning rate first, settled without batch norm only.",
                    ),
                    Picture(
                        "transfer",
                        transfer(),
                        "Costs of hyperparameters tuned on another setup: small between data sets, "
                        "2 to 7 points between networks with and without batch norm.",
                    ),
                ),
            ),
        ),
        conditions={
            "data": "digits, 1078 / 359 / 360 examples, `split_seed=0`",
            "space": "learning_rate log 0.0001 to 10; momentum log of 1 - x, 0 to 0.999",
            "budget": "12 epochs, mini-batches of 64; 16 trials a repeat, 30 repeats",
        },
        versions={"hpsuite": "0.2.0", "torch": "2.15.0", "optuna": "5.0.0"},
        device="cpu (AMD EPYC)",
        commit="ab5ef3c003ed",
        created="2026-11-23 12:48",
        took="3 min 5 s",
        command="python -m hpsuite +experiment=quickstart 'matrix.strategy=[grid,tpe]'",
        warnings=("Invented figures: an example of what a report looks like.",),
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_report(folder, example_report())
