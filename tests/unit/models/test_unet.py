"""The U-Net answers for every pixel of an image of any size."""

from __future__ import annotations

import pytest
import torch

from samebits.models.unet import Settings, UNet


@pytest.mark.parametrize("size", [(16, 16), (13, 30), (5, 3)])
def test_an_answer_for_every_pixel(size: tuple[int, int]) -> None:
    model = UNet(3, 4, Settings(name="unet", widths=[4, 8, 8])).eval()
    assert model(torch.randn(2, 3, *size)).shape == (2, 4, *size)


def test_a_pixel_sees_the_whole_image_and_every_weight_learns() -> None:
    model = UNet(1, 2, Settings(name="unet", widths=[4, 4, 4]))
    images = torch.randn(2, 1, 16, 16, requires_grad=True)
    model(images)[:, :, 8, 8].square().sum().backward()
    assert images.grad is not None
    assert int((images.grad[0, 0] != 0).sum()) > 100
    assert all(each.grad is not None for each in model.parameters())
