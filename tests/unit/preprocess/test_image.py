"""Pixels of either depth as a model sees them."""

from __future__ import annotations

import pytest
import torch

from samebits.preprocess.image import build
from samebits.signature.image import ImageInputs


@pytest.mark.parametrize(("bits", "kind"), [(8, torch.uint8), (16, torch.int32)])
def test_pixels_are_scaled_by_the_largest(bits: int, kind: torch.dtype) -> None:
    largest = (1 << bits) - 1
    inputs = ImageInputs.model_validate(
        {"shape": [2, 1, 3], "bits": bits, "mean": [0.5, 0.25], "std": [0.25, 0.0]}  # a constant channel
    )
    assert inputs.largest_pixel == largest
    assert inputs.fill == (round(largest / 2), round(largest / 4))
    pixels = torch.tensor([0, largest // 5, largest]).to(kind).expand(1, 2, 1, 3)
    found = build(inputs)(pixels)
    assert found.dtype == torch.float32
    assert found[0, 0, 0].tolist() == pytest.approx([-2.0, -1.2, 2.0], abs=1e-6)
    assert found[0, 1, 0].tolist() == pytest.approx([-0.25, -0.05, 0.75], abs=1e-6)


def test_8_bits_are_not_written_down() -> None:
    """Data and models of 8 bits have the digests that they had."""
    described = ImageInputs(shape=[1, 2, 2], mean=[0.5], std=[0.2]).model_dump()
    assert list(described) == ["kind", "shape", "mean", "std", "resize"]
