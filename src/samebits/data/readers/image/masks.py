"""Images and their masks, which say the class of each pixel; or an archive of such.

data/raw/NAME/images/1.jpg         or, with splits of one's own,    data/raw/NAME/train/images/1.jpg
data/raw/NAME/masks/1.png                                            data/raw/NAME/train/masks/1.png
data/raw/NAME/classes.csv                                            data/raw/NAME/test/images/2.jpg

An image and its mask have one name, but for the ending, and one size. A mask is a PNG (or another file without loss) of
class indices, grey or of a palette; 255 is a pixel that does not count. `classes.txt` names the classes, a line each.
`classes.csv` has a column `name`, and where they are needed `index` (of a class in the masks) and `colour` (#rrggbb,
or the columns red, green and blue): with colours, masks are read by them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError, listed
from samebits.compute.cpu import cores
from samebits.data.fetching.archives import Member, list_tree
from samebits.data.readers.image.decode import Decoded
from samebits.data.readers.image.folder import decode_images
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.image.mask_classes import CLASS_FILES, MaskClasses, read_classes
from samebits.data.readers.image.mask_pixels import read_values, to_model
from samebits.data.readers.image.pixels import UNREADABLE, has_image_ending, reason
from samebits.data.readers.reader import Int64, Rejected, Source
from samebits.data.readers.sample_hashes import sample_hashes
from samebits.data.readers.splits import are_splits, split_of
from samebits.signature.mask import IGNORED, MOST_CLASSES, default_colours
from samebits.signature.signature import Target

FOLDERS = ("images", "masks")
_CHUNK = 64
"""Masks that are read at a time."""


@dataclass(frozen=True, kw_only=True)
class RawMasks(RawImages):
    """Images with the class of each pixel.

    Attributes:
        colours: RGB of each class.
    """

    colours: Sequence[Sequence[int]]

    def fitted_target(self, training: Int64) -> Target:
        return super().fitted_target(training).model_copy(update={"colours": [list(each) for each in self.colours]})


@dataclass(frozen=True)
class Pair:
    """An image and its mask, of one size."""

    image: Member
    mask: Member
    split: str | None


def read(source: Source) -> RawMasks:
    """Read the folders `images` and `masks` of `data.source`.

    Raises:
        UserError: if one of them is missing, or the classes are not known.
    """
    shown = source.settings.source
    if source.settings.target_kind not in ("auto", "mask"):
        raise UserError(
            f"data.target_kind is {source.settings.target_kind!r}, and the format image_masks has masks",
            "set data.target_kind: auto",
        )
    members, _ = list_tree(source.own, source.scratch, source.card.root if source.card else "")
    listing, files = _class_files(shown, members)
    pairs, rejected = _pairs(shown, files)
    return read_pairs(source, pairs, rejected, read_classes(listing, shown) if listing else None)


def read_pairs(
    source: Source, pairs: Sequence[Pair], rejected: Sequence[Rejected], classes: MaskClasses | None
) -> RawMasks:
    """Images and masks in the model's size; those that cannot be used are set aside, too.

    Raises:
        UserError: if the images are not as the settings say, or the classes are not known.
    """
    shown, rejected = source.settings.source, list(rejected)
    decoded = decode_images(source, [each.image for each in pairs])
    height, width = decoded.pixels.shape[2:]
    masks = np.lib.format.open_memmap(
        source.scratch / "masks.npy", mode="w+", dtype=np.uint8, shape=(len(pairs), height, width)
    )
    usable: list[int] = []
    found: dict[int, str] = {}
    for row, mask in enumerate(_masks(pairs, decoded, source, classes)):
        if isinstance(mask, str):
            rejected.append(Rejected(pairs[row].image.name, mask))
            continue
        masks[len(usable)] = mask
        for value in np.unique(mask).tolist():
            found.setdefault(value, pairs[row].mask.name)
        usable.append(row)
    if usable and classes is None:
        classes = _unnamed(shown, found)
    kept = [pairs[row] for row in usable]
    return RawMasks(
        ids=[each.image.name for each in kept],
        origins=[each.image.name for each in kept],
        hashes=sample_hashes(decoded.pixels, usable),
        targets=masks[: len(usable)],
        classes=classes.names if classes else (),
        colours=classes.shown_colours if classes else (),
        target_kind="mask",
        given=[each.split or "" for each in kept] if any(each.split for each in kept) else None,
        set_aside=tuple(rejected),
        parts=[decoded.pixels],
        rows=np.array(usable, dtype=np.int64),
        resize=source.settings.image.resize,
        value_range=source.settings.image.value_range,
    )


def _class_files(shown: str, members: Sequence[Member]) -> tuple[Member | None, list[Member]]:
    """The list of the classes, and the other files."""
    listings = [each for each in members if each.name in CLASS_FILES]
    if len(listings) > 1:
        raise UserError(f"{shown} has {listed([each.name for each in listings])}", "keep the one that is right")
    return next(iter(listings), None), [each for each in members if each.name not in CLASS_FILES]


def _pairs(shown: str, members: Sequence[Member]) -> tuple[list[Pair], list[Rejected]]:
    """Images and masks of one name, and the files that have no other."""
    files: dict[str, dict[tuple[str, str], list[Member]]] = {folder: defaultdict(list) for folder in FOLDERS}
    rejected: list[Rejected] = []
    splits = are_splits(shown, _split_folders(members))
    for member in members:
        parts = list(PurePosixPath(member.name).parts)
        split = parts.pop(0) if splits and len(parts) > 1 and split_of(parts[0]) else ""
        folder = parts.pop(0) if parts[0] in FOLDERS and len(parts) > 1 else None
        if folder and splits and not split and len(parts) > 1 and split_of(parts[0]):
            split = parts.pop(0)
        if folder is None or (splits and not split):
            where = "it lies neither in images nor in masks" if folder is None else "it lies in no split"
            rejected.append(Rejected(member.name, where, other=not has_image_ending(member.name)))
            continue
        files[folder][(split_of(split) or "", str(PurePosixPath(*parts).with_suffix("")))].append(member)
    images, masks = (files[folder] for folder in FOLDERS)
    for folder, kind in files.items():
        if not kind:
            raise UserError(
                f"{shown} has no file in a folder {folder}",
                "lay it out as images/NAME.jpg and masks/NAME.png, or with splits train/images/NAME.jpg and so on",
            )
    pairs: list[Pair] = []
    for key in sorted(images.keys() | masks.keys()):
        of_image, of_mask = images.get(key, []), masks.get(key, [])
        if len(of_image) == len(of_mask) == 1:
            pairs.append(Pair(of_image[0], of_mask[0], key[0] or None))
            continue
        for member in (*of_image, *of_mask):
            rejected.append(
                Rejected(
                    member.name,
                    _unpaired(of_image, of_mask),
                    other=not has_image_ending(member.name),
                )
            )
    return pairs, rejected


def _unpaired(images: Sequence[Member], masks: Sequence[Member]) -> str:
    if not masks:
        return "it has no mask: a file of its name in masks"
    if not images:
        return "the mask has no image: a file of its name in images"
    return f"{listed([each.name for each in (*images, *masks)])} have one name: which mask is of which image?"


def _split_folders(members: Sequence[Member]) -> set[str]:
    """The folders that may be splits: above `images` and `masks`, or else below."""
    parts = [each.name.split("/") for each in members]
    above = {each[0] for each in parts if len(each) > 2 and each[1] in FOLDERS and each[0] not in FOLDERS}
    if above:
        return above
    below = {each[1] for each in parts if len(each) > 2 and each[0] in FOLDERS}
    return below if any(split_of(name) == "train" for name in below) else set()


def _masks(
    pairs: Sequence[Pair], decoded: Decoded, source: Source, classes: MaskClasses | None
) -> Iterator[npt.NDArray[np.uint8] | str]:
    """Of each pair its mask in the model's size, or why it cannot be used."""
    target, resize = decoded.pixels.shape[:1:-1], source.settings.image.resize

    def one(row: int) -> npt.NDArray[np.uint8] | str:
        if why := decoded.reasons[row]:
            return why
        pair = pairs[row]
        try:
            values = read_values(pair.mask.read(), classes.colours if classes else None)
        except UNREADABLE as error:
            return f"{pair.mask.name}: {reason(error)}"
        (height, width), size = values.shape, decoded.sizes[row]
        if (width, height) != size:
            return f"{pair.mask.name} has {width}x{height} pixels, the image {size[0]}x{size[1]}"
        try:
            mask = _of_classes(values, classes)
        except ValueError as error:
            return f"{pair.mask.name}: {error}"
        mask = to_model(mask, (target[0], target[1]), resize)
        return mask if (mask != IGNORED).any() else f"{pair.mask.name}: no pixel counts (all are {IGNORED})"

    # Threads: Pillow lets go of the interpreter while it decodes.
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(pairs), _CHUNK):
            yield from pool.map(one, range(start, min(start + _CHUNK, len(pairs))))


