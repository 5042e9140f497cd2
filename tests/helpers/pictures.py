"""Pictures made here, and the stage `prepare` on folders of them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from samebits.base.paths import Project
from samebits.data.preparation.prepare import prepare
from samebits.params.data import DataParams
from samebits.params.runtime import RuntimeParams

SIDE = 8


def picture(seed: int, size: tuple[int, int] = (12, 12), mode: str = "RGB") -> Image.Image:
    """A picture of its own for each seed: blocks of colour."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def values(seed: int, channels: int, size: tuple[int, int] = (12, 16), top: int = 255) -> npt.NDArray[Any]:
    """Values of their own for each seed, from 0 to `top`, [H, W, C] of (H, W) = `size`; uint8 or uint16."""
    random = np.random.default_rng(seed)
    kind = np.uint8 if top <= 255 else np.uint16
    return random.integers(0, top + 1, (*size, channels)).astype(kind)


def saved(array: npt.NDArray[Any]) -> bytes:
    """An array as the bytes of a .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def run(home: Path, said: list[str] | None = None, /, **settings: Any) -> Path:
    """Run the stage on `data/raw/pets` of a project, whose lines are added to `said`; returns `data/prepared`."""
    image = {"resolution": SIDE, "smallest": 4} | settings.pop("image", {})
    given = {"source": "data/raw/pets", "format": "image_folder", "validation_fraction": 0.2, "test_fraction": 0.2}
    context = SimpleNamespace(
        project=Project(home, home), runtime=RuntimeParams(), say=(said if said is not None else []).append
    )
    prepare(DataParams.model_validate(given | {"image": image} | settings), context=context)  # type: ignore[arg-type]
    return home / "data/prepared"


def rejected(folder: Path) -> dict[str, str]:
    """Reasons by the names of what was set aside."""
    with (folder / "set_aside.csv").open(newline="") as file:
        return {row["id"]: row["reason"] for row in csv.DictReader(file)}
