"""Pictures of invented but likely figures: two setups, four strategies, three hyperparameters."""

import math

import numpy as np
import numpy.typing as npt

from hpsuite.report.axes import Axis
from hpsuite.report.figures.best_so_far import BestSoFar
from hpsuite.report.figures.comparisons import Differences, Measure, Row
from hpsuite.report.figures.courses import Courses
from hpsuite.report.figures.diary import DayLine, Diary
from hpsuite.report.figures.importance import Importance, Important, Ranking
from hpsuite.report.figures.intervals import Estimate
from hpsuite.report.figures.lines import Curve, Level, Panel
from hpsuite.report.figures.parallel_coordinates import ParallelCoordinates
from hpsuite.report.figures.points import Points, Response, SampledPoints
from hpsuite.report.figures.rate_response import RateResponse
from hpsuite.report.figures.rate_series import AT_CHANCE, DIVERGED, RateSeries
from hpsuite.report.figures.transfer import Transfer
from hpsuite.report.figures.tuning_curve import TuningCurves

Floats = npt.NDArray[np.float64]

SETUPS = ("digits mlp", "digits mlp_bn")
STRATEGIES = ("grid", "random", "log_random", "coarse_to_fine")
RATE = Axis("learning_rate", scale="log", low=1e-4, high=10)
MOMENTUM = Axis("momentum", scale="one_minus_log", low=0, high=0.999)
DECAY = Axis("weight_decay", scale="log", low=1e-8, high=1e-2)
ACCURACY = Axis("validation accuracy", "%")


def score(setup: int, rate: Floats, momentum: Floats) -> Floats:
    """Expected accuracy in percent: a ridge, wider with batch norm, and a cliff."""
    step = np.log10(rate) - np.log10(1 - momentum)
    best, width, slope, cliff = ((-0.6, 0.35, 7.0, 0.9), (-0.1, 0.75, 5.0, 2.4))[setup]
    away = np.maximum(np.abs(step - best) - width, 0)
    found = (96.4, 97.8)[setup] - slope * away**1.6
    return np.where(step > cliff, 10.0, np.maximum(found, 10.5))


def rate_response(names: tuple[str, ...] = SETUPS) -> RateResponse:
    generator = np.random.default_rng(1)
    rates = 10 ** np.arange(-4, 1.01, 0.2)
    series = []
    for i, name in enumerate(names):
        expected = score(i % 2, rates, np.array(0.9))[:, None]
        noise = generator.normal(0, 0.45, (len(rates), 5)) * (1 + (97 - expected) / 12)
        scores = np.clip(expected + noise, 10, 99)
        # Near the cliff some of the seeds fall.
        edge = np.log10(rates)[:, None] + 1 + generator.normal(0, 0.12, scores.shape)
        diverged = edge > (0.9, 2.4)[i % 2]
        scores[diverged] = 10.0
        outcomes = np.where(diverged, DIVERGED, np.where(scores < 15, AT_CHANCE, 0)).astype(np.int8)
        median = np.median(scores, axis=1)
        level = float(median.max()) - 2
        good = rates[median >= level]
        trains = rates[(outcomes == 0).all(axis=1)]
        decades = math.log10(good[-1] / good[0])
        series.append(
            RateSeries(
                name=name,
                rates=rates,
                scores=scores,
                outcomes=outcomes,
                number=i,
                good=((float(good[0]), float(good[-1])),),
                open_high=bool(good[-1] >= rates[-1]),
                good_level=level,
                best_rate=float(rates[median.argmax()]),
                stable_rate=float(trains[-1]),
                width=f"{decades:.1f} decades [{decades - 0.2:.1f}, {decades + 0.2:.1f}]",
            )
        )
    return RateResponse(
        "Batch norm widens the range of good learning rates",
        Axis("learning rate", scale="log"),
        Axis("validation accuracy", "%", low=0, high=100),
        tuple(series),
        good="within 2 points of each setup's own best",
        note="A sweep in steps of 0.2 decades; momentum 0.9, 12 epochs.",
    )


