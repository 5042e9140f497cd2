"""Images whose background is transparent, a folder per class: the opaque pixels are the mask.

data/raw/NAME/cat/1.png            or, with splits of one's own,    data/raw/NAME/train/cat/1.png
data/raw/NAME/dog/a/2.png                                            data/raw/NAME/test/dog/a/2.png

Each pixel is of the class of its file's folder where it is at least half opaque, else `background`. Behind an image a
background is drawn that its outline decides: every fourth one white, as transparency is shown elsewhere, the others
running from one colour to another. So files of one outline, as those that differ in a colour, get the same one, and
near duplicates are still found.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.compute.cpu import cores
from samebits.data.fetching.archives import Member
from samebits.data.readers.image.folder import Labelled, is_other, labelled_files
from samebits.data.readers.image.mask_classes import MaskClasses
from samebits.data.readers.image.masks import Pair, RawMasks, read_pairs
from samebits.data.readers.image.pixels import LARGEST_PIXELS, UNREADABLE, reason
from samebits.data.readers.reader import Rejected, Source
from samebits.signature.mask import MOST_CLASSES, default_colours

BACKGROUND = "background"
_HALF = 128
"""Opacity, of 255, from which on a pixel is of the object."""
_LEAST = 0.02
"""Share of the pixels that are of the object, and that are not: an image without transparency shows no outline."""
_TIMES = 2
"""A side has at most this many times the pixels of the model's before the background is drawn."""
_OUTLINE = 8
"""Pixels a side of the outline that decides the background."""
_CHUNK = 64

Bytes = npt.NDArray[np.uint8]


class _Opaque(ValueError):
    """An image without a transparent background."""


def read(source: Source) -> RawMasks:
    """Read the folders of `data.source`; a card's `classes` name those to read, and its `root` where they lie.

    Raises:
        UserError: if there are no class folders, or one is called as the background.
    """
    shown = source.settings.source
    if source.settings.target_kind not in ("auto", "mask"):
        raise UserError(
            f"data.target_kind is {source.settings.target_kind!r}, and the format image_cutouts has masks",
            "set data.target_kind: auto",
        )
    if source.settings.image.bits != 8:
        raise UserError("data.image.bits is 16, and images with transparency have 8", "set data.image.bits: 8")
    labelled, rejected = labelled_files(source)
    names = sorted({each.label for each in labelled})
    if not names:
        raise UserError(f"{shown} has no class folder", "lay the images out as CLASS/IMAGE.png")
    if BACKGROUND in names or len(names) >= MOST_CLASSES:
        raise UserError(
            f"{shown} has {len(names)} class folders, and what is transparent is of the class {BACKGROUND}",
            f"have fewer than {MOST_CLASSES}, none of them called {BACKGROUND}",
        )
    classes = (BACKGROUND, *names)
    pairs: list[Pair] = []
    blob, at = source.scratch / "composed", 0
    with blob.open("wb") as out:
        for each, found in zip(labelled, _composed(labelled, classes, source), strict=True):
            if isinstance(found, Rejected):
                rejected.append(found)
                continue
            members = []
            for data in found:
                members.append(Member(each.member.name, blob, at, len(data)))
                at += out.write(data)
            pairs.append(Pair(members[0], members[1], each.split))
    if not pairs:
        first = f": {rejected[0].id}: {rejected[0].reason}" if rejected else ""
        raise UserError(f"{shown} has no image with a transparent background{first}", "use the format image_masks")
    numbers = np.arange(len(classes))
    return read_pairs(source, pairs, rejected, MaskClasses(classes, None, numbers, default_colours(len(classes))))


def _composed(
    labelled: Sequence[Labelled], classes: Sequence[str], source: Source
) -> Iterator[tuple[bytes, bytes] | Rejected]:
    """Of each file the image over its background and the mask, as PNG files; or why it cannot be used."""
    side, smallest = _TIMES * max(source.settings.image.height, source.settings.image.width), source.settings.image
    number = {name: k for k, name in enumerate(classes)}

    def one(each: Labelled) -> tuple[bytes, bytes] | Rejected:
        name = each.member.name
        try:
            return compose(each.member.read(), number[each.label], side, smallest.smallest)
        except _Opaque as error:
            return Rejected(name, str(error), each.label, other=True)
        except UNREADABLE as error:
            return Rejected(name, why := reason(error), each.label, other=is_other(name, why))

    # Threads: Pillow lets go of the interpreter while it decodes.
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(labelled), _CHUNK):
            yield from pool.map(one, labelled[start : start + _CHUNK])


def compose(data: bytes, index: int, side: int, smallest: int) -> tuple[bytes, bytes]:
    """An image file over its background, and its mask, as PNG files of one size.

    Args:
        index: of the object's class.
        side: the most pixels a side.
        smallest: pixels of the shorter side that the file must have.

    Raises:
        UNREADABLE: if it is no image, too small or too large, or its background is not transparent.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(io.BytesIO(data))
        except Image.DecompressionBombError:
            raise ValueError(f"it has more than {LARGEST_PIXELS:,} pixels") from None
        with opened:
            if opened.width * opened.height > LARGEST_PIXELS:
                raise ValueError(f"{opened.width}x{opened.height} pixels are more than {LARGEST_PIXELS:,}")
            if min(opened.size) < smallest:
                raise ValueError(f"{opened.width}x{opened.height} pixels, its shorter side has fewer than {smallest}")
            if not opened.has_transparency_data:
                raise _Opaque("it has no transparent background")
            image = opened.convert("RGBA")
    times = max(image.size) / side
    if times > 1:
        image = image.resize(
            (max(1, round(image.width / times)), max(1, round(image.height / times))), Image.Resampling.BOX
        )
    opacity = np.asarray(image.getchannel("A"))
    solid = opacity >= _HALF
    if not _LEAST <= solid.mean() <= 1 - _LEAST:
        raise _Opaque(f"{solid.mean():.1%} of it are opaque: it shows no outline")
    outline = np.asarray(image.getchannel("A").resize((_OUTLINE, _OUTLINE), Image.Resampling.BOX)) >= _HALF
    behind = _background(hashlib.sha256(outline.tobytes()).digest(), image.height, image.width)
    flat = Image.alpha_composite(Image.fromarray(behind).convert("RGBA"), image).convert("RGB")
    return _png(flat), _png(Image.fromarray(np.where(solid, index, 0).astype(np.uint8)))


def _background(digest: bytes, height: int, width: int) -> Bytes:
    """White, or what runs from one colour to another along one of four directions: uint8 [H, W, 3], by integers."""
    if digest[0] % 4 == 0:
        return np.full((height, width, 3), 255, dtype=np.uint8)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    along, last = (
        (rows + 0 * columns, height - 1),
        (0 * rows + columns, width - 1),
        (rows + columns, height + width - 2),
        (rows + columns[:, ::-1], height + width - 2),
    )[digest[1] % 4]
    first, second = (np.frombuffer(digest[at : at + 3], dtype=np.uint8).astype(np.int64) for at in (2, 5))
    mixed = (first * (last - along[..., None]) + second * along[..., None]) // max(1, last)
    return mixed.astype(np.uint8)


def _png(image: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="png", compress_level=1)  # type: ignore[attr-defined]
    return buffer.getvalue()
