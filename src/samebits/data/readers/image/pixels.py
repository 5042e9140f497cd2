"""From an image file to a model's pixels: the same for training and for serving, by Pillow and numpy alone."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]
Resize = Literal["pad", "crop", "stretch"]

LARGEST_PIXELS = 100_000_000
"""An image with more is refused before it is decoded: a small file may unpack to terabytes."""

UNREADABLE = Exception
"""What is raised for a file that cannot be read: whatever Pillow's parsers run into (struct.error, TypeError, ...)."""

_PLAIN = (OSError, ValueError, SyntaxError, MemoryError, OverflowError)
"""What Pillow means to raise: the message is for people."""
_PROGRAMS = {"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"}
"""Formats that Pillow hands to another program or knows by name alone, or that are programs."""
_USUAL = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""They begin with marks of their own and are asked first: some others can only be told by trying to read them."""
_FULL_16 = (0.0, 65535.0)
_ORIENTATION = 0x0112
"""The EXIF tag that says how the camera was held."""


class NoRangeError(ValueError):
    """An image whose values have no range of their own.

    Attributes:
        values: the smallest and the largest of them.
    """

    def __init__(self, numbers: str, values: tuple[float, float]) -> None:
        super().__init__(f"{numbers} values have no range of their own (data.image.value_range)")
        self.values = values


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that was read.

    Attributes:
        pixels: uint8 [channels, height, width].
        largest: the largest value of an image of 16 bits, which shows whether it uses its range; of others, None.
    """

    pixels: Pixels
    largest: int | None


def load_pixels(
    source: Path | BinaryIO,
    channels: int,
    size: tuple[int, int],
    resize: Resize = "pad",
    smallest: int = 1,
    value_range: Sequence[float] | None = None,
) -> Pixels:
    """An image file as a model's input, uint8 [channels, height, width]: see `read_image`."""
    return read_image(source, channels, size, resize, smallest, value_range).pixels


def read_image(
    source: Path | BinaryIO,
    channels: int,
    size: tuple[int, int],
    resize: Resize = "pad",
    smallest: int = 1,
    value_range: Sequence[float] | None = None,
) -> ImageFile:
    """An image file as a model's input.

    EXIF rotation is applied, transparency is laid on white, deeper values are scaled to 8 bits, grey or RGB is made,
    the first frame of an animation is taken, and it is resized: by area means when shrinking, bilinearly when growing.

    Args:
        channels: 1 for grey, 3 for RGB.
        size: (width, height).
        resize: how another aspect ratio is met: `pad` with the border's median colour, `crop` the middle, `stretch`.
        smallest: pixels of the shorter side that the file must have.
        value_range: the values of grey images of more than 8 bits that become 0 and 255; those outside are clipped.
            None: 0 and 65,535 for 16 bits without a sign; others have no range of their own and are refused.

    Raises:
        UNREADABLE: if it is missing, damaged, no image, too small, has more than 100 million pixels, or values of a
            range that nobody says.
    """
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns of bombs and damaged metadata; the size is checked here, damaged pixels raise.
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(source, formats=_formats())
        except Image.DecompressionBombError:
            # Its class is a bare Exception, raised above twice Pillow's own limit, before the size is known here.
            raise ValueError(f"it has more than {LARGEST_PIXELS:,} pixels") from None
        with opened:
            if opened.width * opened.height > LARGEST_PIXELS:
                raise ValueError(f"{opened.width}x{opened.height} pixels are more than {LARGEST_PIXELS:,}")
            if min(opened.size) < smallest:
                raise ValueError(f"{opened.width}x{opened.height} pixels, its shorter side has fewer than {smallest}")
            deep_colours = _has_deep_colours(opened)
            opened.load()
            image = _upright(opened)
            if deep_colours and value_range is not None:
                raise ValueError("16 bits a colour are read as 8: data.image.value_range is for grey images alone")
            largest = 257 * int(np.asarray(image).max()) if deep_colours else None
            if _is_deep(image):
                image, largest = _eight_bits(image, opened.format, value_range)
    image = _flat(image).convert("L" if channels == 1 else "RGB")
    image = _shaped(image, size, resize)
    shrinks = image.width > size[0] or image.height > size[1]
    if image.size != size:
        image = image.resize(size, Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return ImageFile(np.ascontiguousarray(pixels), largest)


@functools.cache
def _formats() -> tuple[str, ...]:
    """What is read, in a fixed order."""
    from PIL import Image

    Image.init()
    return tuple(sorted(set(Image.OPEN) - _PROGRAMS, key=lambda name: (name not in _USUAL, name)))


def has_image_ending(name: str) -> bool:
    """Whether a file is called like an image that can be read."""
    from PIL import Image

    return Image.registered_extensions().get(PurePosixPath(name).suffix.lower()) in _formats()


def reason(error: BaseException) -> str:
    """Why an image could not be read, for people."""
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, PermissionError):
        return "it may not be read"
    if type(error).__name__ == "UnidentifiedImageError":
        return "it is no image, or of an unknown format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, _PLAIN):
        return str(error) or type(error).__name__
    return f"it is damaged ({type(error).__name__}: {error})"


