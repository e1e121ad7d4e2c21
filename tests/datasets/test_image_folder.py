"""Images in folders: what they become, the same wherever they lie, and every way to be refused."""

import io
import shutil
import tarfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hydra import initialize_config_dir
from PIL import Image, ImageFile

from hpsuite.arms import plan_arms
from hpsuite.compose import compose_experiment
from hpsuite.datasets import Data, Source, prepare
from hpsuite.datasets.image_folder import image_folder
from hpsuite.overrides import config_dir
from tests.datasets.small import encoded, pictures, write_folder, write_tar, write_zip

Files = dict[str, bytes]
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _no_cache_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPSUITE_CACHE", str(tmp_path / "cache"))


def load(place: Path, **options: object) -> Source:
    return image_folder(data_dir=str(place.parent), path=place.name, **options)  # type: ignore[arg-type]


def plain(content: bytes, mode: str = "RGB") -> np.ndarray:
    """What Pillow makes of an image, [H, W] or [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(content)).convert(mode))


def noise(height: int = 6, width: int = 5) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def two(content: bytes, name: str = "x.png") -> Files:
    """A layout with one image to look at, the first, and another class."""
    return {f"a/{name}": content, "b/y.png": encoded(noise())}


def refused(place: Path, **options: object) -> str:
    with pytest.raises(ValueError, match=r"^(path|resize): found ") as caught:
        load(place, **options)
    line = str(caught.value)
    assert "\n" not in line
    assert "; accepted: " in line
    return line


def test_rows_are_in_the_order_of_split_class_and_name(tmp_path: Path) -> None:
    files = pictures(n=3)
    source = load(write_folder(tmp_path / "set", files))
    assert (source.n_classes, source.scale) == (3, 255)
    assert source.x_test is not None
    for x, y, split in ((source.x, source.y, "train"), (source.x_test, source.y_test, "test")):
        names = sorted(name for name in files if name.startswith(split))
        assert np.array_equal(x, [plain(files[name]).transpose(2, 0, 1) for name in names])
        assert y is not None
        assert y.tolist() == ["abc".index(name.split("/")[1]) for name in names]
        assert (x.dtype, y.dtype) == (np.uint8, np.int64)
        assert x.flags.c_contiguous


def test_classes_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    files = {f"{name}/1.png": encoded(noise()) for name in ("b10", "b9", "B", "ä", "a b")}
    source = load(write_folder(tmp_path / "set", files))
    order = ["B", "a b", "b10", "b9", "ä"]
    expected = [plain(files[f"{name}/1.png"]).transpose(2, 0, 1) for name in order]
    assert np.array_equal(source.x, expected)
    assert source.y.tolist() == [0, 1, 2, 3, 4]
    assert source.x_test is None


def in_folder(place: Path, files: Files) -> Path:
    return write_folder(place / "set", files)


def in_tar(place: Path, files: Files) -> Path:
    return write_tar(place / "set.tar", files, "w")


def in_tgz(place: Path, files: Files) -> Path:
    return write_tar(place / "set.tgz", files, "w:gz", seed=1)


def in_zip(place: Path, files: Files) -> Path:
    return write_zip(place / "set.zip", files)


HOUSES = [in_folder, in_tar, in_tgz, in_zip]


def split(source: Source) -> Data:
    test_size = 6 if source.x_test is None else None
    return prepare(source, split_seed=0, validation_size=6, test_size=test_size)


@pytest.mark.parametrize("splits", [("train/", "test/"), ("",), ("train/",)])
@pytest.mark.parametrize("top", ["", "top/", "one/in another/"])
def test_the_fingerprint_is_the_same_wherever_they_lie(
    tmp_path: Path, top: str, splits: tuple[str, ...]
) -> None:
    files = pictures(n=6, splits=splits)
    expected = split(load(write_folder(tmp_path / "plain", files))).fingerprint
    moved = {top + name: content for name, content in files.items()}
    # What systems leave by themselves.
    moved |= {f"{top}.DS_Store": b"", "__MACOSX/._x": b"", f"{top}{splits[0]}a/Thumbs.db": b""}
    for make in HOUSES:
        place = tmp_path / make.__name__
        place.mkdir()
        house = make(place, moved)
        for _ in range(2):  # decoded, and from the cache
            assert split(load(house)).fingerprint == expected
    dotted = {f"./{name}": content for name, content in moved.items()}
    assert split(load(write_tar(tmp_path / "dotted.tar", dotted, "w"))).fingerprint == expected
    other = split(load(write_folder(tmp_path / "other", pictures(n=6, splits=splits, seed=1))))
    assert other.fingerprint != expected


def test_paths_are_absolute_or_in_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "data" / "deep" / "set", pictures())
    by_name = image_folder(data_dir=str(tmp_path / "data"), path="deep/set")
    whole = image_folder(data_dir="elsewhere", path=str(tmp_path / "data" / "deep" / "set"))
    monkeypatch.setenv("HOME", str(tmp_path))
    home = image_folder(data_dir="elsewhere", path="~/data/deep/set")
    assert np.array_equal(by_name.x, whole.x)
    assert np.array_equal(by_name.x, home.x)
    assert not Path("elsewhere").exists()


@pytest.mark.parametrize("path", ["nothing.zip", "no/where"])
def test_nothing_there(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match=rf"^data_dir: no {path} in {tmp_path}; put it there") as e:
        image_folder(data_dir=str(tmp_path), path=path)
    assert "HPSUITE_DATA" in str(e.value)
    with pytest.raises(ValueError, match=rf"^path: found nothing at {tmp_path}/{path}; accepted: "):
        image_folder(data_dir=".", path=str(tmp_path / path))
    assert not list(tmp_path.iterdir())


def test_where_they_lie_is_not_in_the_identity(tmp_path: Path) -> None:
    """Of a study, which is found again in any folder and from any archive."""
    files = pictures(n=10)
    write_folder(tmp_path / "here" / "set", files)
    (tmp_path / "there").mkdir()
    write_zip(tmp_path / "there" / "other.zip", files)

    def identity(data_dir: str, *overrides: str) -> str:
        line = ["name=x", "dataset=image_folder", "dataset.test_size=null", *overrides]
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            _, arms = compose_experiment([*line, f"data_dir='{tmp_path / data_dir}'"])
        (planned,) = plan_arms(arms)
        return planned.identity

    first = identity("here", "dataset.path=set", "optimizer.batch_size=4")
    again = identity("there", "dataset.path=other.zip", "optimizer.batch_size=4")
    same = identity(
        "there", "dataset.path=other.zip", "optimizer.batch_size=4", "dataset.resize=[6,5]"
    )
    other = identity("here", "dataset.path=set", "optimizer.batch_size=4", "dataset.resize=[6,6]")
    assert first == again == same
    assert other != first


# Formats, colours, sizes.


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("x.jpg", "JPEG", {}),
        ("x.JPEG", "JPEG", {"progressive": True, "quality": 95, "subsampling": 0}),
        ("x.png", "PNG", {}),
        ("x.Png", "PNG", {"compress_level": 0}),
        ("x.bmp", "BMP", {}),
        ("x.webp", "WEBP", {}),
        ("x.tif", "TIFF", {"compression": "tiff_lzw"}),
        ("x.ppm", "PPM", {}),
        ("x.jpg", "PNG", {}),  # a wrong name of the right kind
    ],
)
def test_formats(tmp_path: Path, name: str, kind: str, options: dict[str, object]) -> None:
    content = encoded(noise(), kind, **options)
    source = load(write_folder(tmp_path / "set", two(content, name)))
    assert np.array_equal(source.x[0].transpose(1, 2, 0), plain(content))
    grey = load(tmp_path / "set", color="grayscale")
    assert grey.x.shape == (2, 1, 6, 5)
    assert np.array_equal(grey.x[0, 0], plain(content, "L"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK", "YCbCr"])
def test_modes(tmp_path: Path, mode: str) -> None:
    """All of 8 bits a channel; what can be transparent, but is not."""
    file = io.BytesIO()
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    Image.fromarray(noise()).convert(mode).save(file, kind)
    files = two(file.getvalue(), f"x.{kind.lower()}")
    source = load(write_folder(tmp_path / "set", files))
    expected = Image.open(file).convert("RGB")
    assert np.array_equal(source.x[0].transpose(1, 2, 0), np.asarray(expected))


def test_grey_is_luma(tmp_path: Path) -> None:
    pixels = noise(40, 30)
    files = {"a/x.png": encoded(pixels), "b/x.png": encoded(pixels)}
    source = load(write_folder(tmp_path / "set", files), color="grayscale")
    luma = pixels @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601-2
    assert np.abs(source.x[0, 0] - luma).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright(tmp_path: Path, orientation: int) -> None:
    pixels = noise(6, 6)
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(pixels, exif=exif)
    files = {"a/x.png": content, "b/y.png": encoded(pixels)}
    source = load(write_folder(tmp_path / "set", files))
    # EXIF 2.3, tag 274: where the first row and the first column are.
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels),
    }
    assert np.array_equal(source.x[0].transpose(1, 2, 0), turned[orientation])


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0nonsense",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\0\0\xff\xff\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x09",
    ],
)
def test_damaged_metadata_are_no_damaged_image(tmp_path: Path, exif: bytes) -> None:
    """Famous data sets have such images; their pixels are whole."""
    content = encoded(noise(), "JPEG", exif=exif)
    source = load(write_folder(tmp_path / "set", two(content, "x.jpg")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(source.x[0].transpose(1, 2, 0), plain(content))


def test_images_of_several_sizes_are_refused_or_resized(tmp_path: Path) -> None:
    files = pictures()
    files["train/b/99.png"] = encoded(noise(7, 5))
    place = write_folder(tmp_path / "set", files)
    assert refused(place) == (
        "resize: found null for images of several sizes (height x width: 6 x 5 in test/a/00.png, "
        "7 x 5 in train/b/99.png); accepted: [height, width] for all of them, or images of one size"
    )
    source = load(place, resize=(4, 8))
    assert source.x.shape == (13, 3, 4, 8)
    last = Image.open(io.BytesIO(files["train/b/99.png"])).resize((8, 4), Image.Resampling.BILINEAR)
    assert np.array_equal(source.x[8].transpose(1, 2, 0), np.asarray(last))


def test_halving_takes_means(tmp_path: Path) -> None:
    """No pixel is passed over, as without anti-aliasing."""
    pixels = np.kron(noise(3, 4), np.ones((4, 4, 1), np.uint8))
    files = {"a/x.png": encoded(pixels), "b/x.png": encoded(pixels)}
    source = load(write_folder(tmp_path / "set", files), resize=(1, 1))
    assert np.abs(source.x[0, :, 0, 0] - pixels.mean((0, 1))).max() < 12
    same = load(tmp_path / "set", resize=(12, 16))
    assert np.array_equal(same.x[0].transpose(1, 2, 0), pixels)


# Damaged images.

KINDS = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("BMP", {}),
    ("WEBP", {}),
    ("PPM", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_truncated_images(tmp_path: Path, kind: str, options: dict[str, object]) -> None:
    pixels = np.kron(noise(5, 5), np.ones((8, 8, 1), np.uint8))
    whole = encoded(pixels, kind, **options)
    # The last 4 bytes of a PNG are the sum of nothing.
    end = len(whole) - 4 * (kind == "PNG")
    for cut in {*range(0, end, 97), end - 1, end - 2, end - 20}:
        place = write_folder(tmp_path / "set", two(whole[:cut], "x.jpg"))
        line = refused(place)
        assert line.startswith("path: found an image that cannot be read (")
        assert f"), a/x.jpg, in {place}; accepted: whole images (jpeg, png, " in line


def test_no_grey_pixels_whatever_somebody_told_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = encoded(noise(40, 40), "JPEG")
    line = refused(write_folder(tmp_path / "set", two(whole[: len(whole) // 2])))
    assert "truncated" in line
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_damaged_pngs_are_found_by_their_sums(tmp_path: Path) -> None:
    whole = encoded(noise(20, 20), compress_level=0)
    for at in range(8, len(whole), 61):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        line = refused(write_folder(tmp_path / "set", two(bytes(damaged))))
        assert "a/x.png" in line


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 100, b"<html>sign in first</html>", b"\xff\xd8\xff", b"GIF89a" + b"\1" * 99],
)
def test_what_is_no_image(tmp_path: Path, content: bytes) -> None:
    line = refused(write_folder(tmp_path / "set", two(content)))
    assert line.startswith("path: found an image that cannot be read (")
    assert "a/x.png" in line


def huge(side: int) -> bytes:
    """A PNG of a few hundred bytes that says it has side x side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + crc

    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [10_000, 30_000, 1_000_000])
