"""Predicted masks over images of any depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from samebits.inference.masks import _whole
from tests.helpers.pictures import values


def test_an_image_of_12_bits_in_16_is_no_black_one_below_its_mask(tmp_path: Path) -> None:
    Image.fromarray(values(0, 1, (9, 14), 4095)[:, :, 0]).save(tmp_path / "scan.png")
    preprocessing = {"shape": [1, 8, 8], "mean": [0.03], "bits": 16}
    shown = _whole(tmp_path / "scan.png", (14, 9), preprocessing)
    assert (shown.shape, shown.dtype) == ((1, 9, 14), np.uint8)
    assert (shown.min(), shown.max()) == (0, 255)
