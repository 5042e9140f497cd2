"""Files in CIFAR's binary layout, made here."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from samebits.data.fetching.catalog import Card, load_card
from samebits.data.readers.reader import Source
from samebits.params.data import DataParams
from tests.helpers.workspace import ROOT

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
    card = card or load_card(ROOT / "data" / "catalog", f"cifar{classes}")
    return Source(card.name, DataParams(), card, {card.files[0].name: archive}, None, tmp_path, print)
