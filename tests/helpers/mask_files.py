"""Made images of discs and squares with their masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from samebits.base.paths import Project
from tests.helpers.in_process import make_workspace

SIDE = 32
CLASSES = ("background", "disc", "square")


def shapes(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A picture of a disc and a square, uint8 [H, W, 3], and its mask, [H, W]; an edge that does not count."""
    random = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), dtype=np.uint8)
    for kind in (1, 2):
        cy, cx, r = random.integers(6, height - 6), random.integers(6, width - 6), random.integers(4, 9)
        near = np.hypot(y - cy, x - cx) < r if kind == 1 else np.maximum(abs(y - cy), abs(x - cx)) < r
        mask[near] = kind
    colours = np.array([[40, 40, 40], [200, 60, 60], [60, 60, 200]])
    image = (colours[mask] + random.integers(0, 30, (height, width, 3))).astype(np.uint8)
    mask[0] = 255
    return image, mask


def write_masks(folder: Path, count: int = 60, named: bool = True) -> None:
    """Images and masks as indices of a palette, below `folder`."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for seed in range(count):
        image, mask = shapes(seed)
        Image.fromarray(image).save(folder / "images" / f"{seed}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{seed}.png")
    if named:
        (folder / "classes.txt").write_text("\n".join(CLASSES))


def cutout(seed: int, kind: str) -> Image.Image:
    """A disc or a square on a transparent background, RGBA."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    cy, cx, r = random.integers(8, SIDE - 8), random.integers(8, SIDE - 8), random.integers(5, 9)
    near = np.hypot(y - cy, x - cx) < r if kind == "disc" else np.maximum(abs(y - cy), abs(x - cx)) < r
    pixels = np.zeros((SIDE, SIDE, 4), dtype=np.uint8)
    pixels[near] = [*random.integers(0, 256, 3), 255]
    return Image.fromarray(pixels)


def write_cutouts(folder: Path, count: int = 30) -> None:
    """Discs and squares with transparent backgrounds, a folder for each."""
    for kind in ("disc", "square"):
        (folder / kind).mkdir(parents=True)
        for seed in range(count):
            cutout(seed, kind).save(folder / kind / f"{seed}.png")


def mask_project(workspace: Path, *, data: dict[str, Any] | None = None, **sections: Any) -> Project:
    """A workspace on `data/raw/shapes` with a small U-Net; sections replace those here, `train` is merged."""
    source = {"source": "data/raw/shapes", "format": "image_masks", "validation_fraction": 0.2, "test_fraction": 0.2}
    source |= {"image": {"resolution": SIDE, "channels": 3}} | (data or {})
    replace = {"task": {"name": "segmentation"}, "model": {"name": "unet", "widths": [8, 16]}, "augment": {}}
    train = {"train": sections.pop("train", {})}
    return make_workspace(workspace, {"data": source, **train}, replace | sections)
