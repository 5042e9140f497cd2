"""Images of any depth and number of channels as a person sees them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samebits.evaluation.report import figures
from samebits.evaluation.sample_image import image_png
from samebits.signature.image import displayed


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3), (4, 3), (16, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_image_has_a_picture(channels: int, shown: int, kind: Any) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, 6, 9)).astype(kind)
    found = displayed(image)
    assert found.dtype == np.uint8
    assert found.shape == (shown, 6, 9)
    if kind is np.uint8:
        assert np.array_equal(found, image[:shown])
    picture = Image.open(io.BytesIO(image_png(image)))
    assert (picture.size, picture.mode) == ((9, 6), "L" if shown == 1 else "RGB")
    assert Image.open(io.BytesIO(image_png(image, longest=3))).size == (3, 2)
    assert figures.mistakes_figure([image], ["one"])[:4] == b"\x89PNG"


def test_16_bits_are_stretched_to_what_the_image_uses() -> None:
    image = np.array([[[1000, 1500, 3000]]], dtype=np.uint16)
    assert displayed(image)[0, 0].tolist() == [0, 63, 255]
    assert not displayed(np.full((1, 4, 4), 9, dtype=np.uint16)).any()
