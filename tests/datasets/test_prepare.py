"""Splits, normalisation and fingerprints, on digits and on made-up sources."""

import re
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpsuite.datasets import Data, Source, common, prepare
from hpsuite.datasets.digits import digits


@pytest.fixture(scope="module")
def source() -> Source:
    return digits()


def split(source: Source, **arguments: object) -> Data:
    defaults: dict[str, object] = {"split_seed": 0, "validation_size": 359, "test_size": 360}
    return prepare(source, **(defaults | arguments))  # type: ignore[arg-type]


def rows(x: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in x}


def test_digits(source: Source) -> None:
    assert source.x.shape == (1797, 64)
    assert source.x.dtype == np.uint8
    assert (source.x.min(), source.x.max()) == (0, 16)
    data = split(source)
    assert (len(data.x_train), len(data.x_val), len(data.x_test)) == (1078, 359, 360)
    assert (len(data.y_train), len(data.y_val), len(data.y_test)) == (1078, 359, 360)
    assert data.input_shape == (64,)
    assert data.n_classes == 10
    assert data.x_train.dtype == np.uint8
    assert data.y_train.dtype == np.int64


def test_digits_as_images(source: Source) -> None:
    images = digits(image=True)
    assert images.x.shape == (1797, 1, 8, 8)
    assert np.array_equal(images.x.reshape(-1, 64), source.x)
    data = split(images, input_normalization="channel")
    assert data.input_shape == (1, 8, 8)
    assert np.array_equal(data.x_val.reshape(-1, 64), split(source).x_val)


def test_every_row_is_in_one_split(source: Source) -> None:
    numbered = replace(source, x=np.arange(1797, dtype=np.int64)[:, None])
    data = split(numbered)
    parts = [part[:, 0] for part in (data.x_train, data.x_val, data.x_test)]
    together = np.concatenate(parts)
    assert np.array_equal(np.sort(together), np.arange(1797))
    for part, labels in zip(parts, (data.y_train, data.y_val, data.y_test), strict=True):
        assert np.array_equal(source.y[part], labels)


def test_splits_are_stratified(source: Source) -> None:
    data = split(source)
    shares = np.bincount(source.y) / len(source.y)
    for labels in (data.y_train, data.y_val, data.y_test):
        assert np.abs(np.bincount(labels) - shares * len(labels)).max() <= 1


def test_splits_are_the_seeds(source: Source) -> None:
    data, same, other = split(source), split(source), split(source, split_seed=1)
    assert data.fingerprint == same.fingerprint
    assert np.array_equal(data.x_train, same.x_train)
    assert data.fingerprint != other.fingerprint
    for a, b in ((data.x_train, other.x_train), (data.x_test, other.x_test)):
        assert rows(a) != rows(b)


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_the_training_fraction_changes_neither_validation_nor_test(
    source: Source, fraction: float
) -> None:
    whole, part = split(source), split(source, train_fraction=fraction)
    assert len(part.y_train) == round(fraction * 1078)
    assert np.array_equal(part.x_val, whole.x_val)
    assert np.array_equal(part.x_test, whole.x_test)
    assert rows(part.x_train) <= rows(whole.x_train)
    shares = np.bincount(whole.y_train) / len(whole.y_train)
    assert np.abs(np.bincount(part.y_train, minlength=10) - shares * len(part.y_train)).max() <= 1


def normalised(data: Data) -> np.ndarray:
    return data.x_train.astype(np.float64) * data.multiplier + data.offset


def test_no_normalisation_is_the_scale(source: Source) -> None:
    assert np.array_equal(normalised(split(source)), split(source).x_train / 16)


def test_features_get_mean_0_and_variance_1(source: Source) -> None:
    data = split(source, input_normalization="feature", train_fraction=0.3)
    x = normalised(data)
    constant = data.x_train.std(0) == 0
    assert 0 < constant.sum() < 64  # digits has pixels that are always empty
    assert np.abs(x.mean(0)).max() < 1e-12
    assert x[:, ~constant].std(0) == pytest.approx(np.ones((~constant).sum()), abs=1e-12)
    assert (x[:, constant] == 0).all()


def test_channels_get_mean_0_and_variance_1() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (90, 3, 4, 5), dtype=np.uint8)
    x[:, 1] //= 4
    x[:, 2] = 7
    source = Source(x, np.arange(90) % 3, 3, 255.0)
    data = prepare(
        source, split_seed=0, validation_size=20, test_size=20, input_normalization="channel"
    )
    found = normalised(data)
    assert data.multiplier.shape == (3, 1, 1)
    assert np.abs(found.mean((0, 2, 3))).max() < 1e-12
    assert found.std((0, 2, 3)) == pytest.approx([1, 1, 0], abs=1e-12)
    assert (found[:, 2] == 0).all()


