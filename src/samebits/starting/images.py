"""Images: a folder per class, or a CSV that lists them."""

from __future__ import annotations

import io
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from samebits.base.errors import UserError, listed
from samebits.data.fetching.archives import Member
from samebits.data.readers.csv_file import open_csv
from samebits.data.readers.image.masks import FOLDERS
from samebits.data.readers.reader import Source
from samebits.starting.classes import class_warnings
from samebits.starting.found import Asked, Found, Proposal

_RECIPE = "image_classification"
_LOOKED_AT = 200
_SIDES = (64, 96, 128)
"""Resolutions to choose from, for a net that was trained on 224 pixels: below 64 its last layers see one point."""

_OBLONG, _ONE_RATIO = 1.5, 1.05
"""A longer side from which on padding wastes much; and how far two aspect ratios are apart that count as one."""

_LONGEST = 512
_MOST_CHANNELS = 16
_LARGE = 20_000
"""Samples, above which batches of 16 waste the processor."""


def fits_folder(found: Found) -> str:
    """Images that lie mostly in two or more class folders."""
    counts = found.class_counts(found.images)
    if set(FOLDERS) <= set(counts):
        return ""  # of masks
    if not found.is_folder or len(counts) < 2 or counts.total() * 2 < len(found.members) or _lists_images(found):
        return ""
    return f"{counts.total():,} images in {len(counts):,} class folders: {listed(sorted(counts), 5)}"


def propose_folder(found: Found, asked: Asked) -> Proposal:
    """A classifier of the folders' names."""
    no_column(asked)
    counts = found.class_counts(found.images)
    proposal = of_images(found, found.images)
    proposal.warnings += class_warnings(counts, "images")
    return proposal


def fits_list(found: Found) -> str:
    """A folder with images and one CSV that has a column `path`."""
    if (
        not found.path.is_dir()
        or not found.images
        or not (_lists_images(found) or not found.class_counts(found.images))
    ):
        return ""
    lists = found.lists()
    return f"{len(found.images):,} images and the list {lists[0].name}" if len(lists) == 1 else ""


def propose_list(found: Found, asked: Asked) -> Proposal:
    """A classifier of the column `label`."""
    no_column(asked)
    lists = found.lists()
    if len(lists) != 1:
        raise UserError(
            f"{found.shown} has {len(lists)} CSV files at its top", "keep the one that lists the images: path,label"
        )
    file = open_csv(_as_list(found, lists[0]), {"path", "label"})
    if missing := [name for name in ("path", "label") if name not in file.header]:
        raise UserError(
            f"{found.shown}/{lists[0].name} has no column {listed(missing)}; it has {listed(file.header, 12)}",
            "name the column with the images' paths `path`, the one with their classes `label`",
        )
    at = file.header.index("label")
    counts = Counter(row[at].strip() for _, row in file.rows() if not isinstance(row, str))
    del counts[""]
    proposal = of_images(found, found.images)
    proposal.warnings += class_warnings(counts, "images")
    return proposal


def _lists_images(found: Found) -> bool:
    """Whether the one CSV at the top lists images by path and label."""
    lists = found.lists()
    if not found.path.is_dir() or len(lists) != 1:
        return False
    try:
        return {"path", "label"} <= set(open_csv(_as_list(found, lists[0]), {"path", "label"}).header)
    except UserError:
        return False


def _as_list(found: Found, member: Member) -> Source:
    return Source(found.path.stem, found.settings, None, {}, found.path / member.name, found.scratch, lambda _: None)


def no_column(asked: Asked) -> None:
    """Refuse what is said of a column.

    Raises:
        UserError: naming the option.
    """
    asked.refuse_columns(" is for tables and texts", "images have a class each: leave it out")


def of_images(found: Found, members: Sequence[Member], recipe: str = _RECIPE) -> Proposal:
    """What the sizes, channels and depths of images ask for."""
    proposal = Proposal(recipe)
    seen = _seen(members)
    if not seen:
        raise UserError(
            f"{found.shown}: of the first images none can be read", "look at the files; formats: docs/data-images.md"
        )
    side = round(statistics.median(min(each.size) for each in seen))
    resolution = next((each for each in _SIDES if side <= each), _SIDES[-1])
    of = f"the shorter side has {side:,} pixels (median of {len(seen):,})"
    oblong = sum(max(each.size) > _OBLONG * min(each.size) for each in seen)
    if oblong == len(seen) and (sides := _common_sides(seen, resolution)):
        proposal.set("data.image.resolution", sides, f"[height, width]: {of}, and all have about one aspect ratio")
    else:
        more = "more pixels see more and cost time with their square"
        proposal.set("data.image.resolution", resolution, f"{of}; {more}")
        if oblong * 2 > len(seen):
            proposal.warnings.append(
                f"{oblong:,} of {len(seen):,} images are oblong: they are padded to squares (data.image.resize: crop "
                "or stretch, if that fits them better)"
            )
    channels, count = Counter(each.channels for each in seen).most_common(1)[0]
    if channels is not None:
        proposal.set("data.image.channels", channels, f"{count:,} of {len(seen):,} are arrays of {channels} channels")
    if all(each.bits > 8 for each in seen):
        proposal.set("data.image.bits", 16, "their values have 16 bits")
    if len(members) > _LARGE and recipe == _RECIPE:
        proposal.set("train.batch_size", 128, f"{len(members):,} images: larger batches take less time each")
        proposal.set("train.optimizer.lr", 6e-4, "the rate goes with the square root of the batch")
    return proposal


def _common_sides(seen: Sequence[_Seen], shorter: int) -> list[int] | None:
    """[height, width] of the shorter side's pixels, where all images have about one aspect ratio, not too long."""
    ratios = [each.size[0] / each.size[1] for each in seen]
    ratio = statistics.median(ratios)
    longer = 8 * round(shorter * max(ratio, 1 / ratio) / 8)
    if max(ratios) > _ONE_RATIO * min(ratios) or longer > _LONGEST:
        return None
    return [shorter, longer] if ratio > 1 else [longer, shorter]


@dataclass(frozen=True)
class _Seen:
    """What a file is like.

    Attributes:
        size: (width, height).
        channels: of an array; None for other images, which become RGB.
    """

    size: tuple[int, int]
    bits: int
    channels: int | None = None


def _seen(members: Sequence[Member]) -> list[_Seen]:
    """Some images, spread over all."""
    seen = []
    for member in members[:: max(1, len(members) // _LOOKED_AT)]:
        try:
            data = member.read()
            if member.name.lower().endswith(".npy"):
                seen.append(_seen_array(np.load(io.BytesIO(data), allow_pickle=False)))
                continue
            with Image.open(io.BytesIO(data)) as image:
                seen.append(_Seen(image.size, 16 if image.mode.startswith("I;16") else 8))
        except (OSError, ValueError, EOFError, MemoryError, Image.DecompressionBombError):
            continue  # prepare sets it aside, and says why
    return seen


def _seen_array(array: npt.NDArray[Any]) -> _Seen:
    """An array: of three axes, the one that can be that of the channels."""
    bits = 8 * array.itemsize if array.dtype.kind == "u" else 8
    if array.ndim == 2:
        return _Seen((array.shape[1], array.shape[0]), bits, 1)
    places = [axis for axis in (0, 2) if array.shape[axis] <= _MOST_CHANNELS] if array.ndim == 3 else []
    if len(places) != 1:
        raise ValueError("no axis, or both, can be that of the channels")
    height, width = (size for axis, size in enumerate(array.shape) if axis != places[0])
    return _Seen((width, height), bits, array.shape[places[0]])
