"""Shapes of the convnet, its crop, its dropout, and images that are too small for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from samebits.base.errors import UserError
from samebits.models import build_model
from samebits.models.convnet import ConvNet, Settings, build
from samebits.signature.classes import ClassTarget
from samebits.signature.signature import Signature
from samebits.signature.table import NumberColumn, TableInputs
from tests.helpers.signatures import images


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def settings(**values: object) -> Settings:
    return Settings.model_validate({"name": "convnet", "stages": [[4, 6], [8, 10]]} | values)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 40, 24)])
@pytest.mark.parametrize("crop", [0, 2])
@pytest.mark.parametrize("classes", [2, 10])
def test_images_become_logits(shape: tuple[int, int, int], crop: int, classes: int) -> None:
    model = build(settings(crop=crop), images(shape, classes))
    assert model(torch.zeros(3, *shape)).shape == (3, classes)


@pytest.mark.parametrize("stages", [[[4, 6]], [[4, 6], [8, 10]], [[4, 6], [8, 10], [12, 14]]])
def test_stages_give_their_channels(stages: list[list[int]]) -> None:
    model = build(settings(stages=stages), images((1, 64, 64), 10))
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert [each.out_channels for each in convolutions] == [width for stage in stages for width in stage]
    assert model(torch.zeros(2, 1, 64, 64)).shape == (2, 10)


def test_the_crop_hides_the_border_and_nothing_else() -> None:
    model = build(settings(crop=2), images((1, 28, 28), 10)).eval()
    image = torch.rand(1, 1, 28, 28)
    border = image.clone()
    border[:, :, :2] = border[:, :, -2:] = border[..., :2] = border[..., -2:] = 9.0
    assert torch.equal(model(image), model(border))
    inner = image.clone()
    inner[:, :, 2, 2] += 1.0
    assert not torch.equal(model(image), model(inner))


def test_dropout_is_in_training_alone() -> None:
    model = build(settings(dropout=0.5), images((1, 28, 28), 10))
    features = torch.ones(1, 100)
    assert isinstance(model, ConvNet)
    assert (model.train().dropout(features) == 0).any()
    assert torch.equal(model.eval().dropout(features), features)


def test_the_smallest_image_fits_and_one_pixel_less_does_not() -> None:
    # 5x5 of stride 2 on 19 pixels is 8, 3x3 is 6, pooled 3, 3x3 is 1.
    assert build(settings(), images((1, 19, 19), 10))(torch.zeros(2, 1, 19, 19)).shape == (2, 10)
    with pytest.raises(UserError, match="19x18 pixels are too small for 2 stages") as error:
        build(settings(), images((1, 19, 18), 10))
    assert "model.crop" in error.value.fix
    with pytest.raises(UserError, match="too small"):
        build(settings(crop=1), images((1, 20, 20), 10))


def test_a_crop_of_the_whole_image_is_refused() -> None:
    with pytest.raises(UserError, match="too small"):
        build(settings(crop=14), images((1, 28, 28), 10))


def test_initial_weights_follow_the_random_state() -> None:
    def head(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return build_model(settings(), images((1, 28, 28), 10)).state_dict()["head.weight"]

    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_other_data_are_refused() -> None:
    table = TableInputs(columns=[NumberColumn(name="x", mean=0.0, std=1.0, fill=0.0)])
    signature = Signature(inputs=table, target=ClassTarget(classes=["a", "b"]))
    with pytest.raises(UserError, match="takes images, the prepared data are of kind table") as error:
        build(settings(), signature)
    assert "tabular" in error.value.fix
