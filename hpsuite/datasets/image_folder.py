"""Images in folders that are named after their classes, also inside an archive.

Shapes: N images, C channels, H height, W width.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from hpsuite.datasets.archives import open_files
from hpsuite.datasets.cache import Arrays, cached
from hpsuite.datasets.common import Source
from hpsuite.datasets.files import BadFiles, Files, Listing, Parts, shown
from hpsuite.datasets.images import ENDINGS, BadImage, Color, decode, versions
from hpsuite.datasets.paths import find
from hpsuite.datasets.progress import Progress

Side = Annotated[int, Ge(1), Le(4096)]

# Of all pixels together, which are held in memory.
MAX_PIXEL_BYTES = 16 << 30

LAYOUT = "train/<class>/ and optionally test/<class>/, or <class>/, with nothing but images in them"
_SPLITS = ("train", "test")

# Split -> its images in order, each with its class.
Rows = Mapping[str, Sequence[tuple[Parts, int]]]


def image_folder(
    *,
    data_dir: str,
    path: str,
    resize: tuple[Side, Side] | None = None,
    color: Color = "rgb",
) -> Source:
    """Images [C, H, W] with values 0 to 255, in as many classes as there are folders.

    The folder or archive holds `train/<class>/` and optionally `test/<class>/`, or just
    `<class>/`; all of it may lie in one more folder. Rows are in the order of split, class and
    name, wherever and in whatever order they lie. What was decoded is cached (see cache.py) by the
    content of every file, the options and the versions of what decodes.

    Args:
        data_dir: folder of the data sets' files.
        path: of a folder, a .tar, .tar.gz (.tgz) or .zip, in `data_dir` or absolute.
        resize: (height, width) of all images, see `decode`; None refuses images of several sizes.
        color: `rgb` for 3 channels, `grayscale` for one.

    Raises:
        ValueError: a path that is not there; a file that is no whole image; another layout; images
            of several sizes.
    """
    place = find(data_dir, path, "a folder, .tar, .tar.gz or .zip of images")
    try:
        with open_files(place) as files:
            decided_by = {
                "content": files.digest(),
                "resize": resize,
                "color": color,
                "versions": versions(),
            }

            def make() -> Arrays:
                return _decode(files, place.name, color=color, resize=resize)

            arrays = cached(place.name, decided_by, Path(data_dir).expanduser(), make)
    except (BadFiles, BadImage) as error:
        raise ValueError(
            f"path: found {error.found} in {place.absolute()}; accepted: {error.accepted}"
        ) from error
    return Source(
        x=arrays["x_train"],
        y=arrays["y_train"].astype(np.int64),
        n_classes=int(arrays["n_classes"]),
        scale=255.0,
        x_test=arrays.get("x_test"),
        y_test=arrays["y_test"].astype(np.int64) if "y_test" in arrays else None,
    )


def _decode(files: Files, name: str, *, color: Color, resize: tuple[int, int] | None) -> Arrays:
    """All images and labels of a layout, as arrays."""
    rows, n_classes = arrange(files.listing())
    places = {
        parts: (split, row)
        for split, images in rows.items()
        for row, (parts, _) in enumerate(images)
    }
    progress = Progress(f"decoding {name}", len(places), "images")
    x: dict[str, NDArray[np.uint8]] = {}
    first = ""
    for parts, content in files.read(places):
        image = shown("/".join(parts))
        try:
            pixels = decode(content, color=color, resize=resize)
        except BadImage as error:
            raise BadImage(f"{error.found}, {image},", error.accepted) from error
        if not x:
            x, first = _room(rows, pixels.shape, resize), image
        split, row = places[parts]
        if pixels.shape != x[split].shape[1:]:
            one, other = (f"{h} x {w}" for _, h, w in (x[split].shape[1:], pixels.shape))
            raise ValueError(
                f"resize: found null for images of several sizes (height x width: {one} in "
                f"{first}, {other} in {image}); accepted: [height, width] for all of them, or "
                "images of one size"
            )
        x[split][row] = pixels
        progress.advance()
    progress.finish()
    y = {split: np.array([label for _, label in images]) for split, images in rows.items()}
    return {
        "n_classes": np.array(n_classes),
        **{f"x_{split}": x[split] for split in rows},
        **{f"y_{split}": y[split] for split in rows},
    }


def _room(
    rows: Rows, shape: tuple[int, ...], resize: tuple[int, int] | None
) -> dict[str, NDArray[np.uint8]]:
    """Room for all images of a shape [C, H, W]: split -> [N, C, H, W]."""
    n = sum(len(images) for images in rows.values())
    n_bytes = n * math.prod(shape)
    if n_bytes > MAX_PIXEL_BYTES:
        found = "null" if resize is None else list(resize)
        raise ValueError(
            f"resize: found {found} for {n:,} images of shape {list(shape)}, which is "
            f"{n_bytes / 2**30:,.0f} GiB of pixels; accepted: [height, width] that make it "
            f"{MAX_PIXEL_BYTES >> 30} or fewer"
        )
    return {split: np.empty((len(images), *shape), np.uint8) for split, images in rows.items()}


def arrange(listing: Listing) -> tuple[Rows, int]:
    """The rows of each split, and the number of classes.

    Raises:
        BadFiles: another layout, a class without images, or one that a split lacks.
    """
    if not listing.files:
        raise BadFiles("no images", LAYOUT)
    depth = _wrapping(listing)
    paths = sorted(path for path in listing.files | listing.folders if len(path) > depth)
    # A folder `train` of images, not of folders, is a class of trains.
    has_splits = any(path[depth] == "train" and len(path) > depth + 2 for path in paths)
    class_at = depth + 1 if has_splits else depth
    classes: dict[str, dict[str, list[Parts]]] = {}
    for path in paths:
        split = path[depth] if has_splits else "train"
        if path in listing.files:
            _check_image(path, class_at)
        elif len(path) > class_at + 1:
            raise BadFiles(f"a folder {_name(path)} among a class's images", LAYOUT)
        if split not in _SPLITS:
            raise BadFiles(
                f"a folder {_name(path[: depth + 1])} beside train",
                "train and test alone, as rows to validate on are split off train",
            )
        own = classes.setdefault(split, {})
        if path in listing.files:
            own[path[class_at]].append(path)
        elif len(path) == class_at + 1:
            own[path[class_at]] = []
    _check_classes(classes)
    names = sorted(classes["train"])
    rows = {
        split: [(path, names.index(name)) for name in names for path in classes[split][name]]
        for split in classes
    }
    return rows, len(names)


def _wrapping(listing: Listing) -> int:
    """How many folders, one in another, only wrap all others."""
    depth = 0
    while True:
        tops = {path[depth] for path in listing.files | listing.folders if len(path) > depth}
        deeper = any(len(path) > depth + 2 for path in listing.files)
        if len(tops) > 1 or tops <= set(_SPLITS) or not deeper:
            return depth
        depth += 1


def _check_image(path: Parts, class_at: int) -> None:
    if len(path) != class_at + 2:
        raise BadFiles(f"{_name(path)}, which is in no class's folder,", LAYOUT)
    if not path[-1].lower().endswith(ENDINGS):
        raise BadFiles(
            f"{_name(path)}, which is no image by its name,",
            f"in the folders of classes, {', '.join(ENDINGS)} alone",
        )


def _check_classes(classes: Mapping[str, Mapping[str, Sequence[Parts]]]) -> None:
    """Check that all splits have the same classes, and images of each."""
    train = classes["train"]
    for split in (split for split in _SPLITS if split in classes):
        own = classes[split]
        for name in sorted({*train, *own}):
            if name not in train:
                raise BadFiles(f"a class {shown(name)} in {split} that train has not", "the same")
            if not own.get(name):
                where = f"{split} of " if len(classes) > 1 else ""
                raise BadFiles(f"no image in {where}class {shown(name)}", "one or more of each")


def _name(path: Parts) -> str:
    return shown("/".join(path))