def random_response() -> RateResponse:
    values, scores, outcomes = trials(0, 256)
    series = RateSeries(SETUPS[0], values[:, 0], scores, outcomes, 0, good=((0.004, 0.08),))
    rate = Axis("learning rate", scale="log", low=1e-4, high=10)
    return RateResponse("The reference sample over its learning rates", rate, ACCURACY, (series,))


def trials(setup: int, n: int) -> tuple[Floats, Floats, npt.NDArray[np.int8]]:
    """Values [n, 3] of random trials, their scores and outcomes."""
    generator = np.random.default_rng(setup)
    rate = 10 ** generator.uniform(-4, 1, n)
    momentum = 1 - 10 ** -generator.uniform(0, 3, n)
    decay = 10 ** generator.uniform(-8, -2, n)
    expected = score(setup, rate, momentum) - 1.5 * np.maximum(np.log10(decay) + 3, 0)
    scores = np.clip(expected + generator.normal(0, 0.5, n), 10, 99)
    outcomes = np.where(expected <= 10, DIVERGED, np.where(scores < 15, AT_CHANCE, 0))
    return np.column_stack([rate, momentum, decay]), scores, outcomes.astype(np.int8)


def tuning_curves(names: tuple[str, ...] = SETUPS) -> TuningCurves:
    k = np.arange(1, 65, dtype=np.float64)
    curves: tuple[list[Curve], list[Curve]] = ([], [])
    for i, name in enumerate(names):
        _, scores, _ = trials(i % 2, 256)
        ordered = np.sort(scores)
        below = np.arange(len(ordered) + 1) / len(ordered)
        for shift, into in zip((0.0, 0.7), curves, strict=True):
            best = np.array([(ordered * np.diff(below**n)).sum() for n in k]) - shift
            half = 9 / k**0.8 + 0.35
            into.append(Curve(name, i, k, best, best - half, np.minimum(best + 0.7 * half, 98.6)))
    return TuningCurves(
        "With batch norm, fewer random trials are needed",
        Axis("trials", scale="log_integer"),
        Axis("accuracy", "%"),
        tuple(curves[0]),
        tuple(curves[1]),
        bands="validation: 95% simultaneous (opda, ks); test: 95% pointwise, bootstrap over trials",
    )


def diary() -> Diary:
    """Days of 3 epochs, of which some are nudged, some taken back, and one diverges."""
    generator = np.random.default_rng(3)
    days, spent, ended = [], 0.0, math.nan
    for number in range(14):
        kept, nudged = number % 4 != 2, number % 3 == 1
        n = 1 if number == 6 else 3
        begin = 60.0 if math.isnan(ended) else ended
        scores = begin + (97 - begin) * np.linspace(0.1, 0.3, n) * (1 if kept else -0.6)
        scores += generator.normal(0, 0.2, n)
        words = "learning_rate x 0.5" if nudged else ""
        epochs = spent + np.arange(n + 1, dtype=np.float64)
        line = np.array([ended, *scores])
        days.append(DayLine(epochs, line, kept, words, f"day {number}: {words or 'goes on'}"))
        spent, ended = spent + n, float(scores[-1]) if kept else ended
    return Diary(
        f"Diary of panda on {SETUPS[0]}, repeat 0",
        Axis("epochs trained, those taken back too", scale="integer"),
        ACCURACY,
        tuple(days),
        note="14 days, 5 nudges, 3 days taken back.",
    )


