"""Brightness, contrast and saturation against torchvision's, and what each leaves alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]

from samebits.data.loading.color_jitter import color_jitter

RANDOM = np.random.Generator(np.random.Philox(3))


def pictures(channels: int = 3) -> npt.NDArray[np.uint8]:
    return RANDOM.integers(0, 256, (6, channels, 12, 9), dtype=np.uint8)


def factors(
    brightness: float = 1.0, contrast: float = 1.0, saturation: float = 1.0, count: int = 6
) -> npt.NDArray[np.float64]:
    return np.tile([brightness, contrast, saturation], (count, 1))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_ones_change_nothing(channels: int) -> None:
    x = pictures(channels)
    assert np.array_equal(color_jitter(x, factors()), x)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.0, 0.4, 0.9, 1.3, 2.0])
def test_each_agrees_with_torchvision(name: str, factor: float) -> None:
    x = pictures()
    expected = getattr(functional, f"adjust_{name}")(torch.from_numpy(x).float() / 255, factor).numpy() * 255
    got = color_jitter(x, factors(**{name: factor}))
    # The grey and the factor are rounded to whole levels and 1/256.
    assert np.abs(got - expected).max() <= 2.5


def test_each_image_has_its_own_factors() -> None:
    x = pictures()
    mixed = factors()
    mixed[2] = 0.0, 1.0, 1.0
    mixed[4] = 1.5, 0.5, 0.7
    got = color_jitter(x, mixed)
    assert got[2].sum() == 0
    assert np.array_equal(got[[0, 1, 3, 5]], x[[0, 1, 3, 5]])
    assert np.array_equal(got[4:5], color_jitter(x[4:5], mixed[4:5]))


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_16_bits_are_changed_as_8_are(name: str, channels: int) -> None:
    x = pictures(channels)
    for factor in (0.4, 1.7):
        shallow = color_jitter(x, factors(**{name: factor}))
        deep = color_jitter(x.astype(np.uint16) * 257, factors(**{name: factor}))
        assert deep.dtype == np.uint16
        assert np.abs(deep / 257 - shallow).max() < 2


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_images_of_other_than_three_channels_have_no_saturation(channels: int) -> None:
    x = pictures(channels)
    assert np.array_equal(color_jitter(x, factors(saturation=0.0)), x)


def test_grey_images_have_no_saturation() -> None:
    x = pictures(1)
    assert np.array_equal(color_jitter(x, factors(saturation=0.0)), x)
    grey = np.repeat(x, 3, axis=1)
    assert np.array_equal(color_jitter(grey, factors(saturation=1.9)), grey)
