"""A folder a class, of image files: PNG, JPEG, WebP, GIF, BMP, TIFF and what else Pillow reads. Or an archive of such.

data/raw/NAME/cat/1.png            or, with splits of one's own,    data/raw/NAME/train/cat/1.png
data/raw/NAME/dog/a/2.jpg                                            data/raw/NAME/test/dog/a/2.jpg
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from samebits.base.errors import UserError, listed
from samebits.base.registry import nearest
from samebits.data.fetching.archives import Member, list_tree
from samebits.data.readers.image.decode import Decoded, decode
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.image.pixels import has_image_ending
from samebits.data.readers.labels import class_name
from samebits.data.readers.reader import Array, Rejected, Source
from samebits.data.readers.sample_hashes import sample_hashes
from samebits.data.readers.splits import are_splits, first_folders, require_filled, split_of
from samebits.data.readers.targets import parse_cells, target_kind
from samebits.data.readers.times import read_times

_FEWEST_CLASSES = 2
_DEEPEST = (255, 1023, 4095, 16383)
"""Largest values of images of 8, 10, 12 and 14 bits, which are often stored in 16."""
_LIST = "list the images in a CSV with a column `{}` (data.format: image_csv), or set data.split: hash"
_SPLIT_FIXES = {"group": _LIST.format("group"), "time": _LIST.format("time")}
_SINGLE = "the only image of its class"


@dataclass(frozen=True)
class Labelled:
    """An image file, its class, and its split, its group and its time where the source says them."""

    member: Member
    label: str
    split: str | None = None
    group: str | None = None
    time: str | None = None


def read(source: Source) -> RawImages:
    """Read the folders of `data.source`; a card's `classes` name those to read, and its `root` where they lie.

    Raises:
        UserError: if there are no class folders, only one, or an empty one.
    """
    labelled, rejected = labelled_files(source)
    return gather(source, labelled, rejected, _SPLIT_FIXES, listed_files=False)


def labelled_files(source: Source) -> tuple[list[Labelled], list[Rejected]]:
    """The files in the folders of `data.source`, labelled by these, and those that lie in none.

    Raises:
        UserError: for an empty folder, or one that the card names and that is not there.
    """
    root = source.card.root if source.card else ""
    members, folders = list_tree(source.own, source.scratch, root)
    wanted = set(source.card.classes) if source.card and source.card.classes else None
    splits = wanted is None and are_splits(source.settings.source, first_folders(members))
    if wanted is None:
        require_filled(source.settings.source, members, folders, splits=splits)
    labelled, rejected = _by_folder(members, wanted, splits)
    missing = sorted((wanted or set()) - {each.label for each in labelled})
    if missing:
        raise UserError(f"{source.name} has no folder {', '.join(missing)}", "correct `classes` of its card")
    return labelled, rejected


def gather(
    source: Source,
    labelled: Sequence[Labelled],
    rejected: Sequence[Rejected],
    split_fixes: Mapping[str, str],
    *,
    listed_files: bool = True,
) -> RawImages:
    """Decode labelled files; those that cannot be read are set aside.

    Args:
        split_fixes: as in `Raw`.
        listed_files: whether each was named as an image. Where they only lie there, files of other kinds are no fault.

    Raises:
        UserError: if there are fewer than two classes.
    """
    kind = target_kind(source.settings) if listed_files else None
    classes = sorted({each.label for each in labelled})
    if kind is None and len(classes) < _FEWEST_CLASSES:
        found = f"one class, {classes[0]!r}" if classes else "no class"
        raise UserError(
            f"{source.settings.source} has {found}; a classifier needs two",
            "lay the images out as CLASS/IMAGE, one folder a class, and name the folder above them in data.source"
            + _above(source, labelled),
        )
    decoded = decode_images(source, [each.member for each in labelled])
    if kind is None:
        reasons = _with_single_ones(labelled, decoded.reasons)
        values: list[Any] = []
    else:
        values, wrong = parse_cells(kind, [each.label for each in labelled])
        reasons = [first or second for first, second in zip(decoded.reasons, wrong, strict=True)]
    usable = [row for row, why in enumerate(reasons) if why is None]
    other = {row for row, why in enumerate(reasons) if not listed_files and is_other(labelled[row].member.name, why)}
    unusable = [
        Rejected(labelled[row].member.name, why, other=row in other)
        for row, why in enumerate(reasons)
        if why is not None
    ]
    kept = [labelled[row] for row in usable]
    if kind is None:
        names = _class_names(source, labelled, reasons, other)
        index = {name: number for number, name in enumerate(names)}
        targets: Array = np.array([index[each.label] for each in kept], dtype=np.int64)
    else:
        targets, names = kind.gather([values[row] for row in usable])
    given = None
    if any(each.split for each in labelled):
        given = [each.split or "" for each in kept]
    return RawImages(
        ids=[each.member.name for each in kept],
        origins=[each.member.name for each in kept],
        hashes=sample_hashes(decoded.pixels, usable),
        targets=targets,
        classes=names,
        target_kind=source.settings.target_kind if kind else "class",
        given=given,
        groups=_groups(kept),
        times=read_times([each.time for each in kept], "the column `time`"),
        split_fixes=split_fixes,
        set_aside=(*rejected, *unusable),
        parts=[decoded.pixels],
        rows=np.array(usable, dtype=np.int64),
        resize=source.settings.image.resize,
        value_range=source.settings.image.value_range,
    )


def decode_images(source: Source, members: Sequence[Member]) -> Decoded:
    """Decode the images of a source.

    Raises:
        UserError: if they are of another orientation, depth or range than the settings say.
    """
    decoded = decode(members, source.settings.image, source.scratch, images=source.images)
    _require_orientation(source, decoded)
    _require_depth(source, decoded)
    _require_range(source, decoded)
    return decoded


def _class_names(
    source: Source, labelled: Sequence[Labelled], reasons: Sequence[str | None], other: Collection[int]
) -> tuple[str, ...]:
    # A folder of other files alone is no class.
    classes = {each.label for row, each in enumerate(labelled) if row not in other}
    # A name that one image has is no class; one of which no image can be used stays, and is told.
    single = {labelled[row].label for row, why in enumerate(reasons) if why and why.startswith(_SINGLE)}
    names = tuple(sorted(classes - single))
    if None in reasons and len(names) < _FEWEST_CLASSES:
        raise UserError(
            f"{source.settings.source} has one class of more than one image, {names[0]!r}; a classifier needs two",
            f"add images to {', '.join(sorted(single)[:5])}",
        )
    return names


def _above(source: Source, labelled: Sequence[Labelled]) -> str:
    """What else to do where the classes may lie one folder deeper."""
    seconds = {parts[1] for each in labelled if len(parts := each.member.name.split("/")) > 2}
    if len(seconds) < _FEWEST_CLASSES or source.path is None:
        return ""
    top = labelled[0].member.name.partition("/")[0]
    if source.path.is_dir():
        return f"; if {listed(sorted(seconds), 3)} are the classes: {source.settings.source}/{top}"
    return (
        f"; if {listed(sorted(seconds), 3)} are the classes, pack them without the folder {top}, or unpack the archive"
    )


def is_other(name: str, why: str | None) -> bool:
    """Whether a file was never meant as an image: it has another ending, and cannot be read as one."""
    return why is not None and bool(PurePosixPath(name).suffix) and not has_image_ending(name)


def _require_range(source: Source, found: Decoded) -> None:
    """Refuse images without a range of their own, and those of 16 bits that leave most of theirs unused, as images of
    10, 12 and 14 bits do.

    Raises:
        UserError: with the range that they seem to have.
    """
    if len(found.unranged) > source.settings.max_rejected_fraction * len(found.reasons):
        low, high = min(low for low, _ in found.unranged), max(high for _, high in found.unranged)
        raise UserError(
            f"{source.settings.source}: {len(found.unranged):,} images have signed, 32-bit or floating-point values, "
            f"from {low:g} to {high:g}: which become black and white, no file says",
            f"set data.image.value_range to the range that such images can have, for example [{low:g}, {high:g}]",
        )
    largest, image = found.largest, source.settings.image
    if largest is None or largest > _DEEPEST[-1] or image.value_range is not None or image.bits > 8:
        return
    top = next(each for each in _DEEPEST if largest <= each)
    raise UserError(
        f"{source.settings.source}: the values of the 16-bit images end at {largest:,} of 65,535: as 8 bits they would "
        "be nearly black",
        f"set data.image.value_range: [0, {top}], or [0, 65535] to have them so, or data.image.bits: 16",
    )


def _require_depth(source: Source, found: Decoded) -> None:
    """Refuse images of 8 bits where 16 are stored.

    Raises:
        UserError: with how many there are.
    """
    if found.shallow > source.settings.max_rejected_fraction * len(found.reasons):
        every = found.shallow == len(found.reasons)
        raise UserError(
            f"{source.settings.source}: {found.shallow:,} of {len(found.reasons):,} images have 8 bits, and "
            "data.image.bits is 16",
            "set data.image.bits: 8" + ("" if every else "; or make a data set of the images of each depth"),
        )


def _require_orientation(source: Source, found: Decoded) -> None:
    """Refuse a resolution that was written as [width, height]. To cut the middle is taken for a decision.

    Raises:
        UserError: with the one that was meant.
    """
    image = source.settings.image
    if found.transposed and image.resize != "crop":
        width, height = found.transposed
        raise UserError(
            f"data.image.resolution is [{image.height}, {image.width}], which is [height, width], and all images of "
            f"{source.settings.source} are {'wider than high' if width > height else 'higher than wide'}, as {width}x"
            f"{height} (width x height)",
            f"set data.image.resolution: [{image.width}, {image.height}]; or data.image.resize: crop, for their middle",
        )


def _with_single_ones(labelled: Sequence[Labelled], reasons: Sequence[str | None]) -> list[str | None]:
    """The reasons, with one for each image that is the only usable one of its class: of such a class nothing can be
    learnt and judged both, and mostly it is a name that was mistyped."""
    counts = Counter(each.label for each, why in zip(labelled, reasons, strict=True) if why is None)
    several = [label for label, n in counts.items() if n > 1]

    def of(each: Labelled, why: str | None) -> str | None:
        if why is not None or counts[each.label] > 1:
            return why
        near = nearest(each.label, several)
        return f"{_SINGLE} {each.label[:60]!r}" + (f"; was {near!r} meant?" if near else "")

    return [of(each, why) for each, why in zip(labelled, reasons, strict=True)]


def _groups(kept: Sequence[Labelled]) -> list[str] | None:
    """The groups, where every image has one."""
    groups = [each.group for each in kept if each.group]
    return groups if groups and len(groups) == len(kept) else None


def _by_folder(
    members: Sequence[Member], wanted: set[str] | None, splits: bool
) -> tuple[list[Labelled], list[Rejected]]:
    labelled: list[Labelled] = []
    rejected: list[Rejected] = []
    for member in members:
        parts = member.name.split("/")
        if len(parts) < 2 + splits:
            rejected.append(
                Rejected(member.name, "it lies in no class folder", other=not has_image_ending(member.name))
            )
        elif wanted is None or parts[0] in wanted:
            labelled.append(Labelled(member, class_name(parts[splits]), split_of(parts[0]) if splits else None))
    return labelled, rejected