def test_the_fingerprint_is_of_all_that_matters(source: Source) -> None:
    data = split(source)
    x = source.x.copy()
    x[0, 0] ^= 1
    y = source.y.copy()
    zero, one = np.flatnonzero(y == 0)[0], np.flatnonzero(y == 1)[0]
    y[[zero, one]] = y[[one, zero]]
    others = [
        data,
        split(source, split_seed=1),
        split(source, validation_size=358),
        split(source, test_size=359),
        split(source, train_fraction=0.9),
        split(source, input_normalization="feature"),
        split(replace(source, x=x)),
        split(replace(source, y=y)),
        split(replace(source, x=source.x.astype(np.float32))),
        split(replace(source, x=source.x.reshape(-1, 1, 8, 8))),
        split(replace(source, n_classes=11)),
        split(replace(source, scale=255.0)),
    ]
    assert len({other.fingerprint for other in others}) == len(others)
    assert all(len(other.fingerprint) == 64 for other in others)


def test_augmentation_changes_the_fingerprint_alone() -> None:
    images = digits(image=True)
    plain = split(images)
    assert split(images, flip=False, shift=0).fingerprint == plain.fingerprint
    choices = ({"flip": True}, {"shift": 1}, {"shift": 2}, {"flip": True, "shift": 2})
    moved = [split(images, **choice) for choice in choices]
    assert len({data.fingerprint for data in (plain, *moved)}) == 5
    for data, choice in zip(moved, choices, strict=True):
        assert {"flip": data.flip, "shift": data.shift} == {"flip": False, "shift": 0, **choice}
        for name in ("x_train", "x_val", "x_test", "multiplier", "offset"):
            assert np.array_equal(getattr(data, name), getattr(plain, name))


