"""From an image file to a model's pixels: the same for training and for serving, by Pillow and numpy alone."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[Any]
"""uint8, or uint16 where images are stored with 16 bits."""
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
_CONVERTED = (1, 3)
"""Channels that every image is converted to, as grey or RGB. Of other numbers, a file has as many or is refused."""
_ARRAY = np.lib.format.MAGIC_PREFIX
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ARRAY_ENDING = ".npy"
_J2K_DATA, _J2K_END = b"\xff\x93", b"\xff\xd9"
"""Markers of JPEG 2000: pixels begin, the image ends; neither can stand among the pixels."""
_ORIENTATION = 0x0112
"""The EXIF tag that says how the camera was held."""


class DepthError(ValueError):
    """An image of 8 bits where 16 are stored: which of their values its own would be, no file says."""

    def __init__(self) -> None:
        super().__init__("it has 8 bits, not 16 (data.image.bits)")


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
        pixels: uint8 or uint16 [channels, height, width].
        largest: the largest value of an image of 16 bits, which shows whether it uses its range; of others, None.
        size: (width, height) of the file.
    """

    pixels: Pixels
    largest: int | None
    size: tuple[int, int]


def load_pixels(
    source: Path | BinaryIO,
    channels: int,
    size: tuple[int, int],
    resize: Resize = "pad",
    smallest: int = 1,
    value_range: Sequence[float] | None = None,
    bits: int = 8,
) -> Pixels:
    """An image file as a model's input, uint8 or uint16 [channels, height, width]: see `read_image`."""
    return read_image(source, channels, size, resize, smallest, value_range, bits).pixels


