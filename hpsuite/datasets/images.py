"""One image file to pixels, by Pillow, held to what it would let pass.

Shapes: C channels, H height, W width.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError, features

Color = Literal["rgb", "grayscale"]

# Formats of Pillow that are asked, and the endings of files that are taken for images.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM")
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

_PNG = b"\x89PNG"
# Of 8 bits a channel; any other would be cut off or rescaled.
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


class BadImage(ValueError):
    """What is wrong with an image, and what would be accepted."""

    def __init__(self, found: str, accepted: str) -> None:
        super().__init__(found)
        self.found, self.accepted = found, accepted


@contextlib.contextmanager
def _strictly(content: bytes) -> Iterator[None]:
    """Let nothing pass that concerns pixels and of which Pillow only warns.

    These are images of more than 89 million pixels, and TIFFs that are cut off (what it says of
    others is about their metadata). Others must not have grey pixels in place of those that were
    cut off either, whatever a program told Pillow.
    """
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            is_tiff = content.startswith((b"II", b"MM"))
            warnings.simplefilter("error" if is_tiff else "ignore", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def decode(content: bytes, *, color: Color, resize: tuple[int, int] | None) -> NDArray[np.uint8]:
    """The pixels [C, H, W] of an image file, turned upright as its EXIF data say.

    Grey is luma by ITU-R 601-2. To resize, Pillow's bilinear filter takes the mean over all pixels
    that a new one covers, in each direction by itself: proportions are not kept.

    Args:
        content: the file's bytes.
        color: `rgb` for 3 channels, `grayscale` for one.
        resize: (height, width) to give it; None leaves it as it is.

    Raises:
        BadImage: an image that is cut off, damaged or of another kind.
    """
    whole = "whole images (" + ", ".join(name.lower() for name in FORMATS) + ")"
    try:
        with _strictly(content):
            if content.startswith(_PNG):
                # Pillow compares the sums of a PNG's pixels here, and nowhere else.
                with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                    image.verify()
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                kind, mode = image.format, image.mode
                frames = getattr(image, "n_frames", 1)
                image.load()
                pixels = _upright(image)
                if mode in _EIGHT_BITS:
                    pixels = _opaque(pixels).convert("RGB" if color == "rgb" else "L")
    except BadImage:
        raise
    except Exception as error:  # Pillow raises of all kinds for what is damaged
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "of no known format"
        raise BadImage(f"an image that cannot be read ({reason})", whole) from error
    if mode not in _EIGHT_BITS:
        raise BadImage(f"an image of Pillow's mode {mode}", "8 bits a channel")
    if frames > 1 and kind != "MPO":  # a camera's JPEG, whose others are previews
        raise BadImage(f"an image of {frames} frames", "one frame")
    if resize is not None and pixels.size != resize[::-1]:
        pixels = pixels.resize(resize[::-1], Image.Resampling.BILINEAR)
    values = np.asarray(pixels)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _upright(image: Image.Image) -> Image.Image:
    """An image whose pixels were read, turned as its EXIF data say, if they can be read."""
    with contextlib.suppress(Exception):  # of all kinds, and only of the EXIF data
        return ImageOps.exif_transpose(image)
    return image


def _opaque(image: Image.Image) -> Image.Image:
    """An image without its transparency.

    Raises:
        BadImage: one that lets through what is behind it, which nobody knows.
    """
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    lowest, _ = image.getchannel("A").getextrema()
    if lowest != 255:
        raise BadImage("an image with transparent pixels", "opaque ones")
    return image


def versions() -> dict[str, str | None]:
    """Versions of all that decides what an image's pixels are."""
    names = ("pil", "jpg", "libjpeg_turbo", "zlib", "webp", "libtiff")
    return {name: features.version(name) for name in names}