def _of_classes(values: npt.NDArray[np.int64], classes: MaskClasses | None) -> npt.NDArray[np.uint8]:
    """Indices of the file as indices into the classes.

    Raises:
        ValueError: for one that is of no class.
    """
    if classes is None:
        wrong = (values < 0) | (values > IGNORED)
    else:
        table = classes.table
        wrong = (values < 0) | (values >= len(table))
        wrong |= table[np.where(wrong, 0, values)] < 0
    if wrong.any():
        y, x = (int(at) for at in np.argwhere(wrong)[0])
        what = "a colour" if classes and classes.colours else f"{values[y, x]}"
        raise ValueError(f"the pixel at x {x}, y {y} holds {what} that is of no class")
    return (values if classes is None else classes.table[values]).astype(np.uint8)


def _unnamed(shown: str, found: Mapping[int, str]) -> MaskClasses:
    """Classes of masks that come without a list: 0 to the largest index, without gaps.

    Raises:
        UserError: if the masks hold anything else.
    """
    values = sorted(set(found) - {IGNORED})
    if values != list(range(len(values))) or not 2 <= len(values) <= MOST_CLASSES:
        ignored = f" and {IGNORED}, which does not count" if IGNORED in found else ""
        held = listed([f"{value} ({found[value]})" for value in values], 6)
        raise UserError(
            f"{shown}: the masks hold {held}{ignored}: that is no list of classes from 0 on",
            "name the classes in classes.csv beside images and masks: name,index for indices; name,colour for colours, "
            "as background,#000000 and object,#ffffff for masks in black and white",
        )
    names = tuple(f"class {value}" for value in values)
    return MaskClasses(names, None, np.arange(len(values)), default_colours(len(values)))
