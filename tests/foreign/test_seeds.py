"""Seeds of one configuration count once, with their mean."""

import math
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from hpsuite.analysis import good_fractions
from hpsuite.evidence import setup_evidence
from hpsuite.foreign import group_differences
from hpsuite.foreign.seeds import repeats, seed_noise
from tests.foreign.tables import PARAMS, read, saved, trials


def seeded(k: int = 20, seeds: int = 10, sd: float = 0.01, seed: int = 0) -> pd.DataFrame:
    """Trials of k random configurations with so many seeds each, in random order."""
    generator = np.random.default_rng(seed)
    frame = pd.concat([trials(k, seed).assign(seed=s) for s in range(seeds)], ignore_index=True)
    frame["accuracy"] += generator.normal(0.0, sd, len(frame))
    frame["test"] = frame["accuracy"] - 0.01
    return frame.sample(frac=1.0, random_state=seed).reset_index(drop=True)


def test_seeds_count_once_with_their_mean(tmp_path: Path) -> None:
    frame = seeded()
    found = read(saved(frame, tmp_path), score="accuracy", params=PARAMS, test_score="test")
    (sample,) = found.samples
    means = frame.groupby("lr", sort=False)[["accuracy", "test"]].mean()
    assert [v["lr"] for v in sample.values] == pytest.approx(means.index.to_list())
    assert sample.scores == pytest.approx(means["accuracy"].to_numpy())
    assert sample.tests == pytest.approx(means["test"].to_numpy())
    assert (len(sample), found.n_trials["trials"]) == (20, 200)
    assert sample.notes[0] == (
        "200 trials are 20 configurations, of up to 10 seeds each, and count once each, with their "
        "mean"
    )
    firsts = frame.drop_duplicates("lr").index + 2  # lines of the file
    assert list(sample.numbers) == firsts.to_list()


def test_a_configuration_fails_where_all_its_seeds_do(tmp_path: Path) -> None:
    frame = seeded(k=10, seeds=2)
    lost, half = frame["lr"][0], frame["lr"].unique()[3]
    frame.loc[frame["lr"] == lost, "accuracy"] = np.nan
    first = frame.index[frame["lr"] == half][0]
    frame.loc[first, "accuracy"] = np.nan
    asked = {"score": "accuracy", "params": PARAMS, "failure_score": 0.1}
    (sample,) = read(saved(frame, tmp_path), **asked).samples
    assert [v["lr"] for v, f in zip(sample.values, sample.failed, strict=True) if f] == [
        pytest.approx(lost)
    ]
    assert sample.scores[0] == pytest.approx(0.1)
    there = frame["accuracy"][(frame["lr"] == half) & frame["accuracy"].notna()]
    assert sample.scores[3] == pytest.approx((0.1 + there.iloc[0]) / 2)
    assert "3 of 20 trials have no finite score: they count as failure_score=0.1" in sample.notes


def test_discrete_configurations_stay_and_are_told(tmp_path: Path) -> None:
    frame = trials(60)
    params = {"depth": "integer", "kind": "choice"}
    (sample,) = read(saved(frame, tmp_path), score="accuracy", params=params).samples
    assert sample.scores == pytest.approx(frame["accuracy"].to_numpy())
    assert sample.notes[0] == (
        "60 trials of 10 configurations: right where they were drawn more than once by chance; "
        "where they were repeated with other seeds, give their mean"
    )


def test_trials_without_the_continuous_one_stay() -> None:
    """Half have no momentum, and differ in a choice alone: those repeat by chance."""
    columns = {"kind": ["a", "a", "b", "b", "b"], "momentum": [None, None, 0.1, 0.1, 0.2]}
    found = repeats(columns, {"momentum"})
    assert found.of.tolist() == [0, 1, 2, 2, 3]
    assert found.seeds.tolist() == [1, 1, 2, 1]
    assert [note.partition(":")[0].partition(",")[0] for note in found.notes] == [
        "5 trials are 4 configurations",
        "2 trials of 1 configuration",
    ]
    # One value alone does not vary, and says nothing.
    assert repeats({"kind": ["a", "a"], "lr": [0.1, 0.1]}, {"lr"}).of.tolist() == [0, 1]


def test_seeds_of_a_group_are_not_those_of_another(tmp_path: Path) -> None:
    """Both groups tried the same 20 configurations with 3 seeds each: a paired difference."""
    one, two = seeded(seeds=3, seed=0), seeded(seeds=3, seed=0)
    two["accuracy"] -= 0.05 * (two["depth"] > 3)
    frame = pd.concat([one.assign(model="a"), two.assign(model="b")])
    found = read(saved(frame, tmp_path), score="accuracy", params=PARAMS, group="model")
    assert [len(s) for s in found.samples] == [20, 20]
    assert found.n_trials == {"a": 60, "b": 60}
    (pair,) = group_differences([setup_evidence(s) for s in found.samples])
    assert pair.paired
    assert pair.n == (20, 20)


