"""Mask files: from their pixels to class indices, and between an image file's size and the model's, by nearest pixels.

Pillow and numpy alone, as in `pixels`: masks that are predicted go the way back.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from samebits.data.readers.image.pixels import LARGEST_PIXELS, Resize, window
from samebits.signature.mask import IGNORED

if TYPE_CHECKING:
    from PIL import Image

Mask = npt.NDArray[np.uint8]
Size = tuple[int, int]
"""(width, height)."""
Colour = tuple[int, int, int]

_EXACT = {"PNG", "BMP", "GIF", "TIFF"}
"""Formats that give every pixel back as it was."""


def read_values(data: bytes, colours: Mapping[Colour, int] | None) -> npt.NDArray[Any]:
    """A mask file as numbers, [H, W]: indices as they stand in the file, or with `colours`, what these stand for.

    Args:
        colours: RGB -> index; None: the file holds indices, as grey values or as a palette's.

    Returns:
        int64; with `colours`, -1 for a colour that is none of them.

    Raises:
        ValueError: for a file that cannot be a mask; or what Pillow raises.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels are more than {LARGEST_PIXELS:,}")
            if image.format not in _EXACT:
                raise ValueError(f"a mask in {image.format} has other values than it was saved with: save it as PNG")
            image.load()
            if colours is None:
                return _indices(image)
            pixels = np.asarray(image.convert("RGB"), dtype=np.int64)
    codes = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    known = np.array(sorted((r << 16) | (g << 8) | b for r, g, b in colours), dtype=np.int64)
    of_known = np.array([colours[(code >> 16, code >> 8 & 255, code & 255)] for code in known.tolist()], dtype=np.int64)
    at = np.searchsorted(known, codes).clip(max=len(known) - 1)
    return np.where(known[at] == codes, of_known[at], -1)


def _indices(image: Any) -> npt.NDArray[Any]:
    if image.mode in {"LA", "La"}:
        image = image.getchannel(0)
    if image.mode in {"1", "L", "P", "I"} or image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.int64)
    raise ValueError(
        f"it holds colours ({image.mode}), and no list says which class each stands for: name them in classes.csv "
        "(name,colour)"
    )


def to_model(mask: Mask, target: Size, resize: Resize) -> Mask:
    """A file's mask in the model's size, [height, width]: at each place the nearest pixel, 255 where there is none."""
    left, top, width, height = window((mask.shape[1], mask.shape[0]), target, resize)
    rows = top + (2 * np.arange(target[1]) + 1) * height // (2 * target[1])
    columns = left + (2 * np.arange(target[0]) + 1) * width // (2 * target[0])
    return _taken(mask, rows, columns)


def to_file(mask: Mask, size: Size, resize: Resize) -> Mask:
    """A model's mask in the size of the image file, [height, width]: 255 where the model did not look."""
    target = (mask.shape[1], mask.shape[0])
    left, top, width, height = window(size, target, resize)
    rows = (2 * (np.arange(size[1]) - top) + 1) * target[1] // (2 * height)
    columns = (2 * (np.arange(size[0]) - left) + 1) * target[0] // (2 * width)
    return _taken(mask, rows, columns)


def _taken(mask: Mask, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> Mask:
    inside_rows, inside_columns = (rows >= 0) & (rows < mask.shape[0]), (columns >= 0) & (columns < mask.shape[1])
    out = np.full((len(rows), len(columns)), IGNORED, dtype=np.uint8)
    out[np.ix_(inside_rows, inside_columns)] = mask[np.ix_(rows[inside_rows], columns[inside_columns])]
    return out


def palette_png(mask: Mask, colours: Sequence[Sequence[int]]) -> bytes:
    """A mask as a PNG file of indices, in the colours of the classes; 255 is light grey."""
    from PIL import Image

    image = Image.fromarray(mask)
    table = [value for colour in colours for value in colour]
    image.putpalette([*table, *[0] * (3 * IGNORED - len(table)), 224, 224, 224])
    return _png(image)


def rgb_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """uint8 [3, H, W] as a PNG file."""
    from PIL import Image

    return _png(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
