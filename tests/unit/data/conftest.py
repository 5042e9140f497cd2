"""Small IDX data sets made here, and the prepared folder that comes of them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from samebits.base.paths import Project
from samebits.data.fetching.catalog import Card
from samebits.data.preparation.prepare import prepare
from samebits.params.data import DataParams
from samebits.params.runtime import RuntimeParams

torch.set_num_threads(1)

ROLES = {
    "train/images": "tr-images",
    "train/labels": "tr-labels",
    "test/images": "te-images",
    "test/labels": "te-labels",
}


def idx_bytes(array: npt.NDArray[np.uint8]) -> bytes:
    """An array of bytes as an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@dataclass
class Source:
    """An MNIST-like set: 28 is 6 x 5 here, so that height and width cannot be confused."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.uint8]

    def contents(self) -> dict[str, bytes]:
        """Bytes of the four files, by name."""
        arrays = (self.images, self.labels, self.test_images, self.test_labels)
        return {name: idx_bytes(array) for name, array in zip(ROLES.values(), arrays, strict=True)}


def make_source(n: int = 300, tests: int = 40, classes: int = 3, seed: int = 0) -> Source:
    """Random images; every class occurs in both splits."""
    random = np.random.default_rng(seed)
    return Source(
        random.integers(0, 256, (n, 6, 5), dtype=np.uint8),
        (np.arange(n) % classes).astype(np.uint8),
        random.integers(0, 256, (tests, 6, 5), dtype=np.uint8),
        (np.arange(tests) % classes).astype(np.uint8),
    )


def card_dict(contents: dict[str, bytes], places: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A card of these four files."""
    roles = {name: role for role, name in ROLES.items()}
    return {
        "name": "tiny",
        "title": "Tiny",
        "licence": "CC0-1.0",
        "homepage": "https://example.org/",
        "format": "idx",
        "classes": ["a", "b", "c"],
        "files": [
            {"name": name, "role": roles[name], "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in contents.items()
        ],
        "places": places or [{"kind": "folder", "path": "/nowhere"}],
    }


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's cache."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("SAMEBITS_CACHE", str(cache))
    monkeypatch.delenv("SAMEBITS_DATA", raising=False)
    return cache / "data"


@pytest.fixture
def run_prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Runs the stage on a source in a workspace of its own; returns its `data/prepared`."""

    def run(raw: Source, /, workspace: str = "workspace", *, card: dict[str, Any] | None = None, **data: Any) -> Path:
        root = tmp_path / workspace
        (root / "data/catalog").mkdir(parents=True, exist_ok=True)
        folder = tmp_path / f"{workspace}-files"
        folder.mkdir(exist_ok=True)
        contents = raw.contents()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        card = card or card_dict(contents)
        Card.model_validate(card)
        # JSON is YAML.
        (root / "data/catalog/tiny.yaml").write_text(str(card).replace("'", '"'), encoding="utf-8")
        monkeypatch.setenv("SAMEBITS_DATA", str(folder))
        context = SimpleNamespace(
            project=Project(workspace=root, home=root), runtime=RuntimeParams(progress="off"), say=said.append
        )
        params = {"source": "tiny", "validation_fraction": 0.2, "shard_mib": 30 * 30 / 2**20, **data}
        prepare(DataParams(**params), context=context)  # type: ignore[arg-type]
        return root / "data/prepared"

    said: list[str] = []
    run.said = said  # type: ignore[attr-defined]
    return run


@pytest.fixture
def prepared(run_prepare: Callable[..., Path]) -> Path:
    """A prepared folder: 300 training images of 6 x 5 (a fifth held out) in several shards, 40 test images."""
    return run_prepare(make_source())
