"""The IDX format of MNIST: a magic number, the dimensions, then the values, all big-endian.

Layout as on https://yann.lecun.com/exdb/mnist/: two zero bytes, a type byte (0x08: unsigned byte), the number
of dimensions, one uint32 a dimension, then the values in C order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.data.fetching.catalog import Card
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.reader import Source
from samebits.data.readers.sample_hashes import sample_hashes

_UNSIGNED_BYTE = 0x08
_FIX = "the file is damaged or of another format: replace it with the one whose sha256 the card names"


@dataclass(frozen=True)
class _Half:
    """The source's own training or test split: uint8 [n, 1, H, W] and int64 [n]."""

    name: str
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    file: str


def read(source: Source) -> RawImages:
    """Read the four files of an MNIST-like set, by their roles train/images, train/labels, test/images, test/labels.

    Raises:
        UserError: wrong magic number, dimensions, counts or length, or a label that is no class.
    """
    card = source.catalogued
    train, test = (_read_half(card, source.files, split) for split in ("train", "test"))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise UserError(
            f"{card.name}: training images are {train.images.shape[2:]}, test images {test.images.shape[2:]}", _FIX
        )
    halves = (train, test)
    return RawImages(
        ids=[f"{half.name}/{i:06d}" for half in halves for i in range(len(half.labels))],
        origins=[f"{half.file}#{i}" for half in halves for i in range(len(half.labels))],
        hashes=np.concatenate([sample_hashes(half.images) for half in halves]),
        targets=np.concatenate([half.labels for half in halves]),
        classes=tuple(card.classes),
        given=[half.name for half in halves for _ in range(len(half.labels))],
        parts=[half.images for half in halves],
    )


def read_array(path: Path, name: str, dimensions: int) -> npt.NDArray[np.uint8]:
    """An IDX file of unsigned bytes, mapped read-only: uint8, with the file's own shape.

    Args:
        name: the file's name for the user; in the cache it is called by its hash.

    Raises:
        UserError: if the file is not exactly such an array of so many dimensions.
    """
    header = 4 + 4 * dimensions
    with path.open("rb") as file:
        head = file.read(header)
    if head[:4] != bytes((0, 0, _UNSIGNED_BYTE, dimensions)):
        raise UserError(
            f"{name}: begins with {head[:4].hex(' ') or 'nothing'}, "
            f"an IDX file of bytes in {dimensions} dimension(s) with 00 00 08 {dimensions:02x}",
            _FIX,
        )
    if len(head) < header:
        raise UserError(f"{name}: ends inside its header, after {len(head)} bytes", _FIX)
    shape = tuple(int.from_bytes(head[at : at + 4], "big") for at in range(4, header, 4))
    expected, found = header + int(np.prod(shape, dtype=object)), path.stat().st_size
    if expected != found:
        state = "truncated" if found < expected else "too long"
        raise UserError(
            f"{name}: {state}, {found} bytes where its header says {expected} ({' x '.join(map(str, shape))})",
            _FIX,
        )
    if 0 in shape:
        raise UserError(f"{name}: holds nothing, its shape is {' x '.join(map(str, shape))}", _FIX)
    return np.memmap(path, dtype=np.uint8, mode="r", offset=header, shape=shape)


def _read_half(card: Card, files: Mapping[str, Path], split: str) -> _Half:
    image_name, label_name = card.file(f"{split}/images").name, card.file(f"{split}/labels").name
    images = read_array(files[image_name], image_name, dimensions=3)[:, None]
    labels = read_array(files[label_name], label_name, dimensions=1).astype(np.int64)
    if len(images) != len(labels):
        raise UserError(f"{image_name} holds {len(images)} images, {label_name} {len(labels)} labels", _FIX)
    wrong = np.flatnonzero(labels >= len(card.classes))
    if len(wrong):
        at = int(wrong[0])
        raise UserError(
            f"{label_name}: label {labels[at]} at index {at} is none of the {len(card.classes)} classes"
            + (f" ({len(wrong)} such labels)" if len(wrong) > 1 else ""),
            f"correct the labels, or the `classes` of data/catalog/{card.name}.yaml",
        )
    return _Half(split, images, labels, image_name)