def test_decompression_bombs(tmp_path: Path, side: int) -> None:
    """Also between Pillow's limit, of which it warns, and twice that, of which it raises."""
    line = refused(write_folder(tmp_path / "set", two(huge(side))), resize=(4, 4))
    assert "a/x.png" in line
    assert "exceeds limit" in line


def test_more_pixels_than_memory_should_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsuite.datasets.image_folder.MAX_PIXEL_BYTES", 24 * 90 - 1)
    place = write_folder(tmp_path / "set", pictures(n=4))
    line = refused(place)
    assert line.startswith("resize: found null for 24 images of shape [3, 6, 5], which is 0 GiB")
    assert refused(place, resize=(6, 5)).startswith("resize: found [6, 5] for 24 images")
    assert load(place, resize=(6, 4)).x.shape == (12, 3, 6, 4)


def in_16_bits() -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise()[:, :, 0].astype(np.uint16) * 257).save(file, "PNG")
    return file.getvalue()


def transparent() -> bytes:
    return encoded(np.dstack([noise(), np.full((6, 5), 254, np.uint8)]))


def transparent_colour() -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise()).convert("P").save(file, "PNG", transparency=bytes(256))
    return file.getvalue()


def moving(kind: str) -> Callable[[], bytes]:
    def make() -> bytes:
        file = io.BytesIO()
        frames = [Image.fromarray(noise()) for _ in range(3)]
        frames[0].save(file, kind, save_all=True, append_images=frames[1:])
        return file.getvalue()

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (in_16_bits, "an image of Pillow's mode I;16"),
        (transparent, "an image with transparent pixels"),
        (transparent_colour, "an image with transparent pixels"),
        (moving("PNG"), "an image of 3 frames"),
        (moving("WEBP"), "an image of 3 frames"),
        (moving("TIFF"), "an image of 3 frames"),
    ],
)
def test_images_that_would_lose_something(
    tmp_path: Path, make: Callable[[], bytes], words: str
) -> None:
    line = refused(write_folder(tmp_path / "set", two(make())))
    assert line.startswith(f"path: found {words}, a/x.png, in {tmp_path}/set; accepted: ")


