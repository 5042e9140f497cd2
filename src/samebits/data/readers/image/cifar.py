"""CIFAR-10 and CIFAR-100 in their binary layout, which holds no pickle.

A record is one label byte (CIFAR-10) or a coarse and a fine one (CIFAR-100), then 3072 bytes: red, green and blue
planes of 32 x 32 pixels. Layout as on https://www.cs.toronto.edu/~kriz/cifar.html; the archive is read as it is.
"""

from __future__ import annotations

import numpy as np

from samebits.base.errors import UserError
from samebits.data.fetching.archives import Member, list_members
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.reader import Source
from samebits.data.readers.sample_hashes import sample_hashes

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_LABEL_BYTES = {10: 1, 100: 2}
"""Bytes before the pixels, by number of classes; the last of them is the class."""
_FILES = {
    10: {**{f"data_batch_{number}.bin": "train" for number in range(1, 6)}, "test_batch.bin": "test"},
    100: {"train.bin": "train", "test.bin": "test"},
}
"""The files of each archive, in the order of their images, and the half that each belongs to."""
_FIX = "fetch the archive again: its sha256 stands in the card"


def read(source: Source) -> RawImages:
    """Read the archive of a card, each of its files once.

    Raises:
        UserError: if a file is missing, there twice or cut, or holds a label that is no class.
    """
    card = source.catalogued
    labels_at = _LABEL_BYTES.get(len(card.classes))
    if labels_at is None:
        raise UserError(f"the card {card.name} names {len(card.classes)} classes", "CIFAR has 10 or 100: correct it")
    found: dict[str, Member] = {}
    for member in list_members(source.own, source.scratch):
        name = member.name.rpartition("/")[2]
        if name in _FILES[len(card.classes)] and found.setdefault(name, member) is not member:
            raise UserError(f"{card.name}: the archive holds {found[name].name} and {member.name}", _FIX)
    if missing := [name for name in _FILES[len(card.classes)] if name not in found]:
        raise UserError(f"{card.name}: the archive lacks {', '.join(missing)}", _FIX)
    parts, targets, ids, given = [], [], [], []
    for name, split in _FILES[len(card.classes)].items():
        member = found[name]
        records = _records(member, labels_at)
        labels = np.asarray(records[:, labels_at - 1]).astype(np.int64)
        wrong = np.flatnonzero(labels >= len(card.classes))
        if len(wrong):
            raise UserError(
                f"{member.name}: label {labels[wrong[0]]} of image {wrong[0]} is none of {len(card.classes)} classes",
                _FIX,
            )
        stem = name.removesuffix(".bin")
        parts.append(records[:, labels_at:].reshape(-1, *_SHAPE))
        targets.append(labels)
        ids += [f"{stem}/{row:05d}" for row in range(len(labels))]
        given += [split] * len(labels)
    return RawImages(
        ids=ids,
        origins=ids,
        hashes=np.concatenate([sample_hashes(part) for part in parts]),
        targets=np.concatenate(targets),
        classes=tuple(card.classes),
        given=given,
        parts=parts,
    )


def _records(member: Member, labels: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    record = labels + _PIXELS
    if not member.size or member.size % record:
        raise UserError(f"{member.name}: {member.size:,} bytes are no whole number of records of {record}", _FIX)
    return np.memmap(member.path, np.uint8, "r", member.offset, (member.size // record, record))
