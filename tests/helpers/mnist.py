"""A cut of MNIST: its first 3,000 training and 500 test images, prepared, or as files with a card of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from samebits.base.files import sha256_file
from samebits.data.fetching.catalog import Card
from samebits.data.preparation.prepare import split_and_encode
from samebits.data.preparation.shards import write_prepared
from samebits.data.readers.image.idx import read
from samebits.data.readers.image.images import RawImages
from samebits.params.data import DataParams
from tests.helpers.idx_source import idx_bytes
from tests.helpers.workspace import about, card_source


def write_cut(folder: Path, card: Card, files: Mapping[str, Path]) -> None:
    """The cut in `folder`: `files/` with MNIST's four names, `mnist.yaml`, their card, `prepared/`, and `few/`.

    The last is prepared, too: of the first 600 training and 64 test images.
    """
    raw = read(card_source(card, files))
    keep = np.r_[0:3000, 60_000:60_500]
    images, targets = raw.read(keep), raw.targets[keep]
    (folder / "files").mkdir(parents=True)
    split = {"train": slice(0, 3000), "test": slice(3000, None)}
    described = []
    for file in card.files:
        which, _, what = file.role.partition("/")
        part = images[split[which], 0] if what == "images" else targets[split[which]].astype(np.uint8)
        path = folder / "files" / file.name
        path.write_bytes(idx_bytes(part))
        described.append(
            {"name": file.name, "role": file.role, "sha256": sha256_file(path), "bytes": path.stat().st_size}
        )
    made = card.model_dump(include={"name", "title", "licence", "homepage", "format", "classes"}) | {
        "files": described,
        "places": [{"kind": "folder", "path": str(folder / "files")}],
    }
    with (folder / "mnist.yaml").open("w") as stream:
        YAML().dump({key: list(value) if isinstance(value, tuple) else value for key, value in made.items()}, stream)
    for name, rows in {"prepared": slice(None), "few": np.r_[0:600, 3000:3064]}.items():
        picked, part = keep[rows], images[rows]
        cut = RawImages(
            ids=[raw.ids[row] for row in picked],
            origins=[raw.origins[row] for row in picked],
            hashes=raw.hashes[picked],
            targets=targets[rows],
            classes=raw.classes,
            given=[raw.given[row] for row in picked],
            parts=[part],
        )
        encoded = split_and_encode(cut, DataParams(validation_fraction=0.1))
        write_prepared(folder / name, about(card), encoded, shard_mib=0.5)