def best_so_far(setups: tuple[str, ...] = SETUPS) -> BestSoFar:
    n = np.arange(1, 17, dtype=np.float64)
    panels = []
    for i, setup in enumerate(setups):
        b = (96.4, 97.8)[i % 2]
        curves = []
        for j, strategy in enumerate(STRATEGIES):
            mean = b - (0.6, 14.0, 0.25, 0.2)[j] * 4 / (1 + i % 2) - (52, 60, 44, 46)[j] / n**1.6
            spread = (1.2, 9.0, 1.0, 1.1)[j] / n**0.3
            high = np.minimum(mean + spread, b + 0.5)
            curves.append(Curve(strategy, j, n, mean, mean - 1.6 * spread, high))
        panels.append(Panel(setup, tuple(curves), Level("best it can do", b, b - 0.4, b + 0.3)))
    return BestSoFar(
        "Which search finds a good configuration first?",
        Axis("trials", scale="integer"),
        Axis("best validation accuracy", "%", scale="one_minus_log", top=100),
        tuple(panels),
        bands="mean over 30 repeats, and 10% to 90% of them",
    )


def courses() -> Courses:
    """A hidden unit's input over training, which jumps without batch norm."""
    steps = np.linspace(0, 50_000, 61)
    middle = np.stack([3 * np.sin(steps / 4_000), 0.2 * np.sin(steps / 9_000)])
    panels = tuple(
        Panel(name, (Curve("one unit", 0, steps, y, y - 1.5, y + 1),))
        for name, y in zip(("mlp", "mlp_bn"), middle, strict=True)
    )
    return Courses(
        "What a nonlinearity sees",
        Axis("gradient steps"),
        Axis("input", low=-5.0, high=5.0),
        panels,
        bands="median, and the 15th to the 85th percentile",
    )


def sampled_points(scatter: bool = False) -> SampledPoints:
    generator = np.random.default_rng(4)
    ends = np.linspace(0, 1, 5)[:-1]
    offset = generator.uniform(0, 0.25, 2)
    x, y = np.meshgrid(ends + offset[0], ends + offset[1])
    units = {
        "grid": np.column_stack([x.ravel(), y.ravel()]),
        "log_random": generator.uniform(size=(16, 2)),
        "coarse_to_fine": np.concatenate(
            [generator.uniform(size=(8, 2)), generator.uniform((0.35, 0.2), (0.6, 0.45), (8, 2))]
        ),
    }
    linear = generator.uniform(size=(16, 2)) * (10 - 1e-4, 0.999) + (1e-4, 0)
    places = {
        name: (10 ** (5 * u[:, 0] - 4), 1 - 10 ** (-3 * u[:, 1])) for name, u in units.items()
    }
    places["random"] = (linear[:, 0], linear[:, 1])
    panels = []
    for name in STRATEGIES:
        rate, momentum = places[name]
        rounds = np.repeat([0, 1], 8) if name == "coarse_to_fine" else np.zeros(16, int)
        panels.append(Points(name, rate, momentum, score(0, rate, momentum), rounds))
    if scatter:
        values, scores, _ = trials(0, 256)
        response = Response(values[:, 0], values[:, 1], scores)
    else:
        across, up = 10 ** np.linspace(-4, 1, 80), 1 - 10 ** -np.linspace(0, 3, 60)
        response = Response(across, up, score(0, across[None], up[:, None]))
    return SampledPoints(
        "Sixteen trials: what each search gets to see",
        RATE,
        MOMENTUM,
        Axis("expected accuracy", "%"),
        tuple(panels),
        response,
        good_level=94.4,
        good="within 2 points of the best",
        note="One repeat of each on digits mlp. Ticks outside: the distinct values tried.",
    )


