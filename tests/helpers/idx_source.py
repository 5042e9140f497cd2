"""Small IDX data sets made here."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

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
