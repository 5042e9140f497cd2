"""CIFAR's binary layout, on files made here in it."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from samebits.base.errors import UserError
from samebits.data.fetching.catalog import Card, load_card
from samebits.data.readers.image.cifar import read
from samebits.data.readers.reader import Source
from samebits.params.data import DataParams

CATALOG = Path(__file__).parents[5] / "data" / "catalog"
Records = npt.NDArray[np.uint8]


def records(classes: int, count: int, seed: int) -> Records:
    """Records as the archives hold them: label bytes, then planes of red, green and blue."""
    random = np.random.default_rng(seed)
    labels = 1 if classes == 10 else 2
    made = random.integers(0, 256, (count, labels + 3072), dtype=np.uint8)
    made[:, 0] = np.arange(count) % 20
    made[:, labels - 1] = np.arange(count) % classes
    return made


def contents(classes: int) -> dict[str, bytes]:
    if classes == 10:
        names = [f"cifar-10-batches-bin/data_batch_{k}.bin" for k in range(1, 6)]
        names.append("cifar-10-batches-bin/test_batch.bin")
    else:
        names = ["cifar-100-binary/train.bin", "cifar-100-binary/test.bin"]
    made = {name: records(classes, 200, k).tobytes() for k, name in enumerate(names)}
    return made | {f"{names[0].partition('/')[0]}/readme.html": b"<html>"}


def source(tmp_path: Path, classes: int, files: dict[str, bytes], card: Card | None = None) -> Source:
    archive = tmp_path / "archive"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    card = card or load_card(CATALOG, f"cifar{classes}")
    return Source(card.name, DataParams(), card, {card.files[0].name: archive}, None, tmp_path, print)


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
    card = load_card(CATALOG, "cifar10").model_copy(update={"classes": ["a", "b"]})
    with pytest.raises(UserError, match="names 2 classes"):
        read(source(tmp_path, 10, contents(10), card))
