"""CIFAR's binary layout, on files made here in it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.data.fetching.catalog import load_card
from samebits.data.readers.image.cifar import read
from tests.helpers.cifar_source import contents, records, source
from tests.helpers.workspace import ROOT


@pytest.mark.parametrize("classes", [10, 100])
def test_the_published_layout(classes: int, tmp_path: Path) -> None:
    raw = read(source(tmp_path, classes, contents(classes)))
    splits = 5 if classes == 10 else 1
    assert len(raw) == 200 * (splits + 1)
    assert raw.given == ["train"] * 200 * splits + ["test"] * 200
    assert raw.targets is not None
    assert raw.targets.tolist() == (np.arange(200) % classes).tolist() * (splits + 1)
    last = records(classes, 200, splits)[7, -3072:].reshape(3, 32, 32)
    assert (raw.read(np.array([200 * splits + 7])) == last).all()
    assert len(raw.classes) == classes


def _cut(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data[:-100] for name, data in files.items()}


def _without(part: str) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: {name: data for name, data in files.items() if part not in name}


def _label(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: b"\xc8\xc8" + data[2:] if name.endswith(".bin") else data for name, data in files.items()}


def _first(change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    name = "cifar-10-batches-bin/data_batch_1.bin"
    return lambda files: files | {name: change(files[name])}


BAD: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "cut": (_cut, "no whole number of records"),
    "empty": (lambda files: dict.fromkeys(files, b""), "0 bytes are no whole number"),
    "no test": (_without("test"), "cifar10: the archive lacks test_batch.bin"),
    "no training": (_without("data_batch"), "lacks data_batch_1.bin, data_batch_2.bin, "),
    "a batch less": (_without("data_batch_3"), "cifar10: the archive lacks data_batch_3.bin"),
    "a batch twice": (
        lambda files: files | {"other/data_batch_2.bin": files["cifar-10-batches-bin/data_batch_2.bin"]},
        "holds cifar-10-batches-bin/data_batch_2.bin and other/data_batch_2.bin",
    ),
    "a label too large": (_label, "label 200 of image 0 is none of 10 classes"),
    "a byte less": (_first(lambda data: data[:-1]), r"data_batch_1.bin: 614,599 bytes are no whole number of records"),
    "a byte more": (_first(lambda data: data + b"x"), "data_batch_1.bin: 614,601 bytes are no whole number"),
    "half a record": (_first(lambda data: data[:1500]), "1,500 bytes are no whole number of records of 3073"),
    "an empty batch": (_first(lambda data: b""), "data_batch_1.bin: 0 bytes"),
    "text": (_first(lambda data: b"not found"), "9 bytes are no whole number"),
    "files of the other CIFAR": (lambda files: contents(100), "lacks data_batch_1.bin"),
    "images of the other CIFAR": (
        lambda files: dict.fromkeys(files, contents(100)["cifar-100-binary/train.bin"]),
        "614,800 bytes are no whole number of records of 3073",
    ),
    "one wrong label": (
        _first(lambda data: data[: 17 * 3073] + b"\x0a" + data[17 * 3073 + 1 :]),
        "data_batch_1.bin: label 10 of image 17 is none of 10 classes",
    ),
    "the readme alone": (lambda files: {"cifar-10-batches-bin/readme.html": b"<html>"}, "lacks data_batch_1.bin"),
    "files of other names": (
        lambda files: {name.replace("batch", "part"): data for name, data in files.items()},
        "lacks data_batch_1.bin, ",
    ),
    "nothing": (lambda files: {}, "holds no file|lacks data_batch_1"),
    "the python layout": (lambda files: {"cifar-10-batches-py/data_batch_1": b"\x80\x02}q"}, "lacks data_batch_1.bin"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_broken_archive_is_named(case: str, tmp_path: Path) -> None:
    change, message = BAD[case]
    with pytest.raises(UserError, match=message):
        read(source(tmp_path, 10, change(contents(10))))


def test_half_an_archive(tmp_path: Path) -> None:
    made = source(tmp_path, 10, contents(10))
    path = made.own
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:100_000]))
    with pytest.raises(UserError, match="cannot be unpacked"):
        read(made)


def test_a_card_of_other_classes(tmp_path: Path) -> None:
    card = load_card(ROOT / "data" / "catalog", "cifar10").model_copy(update={"classes": ["a", "b"]})
    with pytest.raises(UserError, match="names 2 classes"):
        read(source(tmp_path, 10, contents(10), card))