# Layouts.

GOOD = {f"{name}.png": b"" for name in ("train/a/1", "train/b/1", "test/a/1", "test/b/1")}


def without(*names: str) -> Files:
    return {name: content for name, content in GOOD.items() if name not in names}


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "no images in"),
        ({".hidden/x.png": b"", "__MACOSX/a/x.png": b""}, "no images in"),
        (GOOD | {"test/c/1.png": b""}, "a class c in test that train has not"),
        (without("test/b/1.png"), "no image in test of class b"),
        (without("train/b/1.png"), "a class b in test that train has not"),
        (GOOD | {"train/c/": b""}, "no image in train of class c"),
        (GOOD | {"test/c/": b""}, "a class c in test that train has not"),
        (without("test/a/1.png") | {"test/a/": b""}, "no image in test of class a"),
        (
            without("test/a/1.png", "test/b/1.png") | {"test/1.png": b""},
            "test/1.png, which is in no",
        ),
        (GOOD | {"README.md": b""}, "README.md, which is in no class's folder"),
        (GOOD | {"train/1.png": b""}, "train/1.png, which is in no class's folder"),
        (GOOD | {"train/a/notes.txt": b""}, "train/a/notes.txt, which is no image by its name"),
        (GOOD | {"train/a/b/1.png": b""}, "a folder train/a/b among a class's images"),
        (GOOD | {"train/a/b/": b""}, "a folder train/a/b among a class's images"),
        (GOOD | {"val/a/1.png": b""}, "a folder val beside train"),
        (GOOD | {"val/": b""}, "a folder val beside train"),
        ({"a/1.png": b"", "b/": b""}, "no image in class b"),
        ({"a/1.png": b"", "1.png": b""}, "1.png, which is in no class's folder"),
        ({"1.png": b"", "2.png": b""}, "1.png, which is in no class's folder"),
        ({"a/1.png": b"", "b/c/1.png": b""}, "a folder b/c among a class's images"),
        ({"test/a/1.png": b"", "test/b/1.png": b""}, "a folder test/a among a class's images"),
        ({"train/a\n/x.txt": b"", "train/b/1.png": b""}, r"train/a\n/x.txt, which is no image"),
    ],
)
def test_other_layouts(tmp_path: Path, files: Files, words: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for name, content in files.items():
        if name.endswith("/"):
            (folder / name).mkdir(parents=True)
        else:
            write_folder(folder, {name: content})
    line = refused(folder)
    assert line.startswith(f"path: found {words}"), line
    # The same of an archive, whose empty folders have entries of their own.
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.add(folder, "set")
    line = refused(tmp_path / "set.tar")
    inner = words.replace("found ", "").split(" in ")[0].split(",")[0].split(" beside")[0]
    assert inner.rpartition(" ")[2] in line


def test_a_class_of_trains(tmp_path: Path) -> None:
    files = {f"{name}/{i}.png": encoded(noise()) for name in ("train", "plane") for i in range(3)}
    source = load(write_folder(tmp_path / "set", files))
    assert (source.n_classes, len(source.y), source.x_test) == (2, 6, None)


def test_one_class_is_refused_by_the_split(tmp_path: Path) -> None:
    source = load(write_folder(tmp_path / "set", pictures(classes="a", splits=("",))))
    with pytest.raises(ValueError, match=r"^found 1 class; accepted: 2 or more"):
        prepare(source, split_seed=0, validation_size=1, test_size=1)


def test_links_in_a_folder_are_followed(tmp_path: Path) -> None:
    whole = write_folder(tmp_path / "whole", pictures())
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "train").symlink_to(whole / "train")
    shutil.copytree(whole / "test", linked / "test")
    assert np.array_equal(load(linked).x, load(whole).x)
    (linked / "test" / "a" / "lost.png").symlink_to("nowhere")
    assert "test/a/lost.png, which is no file" in refused(linked)


