"""A user's own arrays: what is taken as it is, and what is refused because it may be a mistake."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpsuite.datasets import Source, prepare
from hpsuite.datasets.arrays import arrays
from hpsuite.training import Resident, train_fused, train_plain
from tests.training.cases import trial

RNG = np.random.default_rng(0)
Y = np.arange(30) % 3


def save(folder: Path, **given: Any) -> Path:
    np.savez(folder / "mine.npz", **given)
    return folder


def load(folder: Path, **options: object) -> Source:
    return arrays(data_dir=str(folder), path="mine.npz", **options)  # type: ignore[arg-type]


def refused(folder: Path, **options: object) -> str:
    with pytest.raises(ValueError, match=r"^path: found .* in .*mine\.npz; accepted: ") as caught:
        load(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3), (1, 4, 4), (2, 2, 2, 2)])
@pytest.mark.parametrize("save_as", [np.savez, np.savez_compressed])
def test_any_shape(tmp_path: Path, shape: tuple[int, ...], save_as: Callable[..., None]) -> None:
    x = RNG.normal(size=(30, *shape)).astype(np.float32)
    save_as(tmp_path / "mine.npz", x=x, y=Y, x_test=x[:9], y_test=Y[:9])
    source = load(tmp_path)
    assert np.array_equal(source.x, x)
    assert np.array_equal(source.y, Y)
    assert source.x_test is not None
    assert np.array_equal(source.x_test, x[:9])
    assert (source.n_classes, source.scale) == (3, 1.0)
    data = prepare(source, split_seed=0, validation_size=9, input_normalization="feature")
    assert data.input_shape == shape


@pytest.mark.parametrize(
    ("given", "kept", "scale"),
    [
        ("uint8", "uint8", 255.0),
        ("int8", "int8", 1.0),
        (">i2", "int16", 1.0),
        ("int32", "int32", 1.0),
        ("int64", "int64", 1.0),
        ("uint16", "int32", 1.0),
        ("uint32", "int64", 1.0),
        ("uint64", "int64", 1.0),
        ("float16", "float16", 1.0),
        (">f4", "float32", 1.0),
        ("float64", "float64", 1.0),
        ("bool", "uint8", 1.0),
    ],
)
def test_types(tmp_path: Path, given: str, kept: str, scale: float) -> None:
    x = RNG.integers(0, 2 if given == "bool" else 100, (30, 4)).astype(given)
    source = load(save(tmp_path, x=x, y=Y, x_test=x, y_test=Y))
    assert (source.x.dtype, source.scale) == (np.dtype(kept), scale)
    assert np.array_equal(source.x, x.astype(np.float64))
    assert source.x_test is not None
    assert source.x_test.dtype == source.x.dtype
    # What the trainer does with it.
    rows = torch.from_numpy(source.x)[torch.tensor([3, 1])].to(torch.float32)
    assert rows.tolist() == x[[3, 1]].astype(np.float32).tolist()
    assert load(tmp_path, scale=7.0).scale == 7.0


@pytest.mark.parametrize("fused", [False, True])
def test_trials_are_the_same_whatever_the_type(tmp_path: Path, fused: bool) -> None:
    """To the bit, where the numbers are the same."""
    x = RNG.integers(0, 100, (90, 2, 3))
    losses = {}
    for given in ("uint8", ">i2", "int64", "uint16", "uint64", "float16", "float32", "float64"):
        source = load(save(tmp_path, x=x.astype(given), y=np.arange(90) % 3), scale=1.0)
        data = prepare(
            source, split_seed=0, validation_size=20, test_size=20, input_normalization="feature"
        )
        resident = Resident.place(data, torch.device("cpu"))
        specs = [trial(resident, n, batch_size=10, epochs=3) for n in range(3)]
        results = (
            train_fused(specs, resident) if fused else [train_plain(s, resident) for s in specs]
        )
        losses[given] = [(r.loss_curve, r.val_curve, r.test_accuracy) for r in results]
    assert all(found == losses["float32"] for found in losses.values())


def test_the_order_in_memory_changes_nothing(tmp_path: Path) -> None:
    x = RNG.normal(size=(30, 4, 5))
    arguments: dict[str, Any] = {"split_seed": 0, "validation_size": 6, "test_size": 6}
    plain = prepare(load(save(tmp_path, x=x, y=Y)), **arguments)
    turned = load(save(tmp_path, x=np.asfortranarray(x), y=Y.astype(">i4")))
    assert turned.x.flags.c_contiguous
    assert prepare(turned, **arguments).fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    "y",
    [
        Y.astype(np.uint8),
        Y.astype(np.int64),
        Y.astype(np.uint64),
        np.array(["cat", "dog", "zebra"])[Y],
        np.array([b"a", b"b", b"c"])[Y],
    ],
)
def test_labels(tmp_path: Path, y: np.ndarray) -> None:
    source = load(
        save(tmp_path, x=RNG.normal(size=(30, 2)), y=y, x_test=np.ones((2, 2)), y_test=y[4:6])
    )
    assert np.array_equal(source.y, Y)
    assert source.y.dtype == np.int64
    assert source.y_test is not None
    assert source.y_test.tolist() == [1, 2]
    assert source.n_classes == 3


def test_true_is_the_second_class(tmp_path: Path) -> None:
    source = load(save(tmp_path, x=np.ones((4, 1)), y=np.array([True, False, True, True])))
    assert source.y.tolist() == [1, 0, 1, 1]


X = np.ones((30, 2))
NO_NUMBERS = np.full((30, 2), np.datetime64("2020-01-01"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        # Labels.
        ({"x": X, "y": Y + 1}, "found 3 different labels from 1 to 3 in y"),
        ({"x": X, "y": Y - 1}, "found 3 different labels from -1 to 1 in y"),
        ({"x": X, "y": Y * 2}, "found 3 different labels from 0 to 4 in y"),
        ({"x": X, "y": Y.astype(float)}, "found y of type float64"),
        ({"x": X, "y": np.eye(3)[Y]}, "found y of shape [30, 3]"),
        ({"x": X, "y": Y[:, None]}, "found y of shape [30, 1]"),
        ({"x": X, "y": np.array(3)}, "found y of shape []"),
        ({"x": X[:0], "y": Y[:0]}, "found y without rows"),
        (
            {"x": X, "y": Y, "x_test": X, "y_test": Y + 1},
            "found a label 3 in y_test that y has not",
        ),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y - 1}, "found a label -1 in y_test that y has"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y.astype(str)}, "found y_test of type <U21"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y > 0}, "found y_test of type bool"),
        ({"x": X, "y": Y, "x_test": X, "y_test": np.eye(3)[Y]}, "found y_test of shape [30, 3]"),
        # Inputs.
        ({"x": np.ones(30), "y": Y}, "found x of shape [30]"),
        ({"x": np.float64(3), "y": Y}, "found x of shape []"),
        ({"x": X + 1j, "y": Y}, "found x of type complex128"),
        ({"x": X.astype(str), "y": Y}, "found x of type <U32"),
        ({"x": NO_NUMBERS, "y": Y}, "found x of type datetime64[D]"),
        ({"x": X.astype(np.longdouble), "y": Y}, "found x of type float128"),
        (
            {"x": np.full((30, 1), 2**64 - 1, np.uint64), "y": Y},
            "found x with 18446744073709551615",
        ),
        # Names.
        ({"x": X}, "found arrays x in"),
        ({"X": X, "y": Y}, "found arrays X, y in"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}, "found arrays x_test, x_train, "),
        ({"x": X, "y": Y, "x_test": X}, "found arrays x, x_test, y in"),
        ({"x": X, "y": Y, "y_test": Y}, "found arrays x, y, y_test in"),
        ({"x": X, "y": Y, "names": Y}, "found arrays names, x, y in"),
        (
            {f"a{n}": Y for n in range(20)},
            "found arrays a0, a1, a10, a11, a12, a13, a14, a15, a16, ",
        ),
        ({}, "found arrays of no name in"),
    ],
)
def test_refused(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    assert refused(save(tmp_path, **given)).startswith(f"path: {words}")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"x": X[:29], "y": Y}, "found 29 inputs for 30 labels; accepted: "),
        ({"x": X, "y": Y * 0}, "found 1 class; accepted: 2 or more"),
        ({"x": np.ones((30, 0)), "y": Y}, r"found inputs of shape \[0\]; accepted: "),
        (
            {"x": X, "y": Y, "x_test": X[:5], "y_test": Y[:6]},
            "found 5 test inputs for 6 test labels",
        ),
        ({"x": X, "y": Y, "x_test": X[:0], "y_test": Y[:0]}, "found a test set without rows"),
        (
            {"x": X, "y": Y, "x_test": np.ones((3, 3)), "y_test": Y[:3]},
            r"found test inputs of shape \[",
        ),
        (
            {"x": X, "y": Y, "x_test": X.astype("f4"), "y_test": Y},
            "found test inputs of shape .* and t",
        ),
    ],
)
def test_refused_by_the_split(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    source = load(save(tmp_path, **given))
    with pytest.raises(ValueError, match=f"^{words}"):
        prepare(source, split_seed=0, validation_size=6, test_size=None if "x_test" in given else 6)


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["x", "y", "other"])
def test_objects_are_refused(tmp_path: Path, name: str) -> None:
    given: dict[str, Any] = {"x": X, "y": Y}
    given[name] = np.array([Payload(tmp_path / "sprung")] * 30, dtype=object)
    line = refused(save(tmp_path, **given))
    assert ("pickled objects, which could run anything" in line) == (name != "other")
    (tmp_path / "mine.npz").write_bytes(pickle.dumps(Payload(tmp_path / "sprung")))
    assert "it is no .npz, which numpy.savez writes" in refused(tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"x,y\n1,2\n", b"PK\3\4" + bytes(100)])
def test_what_is_no_npz(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.npz").write_bytes(content)
    assert "something that cannot be read" in refused(tmp_path)


def test_a_single_array(tmp_path: Path) -> None:
    with (tmp_path / "mine.npz").open("wb") as file:
        np.save(file, X)
    assert "it is no .npz" in refused(tmp_path)


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("x", b"no array")
        archive.writestr("y", b"no array")
    assert "something else than arrays" in refused(tmp_path)


def test_cut_off_and_damaged(tmp_path: Path) -> None:
    x = RNG.normal(size=(30, 2))
    save(tmp_path, x=x, y=Y)
    whole = (tmp_path / "mine.npz").read_bytes()
    for cut in range(0, len(whole), 50):
        (tmp_path / "mine.npz").write_bytes(whole[:cut])
        refused(tmp_path)
    for at in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 0x41
        (tmp_path / "mine.npz").write_bytes(damaged)
        try:
            source = load(tmp_path)
        except ValueError as error:
            assert str(error).startswith("path: found ")  # noqa: PT017 (or it is as it was)
        else:
            assert np.array_equal(source.x, x)
            assert np.array_equal(source.y, Y)


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    """A kilobyte that says that it is an exabyte."""
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive, archive.open("x.npy", "w") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40, 1 << 17)}
        np.lib.format.write_array_header_1_0(file, header)
    assert "something that cannot be read" in refused(tmp_path)


@pytest.mark.parametrize("path", ["mine.npz", "no/where.npz"])
def test_nothing_there(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match=rf"^data_dir: no {path} in {tmp_path}; put it there") as e:
        arrays(data_dir=str(tmp_path), path=path)
    assert "HPSUITE_DATA" in str(e.value)
    (tmp_path / "mine.npz").mkdir()
    assert "it is no file" in refused(tmp_path)
    with pytest.raises(ValueError, match=r"^path: found ''; accepted: a .npz with "):
        arrays(data_dir=str(tmp_path), path="")
    with pytest.raises(ValueError, match=r"^path: found '~nobody-here/x' \("):
        arrays(data_dir=str(tmp_path), path="~nobody-here/x")