def test_augmentation_is_for_images(source: Source) -> None:
    images = Source(np.zeros((40, 3, 5, 9)), np.arange(40) % 2, 2, 1.0)
    sizes = {"validation_size": 10, "test_size": 10}
    assert split(images, shift=4, flip=True, **sizes).shift == 4
    for given, arguments, words in (
        (images, {"shift": 5}, "shift: found 5 for images of 5 x 9; accepted: 0 to 4"),
        (source, {"shift": 1}, "shift: found 1 for inputs of shape [64]; accepted: 0, as only ["),
        (source, {"flip": True}, "flip: found true for inputs of shape [64]; accepted: false, a"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
            split(given, **{**sizes, **arguments})


def test_a_sources_own_test_set_is_used_whole(source: Source) -> None:
    own = replace(
        source, x=source.x[:1500], y=source.y[:1500], x_test=source.x[1500:], y_test=source.y[1500:]
    )
    data = split(own, test_size=None, validation_size=300)
    assert np.array_equal(data.x_test, source.x[1500:])
    assert (len(data.y_train), len(data.y_val)) == (1200, 300)


def test_the_majority_class_is_the_training_sets() -> None:
    y = np.array([2] * 60 + [0] * 40 + [1] * 20)
    source = Source(np.zeros((120, 2)), y, 3, 1.0, np.zeros((4, 2)), np.array([2, 1, 2, 2]))
    data = prepare(source, split_seed=0, validation_size=12)
    assert data.majority_class == 2
    assert data.majority_share("val") == 0.5
    assert data.majority_share("test") == 0.75


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"validation_size": 1500}, "validation_size, test_size: found 1500 and 360 of 1797 rows"),
        ({"test_size": None}, "test_size: found null for a source with no test set"),
        (
            {"train_fraction": 0.001},
            r"train_fraction: found 0.001, 1 of 1078 rows; accepted: 10 to",
        ),
        ({"train_fraction": 0.999}, r"train_fraction: found 0.999, 1077 of 1078 rows; accepted"),
        ({"validation_size": 9}, r"validation_size: found 9 of 1437 rows; accepted: 10 to 1427"),
        ({"test_size": 1}, r"test_size: found 1 of 1797 rows; accepted: 10 to 1787"),
        ({"input_normalization": "channel"}, r"input_normalization: found 'channel' for inputs"),
    ],
)
def test_bad_arguments(source: Source, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        split(source, **arguments)
    assert "accepted" in str(caught.value)


def test_a_class_of_one_row_cannot_be_split() -> None:
    source = Source(np.zeros((50, 2)), np.array([0] * 30 + [1] * 19 + [2]), 3, 1.0)
    with pytest.raises(ValueError, match="of 50 rows, of which class 2 has one; accepted"):
        prepare(source, split_seed=0, validation_size=10, test_size=10)


def test_a_fraction_that_rounds_to_all_rows_takes_all(source: Source) -> None:
    whole, nearly = split(source), split(source, train_fraction=0.9999)
    assert nearly.fingerprint == whole.fingerprint


# Sizes as shares.


def test_sizes_may_be_shares_of_the_rows(source: Source) -> None:
    shares = split(source, validation_size=0.2, test_size=0.3)
    rows = split(source, validation_size=359, test_size=539)
    assert (len(shares.y_val), len(shares.y_test)) == (359, 539)
    assert shares.fingerprint == rows.fingerprint
    own = replace(source, x_test=source.x[:20], y_test=source.y[:20])
    assert len(split(own, validation_size=0.5, test_size=None).y_val) == 898  # of 1,797


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"validation_size": 0.0001},
            r"validation_size: found 0 of 1437 rows; accepted: 10 to 1427",
        ),
        ({"test_size": 0.0001}, r"test_size: found 0 of 1797 rows; accepted: 10 to 1787"),
        (
            {"validation_size": 0.5, "test_size": 0.5},
            "validation_size, test_size: found 898 and 898",
        ),
    ],
)
def test_shares_that_leave_nothing(
    source: Source, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        split(source, **arguments)


# Sources that are no data set for classification.

X, Y = np.arange(60.0).reshape(30, 2), np.arange(30) % 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_classes": 1, "y": Y * 0}, "found 1 class; accepted: 2 or more"),
        ({"n_classes": 2}, "found labels 0 to 2 for 2 classes; accepted: 0 to 1"),
        ({"y": Y - 1}, "found labels -1 to 1 for 3 classes"),
        ({"y": Y[:29]}, "found 30 inputs for 29 labels; accepted: one label each"),
        ({"x": X[:, :0]}, r"found inputs of shape \[0\]; accepted: one number or more"),
        ({"x": X[:0], "y": Y[:0]}, "validation_size, test_size: found 6 and 6 of 0 rows"),
        ({"x": X[:0].reshape(0, 2), "y": Y}, "found 0 inputs for 30 labels"),
    ],
)
def test_sources_that_do_not_fit_together(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        prepare(
            replace(Source(X, Y, 3, 1.0), **changes), split_seed=0, validation_size=6, test_size=6
        )


@pytest.mark.parametrize(
    ("x_test", "y_test", "words"),
    [
        (X, None, "found a test set of inputs or labels alone; accepted: both, or none"),
        (X[:0], Y[:0], "found a test set without rows; accepted: one row or more"),
        (X[:4], Y[:3], "found 4 test inputs for 3 test labels"),
        (X[:4], Y[:4] + 1, "found test labels 1 to 3 for 3 classes"),
        (X[:4, :1], Y[:4], r"found test inputs of shape \[1\] and type float64 for training in"),
        (X[:4].astype("f4"), Y[:4], r"found test inputs of shape \[2\] and type float32 for tra"),
        (X[:4] * np.nan, Y[:4], "found test inputs of row 0 that are infinite or no numbers"),
    ],
)
def test_test_sets_that_do_not_fit(x_test: np.ndarray, y_test: Any, words: str) -> None:
    source = Source(X, Y, 3, 1.0, x_test, y_test)
    with pytest.raises(ValueError, match=f"^{words}"):
        prepare(source, split_seed=0, validation_size=6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, -1e300])