def _upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data say, if they can be read.

    Not `ImageOps.exif_transpose`, which writes all tags anew: one that is broken, such as a negative resolution, would
    cost the whole image. TIFF files are turned as they are loaded, and have no such tag afterwards.
    """
    from PIL import Image

    turns = Image.Transpose
    how = {
        2: turns.FLIP_LEFT_RIGHT, 3: turns.ROTATE_180, 4: turns.FLIP_TOP_BOTTOM, 5: turns.TRANSPOSE,
        6: turns.ROTATE_270, 7: turns.TRANSVERSE, 8: turns.ROTATE_90,
    }  # fmt: skip
    try:
        turn = how.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # metadata: the image itself is whole
        turn = None
    return image if turn is None else image.transpose(turn)


def _is_deep(image: Image.Image) -> bool:
    return image.mode in {"I", "F"} or image.mode.startswith("I;16")


def _has_deep_colours(opened: Image.Image) -> bool:
    """Whether Pillow reads the upper 8 of 16 bits a colour, having no mode for them; known until it is loaded."""
    return not _is_deep(opened) and any(";16" in str(tile[3]) for tile in getattr(opened, "tile", ()) if len(tile) > 3)


def _eight_bits(image: Image.Image, kind: str | None, value_range: Sequence[float] | None) -> tuple[Image.Image, int]:
    """A deep image as grey of 8 bits, and its largest value."""
    from PIL import Image

    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinite values")
    # 16-bit files open as I;16 or, from older writers, as I.
    if value_range is None and not image.mode.startswith("I;16") and kind not in {"PNG", "PPM"}:
        numbers = "floating-point" if image.mode == "F" else "signed or 32-bit"
        raise NoRangeError(numbers, (float(values.min()), float(values.max())))
    low, high = value_range or _FULL_16
    scaled = np.clip(np.rint((values - low) * (255.0 / (high - low))), 0, 255)
    return Image.fromarray(scaled.astype(np.uint8)), int(values.max())


def _flat(image: Image.Image) -> Image.Image:
    """No transparency."""
    from PIL import Image

    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def _shaped(image: Image.Image, size: tuple[int, int], resize: Resize) -> Image.Image:
    """The image in the aspect ratio of `size`."""
    if resize == "stretch":
        return image
    if resize == "pad":
        return _padded(image, size)
    width = max(1, min(image.width, round(image.height * size[0] / size[1])))
    height = max(1, min(image.height, round(image.width * size[1] / size[0])))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _padded(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image centred on a canvas of the target's aspect ratio, in its border's median colour."""
    from PIL import Image

    width = max(image.width, round(image.height * size[0] / size[1]))
    height = max(image.height, round(image.width * size[1] / size[0]))
    if (width, height) == image.size:
        return image
    if width * height > LARGEST_PIXELS:
        raise ValueError(f"{image.width}x{image.height} pixels are too long for the model's {size[0]}x{size[1]}")
    colour = np.median(border(np.atleast_3d(np.asarray(image))), axis=0)
    fill = tuple(int(value) for value in np.rint(colour))
    canvas = Image.new(image.mode, (width, height), fill[0] if len(fill) == 1 else fill)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def border(pixels: Pixels) -> Pixels:
    """The outermost pixels of [H, W, C], as [n, C]."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
