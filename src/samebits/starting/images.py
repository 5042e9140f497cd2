"""Images: a folder per class, or a CSV that lists them."""

from __future__ import annotations

import io
import statistics
from collections import Counter
from collections.abc import Sequence

from PIL import Image

from samebits.base.errors import UserError, listed
from samebits.data.fetching.archives import Member
from samebits.data.readers.csv_file import open_csv
from samebits.data.readers.reader import Source
from samebits.starting.classes import class_warnings
from samebits.starting.found import Asked, Found, Proposal

_RECIPE = "image_classification"
_LOOKED_AT = 200
_SIDES = (64, 96, 128)
"""Resolutions to choose from, for a net that was trained on 224 pixels: below 64 its last layers see one point."""

_LARGE = 20_000
"""Samples, above which batches of 16 waste the processor."""


def fits_folder(found: Found) -> str:
    """Images that lie mostly in two or more class folders."""
    counts = found.class_counts(found.images)
    if not found.is_folder or len(counts) < 2 or counts.total() * 2 < len(found.members) or _lists_images(found):
        return ""
    return f"{counts.total():,} images in {len(counts):,} class folders: {listed(sorted(counts), 5)}"


def propose_folder(found: Found, asked: Asked) -> Proposal:
    """A classifier of the folders' names."""
    _no_column(asked)
    counts = found.class_counts(found.images)
    proposal = _of_images(found, found.images)
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
    _no_column(asked)
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
    proposal = _of_images(found, found.images)
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


def _no_column(asked: Asked) -> None:
    for option, value in (("--target", asked.target), ("--predict", asked.predict)):
        if value is not None:
            raise UserError(f"{option} {value} is for tables and texts", "images have a class each: leave it out")


def _of_images(found: Found, members: Sequence[Member]) -> Proposal:
    proposal = Proposal(_RECIPE)
    sizes = _sizes(members)
    if not sizes:
        raise UserError(
            f"{found.shown}: of the first images none can be read", "look at the files; formats: docs/data.md"
        )
    side = round(statistics.median(min(size) for size in sizes))
    resolution = next((each for each in _SIDES if side <= each), _SIDES[-1])
    proposal.set(
        "data.image.resolution",
        resolution,
        f"the shorter side has {side:,} pixels (median of {len(sizes):,}); more pixels see more and cost time with "
        "their square",
    )
    oblong = sum(max(size) > 1.5 * min(size) for size in sizes)
    if oblong * 2 > len(sizes):
        proposal.warnings.append(
            f"{oblong:,} of {len(sizes):,} images are oblong: they are padded to squares (data.image.resize: crop or "
            "stretch, if that fits them better)"
        )
    if len(members) > _LARGE:
        proposal.set("train.batch_size", 128, f"{len(members):,} images: larger batches take less time each")
        proposal.set("train.optimizer.lr", 6e-4, "the rate goes with the square root of the batch")
    return proposal


def _sizes(members: Sequence[Member]) -> list[tuple[int, int]]:
    """(width, height) of some images, spread over all."""
    sizes = []
    for member in members[:: max(1, len(members) // _LOOKED_AT)]:
        try:
            with Image.open(io.BytesIO(member.read())) as image:
                sizes.append(image.size)
        except (OSError, ValueError, Image.DecompressionBombError):
            continue  # prepare sets it aside, and says why
    return sizes
