"""The IDX reader on good files and on broken ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.data.fetching.catalog import Card
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.reader import Raw, read_source
from samebits.data.readers.sample_hashes import sample_hashes
from tests.helpers.idx_source import card_dict, idx_bytes, make_source
from tests.helpers.workspace import card_source

Contents = dict[str, bytes]


def read(contents: Contents, folder: Path) -> Raw:
    """Read files whose hashes the card has right, as after `fetch`."""
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    card = Card.model_validate(card_dict({name: data or b"-" for name, data in contents.items()}))
    return read_source("idx", card_source(card, {name: folder / name for name in contents}))


def test_arrays_and_names(tmp_path: Path) -> None:
    source = make_source(30, 12)
    raw = read(source.contents(), tmp_path)
    assert isinstance(raw, RawImages)
    pixels = raw.read(np.array([41, 0, 29, 30]))
    expected = [source.test_images[11], source.images[0], source.images[29], source.test_images[0]]
    assert np.array_equal(pixels[:, 0], np.stack(expected))
    assert raw.targets is not None
    assert raw.targets.tolist() == [*source.labels, *source.test_labels]
    assert (pixels.dtype, raw.targets.dtype) == (np.uint8, np.int64)
    assert (raw.ids[29], raw.origins[29]) == ("train/000029", "tr-images#29")
    assert (raw.ids[33], raw.origins[33]) == ("test/000003", "te-images#3")
    assert raw.given == ["train"] * 30 + ["test"] * 12
    assert np.array_equal(raw.hashes[:30], sample_hashes(source.images))


def change(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Contents], Contents]:
    return lambda contents: contents | {name: edit(contents[name])}


def other(name: str, shape: tuple[int, ...], value: int = 0) -> Callable[[Contents], Contents]:
    return lambda contents: contents | {name: idx_bytes(np.full(shape, value, dtype=np.uint8))}


BROKEN: dict[str, tuple[Callable[[Contents], Contents], str]] = {
    "empty file": (change("tr-images", lambda b: b""), "tr-images: begins with nothing"),
    "wrong magic": (change("tr-images", lambda b: b"\x1f\x8b\x08\x00" + b[4:]), "tr-images: begins with 1f 8b 08 00"),
    "float values": (change("te-images", lambda b: b"\0\0\x0d\3" + b[4:]), "te-images: begins with 00 00 0d 03"),
    "labels for images": (lambda c: c | {"tr-images": c["tr-labels"]}, "begins with 00 00 08 01"),
    "ends in its header": (change("te-labels", lambda b: b[:6]), "te-labels: ends inside its header, after 6 bytes"),
    "truncated images": (change("tr-images", lambda b: b[:-1]), "tr-images: truncated, 915 bytes .* says 916"),
    "truncated labels": (change("te-labels", lambda b: b[:-3]), "te-labels: truncated"),
    "bytes behind the end": (change("tr-labels", lambda b: b + b"x"), "tr-labels: too long"),
    "header of 2**96 pixels": (change("tr-images", lambda b: b[:4] + b"\xff" * 12 + b[16:]), "truncated"),
    "no samples": (other("te-images", (0, 6, 5)), "te-images: holds nothing"),
    "counts differ": (other("tr-labels", (29,)), "tr-images holds 30 images, tr-labels 29 labels"),
    "label out of range": (other("te-labels", (12,), 3), r"te-labels: label 3 at index 0 .* \(12 such labels\)"),
    "a web page": (change("tr-images", lambda b: b"<!DOCTYPE html>"), "tr-images: begins with 3c 21 44 4f"),
    "images for labels": (lambda c: c | {"te-labels": c["te-images"]}, "te-labels: begins with 00 00 08 03"),
    "zeros": (change("te-labels", lambda b: bytes(len(b))), "te-labels: begins with 00 00 00 00"),
    "the header alone": (change("tr-images", lambda b: b[:16]), "tr-images: truncated, 16 bytes .* says 916"),
    "images of no pixels": (other("tr-images", (30, 0, 5)), "tr-images: holds nothing, its shape is 30 x 0 x 5"),
    "no labels": (other("tr-labels", (0,)), "tr-labels: holds nothing"),
    "sizes differ": (other("te-images", (12, 6, 6)), r"training images are \(6, 5\), test images \(6, 6\)"),
}


@pytest.mark.parametrize("case", list(BROKEN))
def test_broken_files_are_named(case: str, tmp_path: Path) -> None:
    breaking, message = BROKEN[case]
    with pytest.raises(UserError, match=message) as caught:
        read(breaking(make_source(30, 12).contents()), tmp_path)
    assert caught.value.fix


def test_one_wrong_label_is_found_at_its_place(tmp_path: Path) -> None:
    source = make_source(30, 12)
    source.labels[17] = 200
    with pytest.raises(UserError, match="label 200 at index 17 is none of the 3 classes\n"):
        read(source.contents(), tmp_path)