def test_a_folder_in_itself(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", pictures())
    (folder / "train" / "a" / "again").symlink_to(folder)
    refused(folder)


def test_a_failure_leaves_no_cache(tmp_path: Path) -> None:
    refused(write_folder(tmp_path / "set", two(b"no image")))
    assert not (tmp_path / "cache").exists()


# The real one.


@pytest.mark.slow
def test_cifar10_jpeg(cifar10_jpeg_dir: Path) -> None:
    source = image_folder(data_dir=str(cifar10_jpeg_dir), path="cifar10_jpeg.tar.gz")
    assert source.x.shape == (50_000, 3, 32, 32)
    assert source.x_test is not None
    assert source.x_test.shape == (10_000, 3, 32, 32)
    assert source.y_test is not None
    assert np.bincount(source.y).tolist() == [5000] * 10
    assert np.bincount(source.y_test).tolist() == [1000] * 10
    # Means and deviations of the training pixels of the original, as widely quoted; JPEG is close.
    assert source.x.mean((0, 2, 3)) / 255 == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)
    assert source.x.std((0, 2, 3)) / 255 == pytest.approx([0.247, 0.2435, 0.2616], abs=5e-3)
    # Every 997th image, read another way.
    with tarfile.open(cifar10_jpeg_dir / "cifar10_jpeg.tar.gz") as archive:
        names = sorted(member.name for member in archive if "/train/" in member.name)
        chosen = set(names[::997])
        contents = {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
            if member.name in chosen
        }
    classes = sorted({name.split("/")[2] for name in names})
    for row in range(0, 50_000, 997):
        image = plain(contents[names[row]])
        assert np.array_equal(source.x[row].transpose(1, 2, 0), image)
        assert classes[source.y[row]] == names[row].split("/")[2]
    arguments = {"split_seed": 0, "validation_size": 5000, "input_normalization": "channel"}
    data = prepare(source, **arguments)  # type: ignore[arg-type]
    assert (len(data.y_train), len(data.y_val), len(data.y_test)) == (45_000, 5_000, 10_000)
    again = image_folder(data_dir=str(cifar10_jpeg_dir), path="cifar10_jpeg.tar.gz")
    assert prepare(again, **arguments).fingerprint == data.fingerprint  # type: ignore[arg-type]
    x = (data.x_train[:, 1] * data.multiplier[1] + data.offset[1]).ravel()
    assert (x.mean(), x.std()) == (pytest.approx(0, abs=1e-9), pytest.approx(1, abs=1e-9))