def importance() -> Importance:
    variance, risk = Axis("share of variance", "%", low=0), Axis("tuning risk", "points", low=0)
    names = ("learning_rate", "momentum", "weight_decay")
    found = {
        ("fANOVA, 512 trials", 0): ((58.0, 49, 66), (27.0, 20, 35), (2.1, 0.6, 4.9)),
        ("fANOVA, 512 trials", 1): ((41.0, 32, 50), (36.0, 28, 45), (3.3, 1.0, 6.8)),
        ("tuning risk", 0): (
            (9.2, 6.1, 13),
            (3.9, 1.2, math.inf),
            (0.4, 0, 1),
        ),
        ("tuning risk", 1): ((4.0, 2.1, 6.3), (3.1, 1.4, 5.2), (math.nan,)),
    }
    first = ((0.99, 0.01, 0.0), (0.74, 0.26, 0.0), (0.97, 0.03, 0.0), (0.68, 0.32, math.nan))
    panels = []
    for ((evaluator, setup), values), shares in zip(found.items(), first, strict=True):
        rows = tuple(
            Important(name, Estimate(*value), share)
            for name, value, share in zip(names, values, shares, strict=True)
        )
        axis = risk if "risk" in evaluator else variance
        panels.append(Ranking(SETUPS[setup], evaluator, axis, rows, settled=shares[0] > 0.95))
    return Importance(
        "The learning rate matters most, clearly so only without batch norm",
        tuple(panels),
        note="Dots with 95% bootstrap intervals; filled where P(first) is over 95%.",
    )


def parallel_coordinates() -> ParallelCoordinates:
    values, scores, _ = trials(0, 512)
    activation = np.arange(512) % 2
    return ParallelCoordinates(
        "All 512 trials of digits mlp",
        (RATE, MOMENTUM, DECAY, Axis("activation", scale="choice", choices=("relu", "tanh"))),
        np.column_stack([values, activation]),
        scores,
        ACCURACY,
        good_level=94.4,
    )


def transfer() -> Transfer:
    names = ("digits mlp", "digits mlp_bn", "mnist mlp", "mnist mlp_bn")
    cost = np.array(
        [[0, 1.9, 0.6, 2.7], [5.8, 0, 6.9, -0.2], [0.9, 2.4, 0, 3.1], [6.2, 0.3, np.nan, 0]]
    )
    half = np.where(np.eye(4) == 1, np.nan, 0.4 + 0.25 * np.abs(cost))
    return Transfer(
        "What was tuned without batch norm costs with it, and more so the other way",
        names,
        names,
        cost,
        cost - half,
        cost + half,
        "points of accuracy",
        note="Best of the setup minus what the best on the other scores there; 95% intervals.",
    )


def differences() -> Differences:
    axis = Axis("good fraction, with batch norm minus without", "points")
    measure = Measure(axis, 0, (-5, 5), "less of the space is good", "more of it is good")
    rows = (
        Row("2 ReLU layers", (Estimate(13.0, 7.1, 19.2),), "supported", True, "digits, SGD"),
        Row("3 sigmoid layers", (Estimate(24.7, 18.0, 31.3),), "supported", False, "digits, SGD"),
        Row("2 epochs", (Estimate(2.3, -6.7, 14.0),), "inconclusive", False, "digits, SGD"),
        Row("5 sigmoid layers", (Estimate(math.nan),), "did not train", False, "digits, SGD"),
        Row("2 ReLU layers", (Estimate(-0.4, -3.1, 2.2),), "no difference", False, "mnist, Adam"),
        Row("small range", (Estimate(-11, -16, -6.5),), "contradicted", False, "mnist, Adam"),
    )
    return Differences("Where batch norm makes tuning easier", (measure,), rows)


def strategies() -> Differences:
    better = Measure(
        Axis("P(first is better)", low=0, high=1), 0.5, (0.4, 0.6), "second", "first", signed=False
    )
    regret = Measure(Axis("difference of regret", "points"), 0, (-0.5, 0.5), "first", "second")
    rows = (
        Row(
            "log_random, random",
            (Estimate(0.93, 0.85, 0.97), Estimate(-2.9, -4.0, -1.8)),
            "supported",
        ),
        Row(
            "log_random, grid",
            (Estimate(0.64, 0.5, 0.77), Estimate(-0.7, -1.5, 0.1)),
            "inconclusive",
        ),
        Row(
            "coarse_to_fine, log_random",
            (Estimate(0.49, 0.41, 0.58), Estimate(0.02, -0.3, 0.35)),
            "no difference",
            primary=True,
        ),
    )
    return Differences("Which search is better?", (better, regret), rows)