@pytest.mark.parametrize("row", [0, 17])
def test_inputs_that_are_no_numbers(value: float, row: int) -> None:
    """Or that float32 has no room for."""
    x = X.copy()
    x[row, 1] = value
    with pytest.raises(
        ValueError, match=rf"^found inputs of row {row} that are infinite or no num"
    ):
        prepare(Source(x, Y, 3, 1.0), split_seed=0, validation_size=6, test_size=6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_first_such_row_is_named(dtype: type) -> None:
    x = X.astype(dtype)
    x[20, 0], x[9, 1] = np.inf, np.nan
    with pytest.raises(ValueError, match=r"^found inputs of row 9 that are infinite or no numbers"):
        prepare(Source(x, Y, 3, 1.0), split_seed=0, validation_size=6, test_size=6)


# Normalisation.


def columns(*functions: Any) -> Data:
    """Standard normal draws z, each column a function of its own."""
    z = np.random.default_rng(0).normal(size=(300, len(functions)))
    x = np.stack([function(z[:, i]) for i, function in enumerate(functions)], axis=1)
    return prepare(
        Source(x, np.arange(300) % 3, 3, 1.0),
        split_seed=0,
        validation_size=60,
        test_size=60,
        input_normalization="feature",
    )


@pytest.mark.parametrize("constant", [0.1, 1 / 3, 1e-30, -7.7e20, 0.0])
def test_constants_of_any_size_stay_at_0(constant: float) -> None:
    """The mean of 180 times 0.1 is not 0.1, and its distance from it is no deviation."""
    data = columns(lambda z: z, lambda z: 0 * z + constant)
    assert data.multiplier[1] == 1
    assert (normalised(data)[:, 1] == 0).all()
    assert normalised(data)[:, 0].std() == pytest.approx(1)
    single = data.x_train.astype(np.float32) * data.multiplier.astype(np.float32)
    assert (single[:, 1] + data.offset.astype(np.float32)[1] == 0).all()


def test_float32_resolves_what_is_accepted() -> None:
    """At the edge of what is accepted, 1% of a deviation is left to rounding."""
    data = columns(lambda z: z + 60_000, lambda z: z * 1e-20, lambda z: z * 1e20)
    exact = normalised(data)
    single = data.x_train.astype(np.float32) * data.multiplier.astype(np.float32)
    single += data.offset.astype(np.float32)
    assert np.abs(single - exact).max() < 0.01


@pytest.mark.parametrize(
    "function",
    [
        lambda z: 1.7e9 + 100 * z,  # times in seconds
        lambda z: 1 + 1e-9 * z,
        lambda z: 1e-39 * z,
        lambda z: np.where(z > 0, 0.3, 0.1 + 0.2),  # a constant but for rounding
    ],
)
def test_features_that_float32_cannot_tell_apart(function: Any) -> None:
    with pytest.raises(ValueError, match=r"^input_normalization: found feature 1, which varies by"):
        columns(lambda z: z, function, lambda z: z)


def test_the_place_of_such_a_feature_is_named() -> None:
    x = np.random.default_rng(0).normal(size=(300, 2, 3, 4))
    x[:, 1, 2, 0] += 1e9
    x[:, 1, 2, 1] += 1e9
    source = Source(x, np.arange(300) % 3, 3, 1.0)
    arguments: dict[str, Any] = {"split_seed": 0, "validation_size": 60, "test_size": 60}
    with pytest.raises(ValueError, match=r"^input_normalization: found feature 1, 2, 0, which var"):
        prepare(source, input_normalization="feature", **arguments)
    prepare(source, input_normalization="none", **arguments)
    x[:, 1] = 1e9 + x[:, 0]
    with pytest.raises(ValueError, match=r"^input_normalization: found channel 1, which varies by"):
        prepare(source, input_normalization="channel", **arguments)


@pytest.mark.parametrize("kind", ["feature", "channel"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.int64])
def test_large_inputs_are_measured_in_pieces(
    kind: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).integers(0, 256, (301, 3, 5, 4)).astype(dtype)
    x[:, :, 0, 0] = 7
    source = Source(x, np.arange(301) % 3, 3, 255.0)
    arguments: dict[str, Any] = {
        "split_seed": 0,
        "validation_size": 60,
        "test_size": 60,
        "input_normalization": kind,
    }
    whole = prepare(source, **arguments)
    monkeypatch.setattr(common, "_AT_ONCE", 1000)
    monkeypatch.setattr(common, "_PIECE", 700)
    pieces = prepare(source, **arguments)
    assert pieces.fingerprint == whole.fingerprint
    for name in ("multiplier", "offset"):
        a, b = getattr(pieces, name), getattr(whole, name)
        assert a.shape == b.shape
        assert np.allclose(a, b, rtol=1e-14, atol=0)


def test_pieces_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).integers(0, 256, (1000, 3, 32, 32), dtype=np.uint8)
    monkeypatch.setattr(common, "_AT_ONCE", 1 << 18)
    monkeypatch.setattr(common, "_PIECE", 1 << 16)
    tracemalloc.start()
    common._normalization(x, 255.0, "channel")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < x.size  # a copy as float64 is 8 times that


def test_what_fits_is_measured_at_once_as_ever(source: Source) -> None:
    """To the last bit, on which trials in old records rest."""
    images = np.random.default_rng(0).integers(0, 256, (900, 1, 28, 28), dtype=np.uint8)
    for x, kind, axes in ((source.x, "feature", (0,)), (images, "channel", (0, 2, 3))):
        multiplier, offset = common._normalization(x, 16.0, kind)  # type: ignore[arg-type]
        values = x.astype(np.float64)
        deviation = values.std(axis=axes, keepdims=True)[0]
        expected = 1 / np.where(deviation > 0, deviation, 1.0)
        assert np.array_equal(multiplier, expected)
        assert np.array_equal(offset, -values.mean(axis=axes, keepdims=True)[0] * expected)
    # All of MNIST, whatever is split off.
    assert common._AT_ONCE >= 60_000 * 28 * 28