def read_image(
    source: Path | BinaryIO,
    channels: int,
    size: tuple[int, int],
    resize: Resize = "pad",
    smallest: int = 1,
    value_range: Sequence[float] | None = None,
    bits: int = 8,
    most_pixels: int | None = None,
) -> ImageFile:
    """An image file as a model's input.

    EXIF rotation is applied, transparency is laid on white, deeper values are scaled to 8 bits unless 16 are kept, grey
    or RGB is made, the first frame of an animation is taken, and it is resized: by area means when shrinking,
    bilinearly when growing. A .npy file is [H, W], [H, W, C] or [C, H, W]; a TIFF file of C grey pages is an image of C
    channels.

    Args:
        channels: 1 for grey, 3 for RGB; a file of another number of channels is taken where it has as many.
        size: (width, height).
        resize: how another aspect ratio is met: `pad` with the border's median colour, `crop` the middle, `stretch`.
        smallest: pixels of the shorter side that the file must have.
        value_range: the values of images of more than 8 bits that become 0 and 255; those outside are clipped.
            None: 0 and 65,535 for 16 bits without a sign; others have no range of their own and are refused.
        most_pixels: that the file, and it with its padding, may have; None: 100 million.
        bits: 16 keeps the values of deeper files, with 65,535 in the place of 255; those of 8 bits are refused.

    Raises:
        UNREADABLE: if it is missing, damaged, no image, too small, has more than `most_pixels`, other channels,
            an ambiguous shape, or values of a range that nobody says.
    """
    start, most = _first_bytes(source), most_pixels or LARGEST_PIXELS
    if start.startswith(_ARRAY):
        values = _channels_last(np.load(source, allow_pickle=False), channels)
        _require_size(values.shape[1], values.shape[0], smallest, most)
        return _from_values(values, size, resize, value_range, bits, most)
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        # Pillow warns of bombs and damaged metadata; the size is checked here, damaged pixels raise.
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(source, formats=_formats())
        except Image.DecompressionBombError:
            # Its class is a bare Exception, raised above twice Pillow's own limit, before the size is known here.
            raise ValueError(f"it has more than {LARGEST_PIXELS:,} pixels") from None
        except UnidentifiedImageError:
            if start.startswith(_TIFF):
                raise ValueError("it is damaged, or a TIFF file of many channels: save those as .npy") from None
            raise
        with opened:
            _require_size(opened.width, opened.height, smallest, most)
            deep_colours = _has_deep_colours(opened)
            if deep_colours and (bits > 8 or channels not in _CONVERTED):
                raise ValueError("16 bits a colour are read as 8: save it as .npy")
            if pages := _pages(opened, channels):
                return _from_values(np.stack(pages, axis=-1), size, resize, value_range, bits, most)
            opened.load()
            _require_whole(source, opened.format)
            image = _upright(opened)
            if deep_colours and value_range is not None:
                raise ValueError("16 bits a colour are read as 8: data.image.value_range is for grey images alone")
            if bits > 8 or channels not in _CONVERTED:
                return _from_values(_bands(image, channels, opened.format), size, resize, value_range, bits, most)
            largest = 257 * int(np.asarray(image).max()) if deep_colours else None
            if _is_deep(image):
                values, largest = _in_bits(_deep_values(image, opened.format), value_range, bits)
                image = Image.fromarray(values)
    found = image.size
    image = _flat(image).convert("L" if channels == 1 else "RGB")
    image = _shaped(image, size, resize, most)
    shrinks = image.width > size[0] or image.height > size[1]
    if image.size != size:
        image = image.resize(size, Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return ImageFile(np.ascontiguousarray(pixels), largest, found)


@functools.cache
def _formats() -> tuple[str, ...]:
    """What is read, in a fixed order."""
    from PIL import Image

    Image.init()
    return tuple(sorted(set(Image.OPEN) - _PROGRAMS, key=lambda name: (name not in _USUAL, name)))


def has_image_ending(name: str) -> bool:
    """Whether a file is called like an image that can be read."""
    from PIL import Image

    ending = PurePosixPath(name).suffix.lower()
    return ending == _ARRAY_ENDING or Image.registered_extensions().get(ending) in _formats()


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


def _deep_values(image: Image.Image, kind: str | None) -> Pixels:
    """The values of a deep image, [H, W]: uint16 where the file holds 16 bits without a sign."""
    values = np.asarray(image)
    # 16-bit files open as I;16 or, from older writers, as I.
    return values.astype(np.uint16) if image.mode == "I" and kind in {"PNG", "PPM"} else values


def _in_bits(values: Pixels, value_range: Sequence[float] | None, bits: int) -> tuple[Pixels, int | None]:
    """Values of any depth as uint8 or uint16, and the largest of those that were deeper than 8 bits."""
    if values.dtype == np.uint8:
        if bits > 8:
            raise DepthError
        return values, None
    if values.dtype.kind not in "iuf":
        raise ValueError(f"its values are of type {values.dtype}, neither integers nor floating-point numbers")
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinite values")
    if value_range is None and (values.dtype.kind, values.dtype.itemsize) != ("u", 2):
        numbers = "floating-point" if values.dtype.kind == "f" else "signed or 32-bit"
        raise NoRangeError(numbers, (float(values.min()), float(values.max())))
    largest, top = int(values.max()), float((1 << bits) - 1)
    if value_range is None and bits == 16:
        return values.astype(np.uint16), largest
    low, high = value_range or _FULL_16
    scaled = np.clip(np.rint((values.astype(np.float64) - low) * (top / (high - low))), 0, top)
    return scaled.astype(np.uint8 if bits == 8 else np.uint16), largest


def _require_whole(source: Path | BinaryIO, kind: str | None) -> None:
    """Refuse a JPEG 2000 file that ends before its pixels begin: OpenJPEG makes a black image of one that is cut in a
    certain place. Of other formats Pillow refuses a file in which pixels are missing."""
    if kind != "JPEG2000":
        return
    if not isinstance(source, Path):
        source.seek(0)
    data = source.read_bytes() if isinstance(source, Path) else source.read()
    if data.rfind(_J2K_END) < data.find(_J2K_DATA) or _J2K_DATA not in data:
        raise ValueError("it is cut off")


def _first_bytes(source: Path | BinaryIO) -> bytes:
    """What tells the format; a file is at its beginning afterwards."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            return _first_bytes(file)
    source.seek(0)
    start = source.read(len(_ARRAY))
    source.seek(0)
    return start


def _channels_last(values: Pixels, channels: int) -> Pixels:
    """An array as [H, W, C]. Which axis holds the channels is known by their number alone."""
    shape = list(values.shape)
    if values.ndim == 2 and channels == 1:
        return values[:, :, None]
    places = [axis for axis in (0, 2) if shape[axis] == channels] if values.ndim == 3 else []
    if not places:
        wanted = f"[height, width, {channels}] or [{channels}, height, width]"
        raise ValueError(f"its shape is {shape}, not {wanted} (data.image.channels)")
    if len(places) > 1:
        raise ValueError(f"its shape {shape} is ambiguous: the first and the last axis may be its {channels} channels")
    return values if places == [2] else values.transpose(1, 2, 0)


def _pages(opened: Image.Image, channels: int) -> list[Pixels]:
    """The pages of a TIFF file that has as many as there are channels, each of them grey; else none."""
    if channels == 1 or opened.format != "TIFF" or not (opened.mode == "L" or _is_deep(opened)):
        return []
    if getattr(opened, "n_frames", 1) != channels:
        return []
    first, pages = (opened.size, opened.mode), []
    for number in range(channels):
        opened.seek(number)
        if (opened.size, opened.mode) != first:
            raise ValueError(f"its pages 1 and {number + 1} are of different sizes or kinds")
        pages.append(np.array(opened))
    return pages


def _bands(image: Image.Image, channels: int, kind: str | None) -> Pixels:
    """The values of an image as they are, [H, W, C]; a grey one for each of three channels."""
    if image.mode in {"P", "PA"}:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    values = np.atleast_3d(_deep_values(image, kind) if _is_deep(image) else np.asarray(image.convert(_plain(image))))
    if channels in _CONVERTED and values.dtype != np.uint8:
        return np.repeat(values, channels, axis=2)
    if channels not in _CONVERTED and values.shape[2] != channels:
        raise ValueError(f"its number of channels is {values.shape[2]}, not {channels} (data.image.channels)")
    return values


def _plain(image: Image.Image) -> str:
    """The mode of 8 bits that holds an image's channels."""
    return "L" if image.mode == "1" else image.mode


def _require_size(width: int, height: int, smallest: int, most: int) -> None:
    if width * height > most:
        raise ValueError(f"{width}x{height} pixels are more than {most:,}")
    if min(width, height) < smallest:
        raise ValueError(f"{width}x{height} pixels, its shorter side has fewer than {smallest}")


def _from_values(
    values: Pixels, size: tuple[int, int], resize: Resize, value_range: Sequence[float] | None, bits: int, most: int
) -> ImageFile:
    """Values of any depth, [H, W, C], brought to the shape and the depth of a model's input.

    In integers, so that every machine makes the same bits.
    """
    found = (values.shape[1], values.shape[0])
    values, largest = _in_bits(values, value_range, bits)
    if resize == "crop":
        left, top, width, height = _middle(found, size)
        values = values[top : top + height, left : left + width]
    elif resize == "pad" and (canvas := _canvas(found, size, most)) != found:
        colour = np.rint(np.median(border(values), axis=0)).astype(values.dtype)
        padded = np.broadcast_to(colour, (canvas[1], canvas[0], values.shape[2])).copy()
        left, top = (canvas[0] - found[0]) // 2, (canvas[1] - found[1]) // 2
        padded[top : top + found[1], left : left + found[0]] = values
        values = padded
    rows, down = _resampled(values, size[1])
    columns, across = _resampled(rows.swapaxes(0, 1), size[0])
    pixels = (columns + down * across // 2) // (down * across)
    return ImageFile(np.ascontiguousarray(pixels.transpose(2, 1, 0), dtype=values.dtype), largest, found)


def _resampled(values: Pixels, after: int) -> tuple[Pixels, int]:
    """Another number of rows of [n, m, C], times the number that is given with them: area means of more, or linear
    between fewer. As int64, unless it is the same number."""
    before = len(values)
    if after == before:
        return values, 1
    if after < before:
        # Between two borders: the whole rows, and of the rows that a border cuts, what lies before it.
        whole, part = np.divmod(np.arange(after + 1) * before, after)
        sums = np.add.reduceat(values, whole[:-1], axis=0, dtype=np.int64) * after
        cut = values[np.minimum(whole, before - 1)] * part[:, None, None]
        return sums + cut[1:] - cut[:-1], before
    centres = (2 * np.arange(after) + 1) * before - after
    whole, part = np.divmod(np.clip(centres, 0, 2 * after * (before - 1)), 2 * after)
    above, below = values[whole], values[np.minimum(whole + 1, before - 1)]
    weight = part[:, None, None]
    return above * (2 * after - weight) + below * weight, 2 * after


def _flat(image: Image.Image) -> Image.Image:
    """No transparency."""
    from PIL import Image

    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def _shaped(image: Image.Image, size: tuple[int, int], resize: Resize, most: int) -> Image.Image:
    """The image in the aspect ratio of `size`."""
    if resize == "stretch":
        return image
    if resize == "pad":
        return _padded(image, size, most)
    left, top, width, height = _middle(image.size, size)
    return image.crop((left, top, left + width, top + height))


def window(found: tuple[int, int], size: tuple[int, int], resize: Resize) -> tuple[int, int, int, int]:
    """Left, top, width and height of what a model of `size` sees of a file of the size `found`: the padding is outside
    the file."""
    if resize == "stretch":
        return 0, 0, *found
    if resize == "crop":
        return _middle(found, size)
    width, height = _canvas(found, size, LARGEST_PIXELS)
    return -((width - found[0]) // 2), -((height - found[1]) // 2), width, height


def _middle(found: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the largest part in the aspect ratio of `size`."""
    width = max(1, min(found[0], round(found[1] * size[0] / size[1])))
    height = max(1, min(found[1], round(found[0] * size[1] / size[0])))
    return (found[0] - width) // 2, (found[1] - height) // 2, width, height


def _canvas(found: tuple[int, int], size: tuple[int, int], most: int) -> tuple[int, int]:
    """(width, height) of the smallest canvas in the aspect ratio of `size` that holds the image."""
    width = max(found[0], round(found[1] * size[0] / size[1]))
    height = max(found[1], round(found[0] * size[1] / size[0]))
    if (width, height) != found and width * height > most:
        raise ValueError(f"{found[0]}x{found[1]} pixels are too long for the model's {size[0]}x{size[1]}")
    return width, height


def _padded(image: Image.Image, size: tuple[int, int], most: int) -> Image.Image:
    """The image centred on a canvas of the target's aspect ratio, in its border's median colour."""
    from PIL import Image

    width, height = _canvas(image.size, size, most)
    if (width, height) == image.size:
        return image
    colour = np.median(border(np.atleast_3d(np.asarray(image))), axis=0)
    fill = tuple(int(value) for value in np.rint(colour))
    canvas = Image.new(image.mode, (width, height), fill[0] if len(fill) == 1 else fill)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def border(pixels: Pixels) -> Pixels:
    """The outermost pixels of [H, W, C], as [n, C]."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
