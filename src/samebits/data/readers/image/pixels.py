"""From an image file to a model's pixels: the same for training and for serving, by Pillow and numpy alone."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]
Resize = Literal["pad", "crop", "stretch"]

LARGEST_PIXELS = 100_000_000
"""An image with more is refused before it is decoded: a small file may unpack to terabytes."""

UNREADABLE = (OSError, ValueError, SyntaxError, MemoryError, OverflowError)
"""What Pillow raises for a file that it cannot read."""

_PROGRAMS = {"EPS", "WMF"}
"""Formats that Pillow hands to another program, or that are one."""
_USUAL = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""They begin with marks of their own and are asked first: some others can only be told by trying to read them."""


def load_pixels(
    source: Path | BinaryIO, channels: int, size: tuple[int, int], resize: Resize = "pad", smallest: int = 1
) -> Pixels:
    """An image file as a model's input.

    EXIF rotation is applied, transparency is laid on white, 16-bit values are scaled to 8, grey or RGB is made, the
    first frame of an animation is taken, and it is resized: by area means when shrinking, bilinearly when growing.

    Args:
        channels: 1 for grey, 3 for RGB.
        size: (width, height).
        resize: how another aspect ratio is met: `pad` with the border's median colour, `crop` the middle, `stretch`.
        smallest: pixels of the shorter side that the file must have.

    Returns:
        uint8 [channels, height, width].

    Raises:
        UNREADABLE: if it is missing, damaged, no image, too small, or has more than 100 million pixels.
    """
    from PIL import Image, ImageOps

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
            opened.load()
            image = ImageOps.exif_transpose(opened)
    image = _flat(image).convert("L" if channels == 1 else "RGB")
    image = _shaped(image, size, resize)
    shrinks = image.width > size[0] or image.height > size[1]
    if image.size != size:
        image = image.resize(size, Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels)


@functools.cache
def _formats() -> tuple[str, ...]:
    """What is read, in a fixed order."""
    from PIL import Image

    Image.init()
    return tuple(sorted(set(Image.OPEN) - _PROGRAMS, key=lambda name: (name not in _USUAL, name)))


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
    return str(error) or type(error).__name__


def _flat(image: Image.Image) -> Image.Image:
    """8 bits a channel, no transparency."""
    from PIL import Image

    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("it holds NaN or infinite values")
        # 16-bit files open as I;16 or, from older writers, as I.
        top = 65535.0 if image.mode != "F" else max(1.0, float(values.max()))
        return Image.fromarray(np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8))
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