def test_noise_is_that_of_a_mean(tmp_path: Path) -> None:
    path = saved(seeded(), tmp_path)
    (given,) = read(path, score="accuracy", params=PARAMS, noise=0.02).samples
    assert given.noise_sd == pytest.approx(0.02 / math.sqrt(10))
    assert given.notes[1] == (
        "noise=0.02, of one seed, is divided by the root of the number of seeds (their harmonic "
        "mean)"
    )
    (measured,) = read(path, score="accuracy", params=PARAMS).samples
    assert measured.noise_sd == pytest.approx(0.01 / math.sqrt(10), rel=0.25)
    assert "10 configurations of several seeds, the better half" in measured.notes[1]
    # One of a hundred seeds among 40 singles leaves the noise what it is.
    lopsided = repeats({"lr": [0.1] * 100 + [0.2 + i for i in range(40)]}, {"lr"})
    assert lopsided.noise_share == pytest.approx(math.sqrt((40 + 1 / 100) / 41))
    (alone,) = read(saved(trials(), tmp_path), score="accuracy", params=PARAMS).samples
    assert alone.noise_sd == 0.0


def test_measured_noise_is_that_of_the_good() -> None:
    """Bad configurations vary ten times as much, and some good ones fail: neither enters."""
    generator = np.random.default_rng(0)
    k, sd = 400, 0.01
    seeds = generator.integers(1, 6, k)
    of = np.repeat(np.arange(k), seeds)
    good = of % 2 == 0
    scores = np.where(good, 0.9, 0.4) + generator.normal(0, 1, len(of)) * np.where(
        good, sd, 10 * sd
    )
    failed = of % 10 == 2
    scores[failed] = 0.0
    found = repeats({"lr": [0.1 + i for i in of]}, {"lr"})
    noise, n = seed_noise([(scores, failed, found)])
    # 3 of 4 good configurations have several seeds: the estimate's own error is about 5%.
    assert noise == pytest.approx(sd, rel=0.2)
    several = (seeds > 1) & (np.arange(k) % 10 != 2)
    assert n == math.ceil(several.sum() / 2)
    assert seed_noise([(scores[:1], failed[:1], repeats({"lr": [0.1]}, {"lr"}))]) == (0.0, 0)


@pytest.mark.parametrize(("flat", "sd"), [(0.0, 0.02), (0.2, 0.05)])
def test_intervals_cover_the_truth(flat: float, sd: float) -> None:
    """20 configurations of 10 seeds each: were they 200 trials, half of the intervals would miss.

    Configurations score -x² for x uniform on [0, 1], but for x below `flat` all alike, with noise:
    of the space, those within .1 of b*, the mean of the best 4%.
    """
    generator = np.random.default_rng(1)
    k, seeds, margin, simulations = 20, 10, 0.1, 300
    best = -(flat**2) if flat > 0.04 else -(0.04**2) / 3
    truth = math.sqrt(margin - best)
    covered = {"means": 0, "trials": 0}
    for _ in range(simulations):
        x = np.repeat(generator.random(k), seeds)
        scores = -(np.maximum(x, flat) ** 2) + generator.normal(0, sd, len(x))
        found = repeats({"x": x.tolist()}, {"x"})
        noise, _ = seed_noise([(scores, np.zeros(len(x), bool), found)])
        for kind, sample, noise_sd in (
            ("means", found.mean(scores), noise * found.noise_share),
            ("trials", scores, 0.0),
        ):
            share = good_fractions(
                sample,
                generator=np.random.default_rng(0),
                points=[1],
                resamples=200,
                unit=margin,
                noise_sd=noise_sd,
            )[1]
            covered[kind] += share.low <= truth <= share.high
    assert covered["means"] >= 0.93 * simulations
    assert covered["trials"] < 0.6 * simulations


def test_seeds_of_an_optuna_study(tmp_path: Path) -> None:
    """A float with steps has the values of a grid, which repeat by chance."""
    lr = FloatDistribution(1e-4, 1.0, log=True)
    drop = FloatDistribution(0.0, 0.5, step=0.1)
    kind = CategoricalDistribution(["a", "b"])
    for name, distributions, n in (
        ("continuous", {"lr": lr, "drop": drop, "kind": kind}, 12),
        ("discrete", {"drop": drop, "kind": kind}, 36),
    ):
        address = f"sqlite:///{tmp_path / name}.db"
        study = optuna.create_study(storage=address, study_name=name)
        for i in range(36):
            of = i % 12
            params = {"lr": 10 ** -(of / 4), "drop": 0.1 * (of % 6), "kind": "ab"[of % 2]}
            own = {k: params[k] for k in distributions}
            state = TrialState.FAIL if of == 5 else TrialState.COMPLETE
            value = None if of == 5 else of + i / 36
            study.add_trial(
                create_trial(state=state, value=value, params=own, distributions=distributions)
            )
        (sample,) = read(address).samples
        assert len(sample) == n
    # 12, 24 and 36 on of the same configuration: the mean of the loss.
    (sample,) = read(f"sqlite:///{tmp_path}/continuous.db").samples
    assert sample.failed.tolist() == [of == 5 for of in range(12)]
    assert sample.scores[2] == pytest.approx(-(2 + (2 + 14 + 26) / 3 / 36))
    assert sample.numbers == tuple(range(12))
