"""Any convolutional net for images becomes the encoder of a U-Net where the data have masks."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.models import build_model
from samebits.models.layers.segmenter import Segmenter, found_stages
from samebits.params.choices import MODELS
from samebits.params.transfer import TransferParams
from samebits.signature.mask import MaskTarget, default_colours
from samebits.signature.signature import Signature
from samebits.training.pretrained.load import load_pretrained
from tests.helpers.backbones import NEEDS_TIMM
from tests.helpers.signatures import images

torch.set_num_threads(1)

CLASSES = ["background", "disc", "square"]


def masks(shape: tuple[int, int, int]) -> Signature:
    target = MaskTarget(classes=CLASSES, shape=list(shape[1:]), colours=default_colours(3))
    return images(shape, 3).model_copy(update={"target": target})


def built(name: str, shape: tuple[int, int, int], classes: bool = False, **settings: Any) -> Any:
    module = import_module(MODELS[name])
    signature = images(shape, 5) if classes else masks(shape)
    return build_model(module.Settings(name=name, **settings), signature)


@pytest.mark.parametrize(
    ("name", "settings", "strides", "shape"),
    [
        ("efficientnet_lite0", {}, 5, (1, 45, 70)),
        ("efficientnet_lite0", {"stem": "small"}, 4, (3, 16, 24)),
        ("resnet9", {"widths": [4, 8, 8, 16]}, 3, (5, 37, 64)),
        ("torchvision", {"architecture": "mobilenet_v3_small"}, 5, (3, 64, 64)),
        ("torchvision", {"architecture": "shufflenet_v2_x0_5"}, 5, (16, 33, 40)),
        pytest.param("timm", {"architecture": "mobilenetv3_small_050"}, 5, (1, 45, 70), marks=NEEDS_TIMM),
    ],
)
def test_an_answer_for_every_pixel(
    name: str, settings: dict[str, Any], strides: int, shape: tuple[int, int, int]
) -> None:
    model = built(name, shape, **settings)
    assert isinstance(model, Segmenter)
    assert model.multiple == 2**strides
    logits = model.train()(torch.randn(2, *shape))
    assert logits.shape == (2, 3, *shape[1:])
    logits.square().mean().backward()
    assert all(each.grad is not None for each in model.parameters())


def test_features_are_those_of_the_net() -> None:
    """A residual block adds in place to what its last layer gave: its layers alone are another function."""
    shape = (3, 64, 64)
    torch.manual_seed(0)
    net: Any = built("torchvision", shape, classes=True, architecture="resnet18").eval()
    torch.manual_seed(0)
    model: Any = built("torchvision", shape, architecture="resnet18").eval()
    x = torch.randn(2, *shape)
    seen: list[Tensor] = []
    net.net.layer4.register_forward_hook(lambda *given: seen.append(given[-1]))
    model.net.layer4[1].register_forward_hook(lambda *given: seen.append(given[-1]))
    model.load_state_dict(net.state_dict(), strict=False)
    net(x)
    model(x)
    assert len(seen) == 2
    assert torch.equal(seen[0], seen[1])


class Adds(nn.Module):
    """Adds in place what went past a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 2, stride=2), nn.Conv2d(3, 3, 1)
        self.act, self.third = nn.ReLU(inplace=True), nn.Conv2d(3, 8, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        y = self.second(x)
        y += x
        return self.third(self.act(y)).mean((2, 3))


def test_layers_that_are_not_the_whole_net_are_not_taken() -> None:
    stages = found_stages(Adds(), torch.randn(2, 3, 8, 8))
    assert [stage.layers for stage in stages] in ([["first", "second"]], [["first"]])


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("mlp", {"hidden": [8]}, "no features at sizes that halve"),
        ("torchvision", {"architecture": "squeezenet1_1"}, "squeezenet1_1 has no features"),
        ("resnet9", {"mirror": True}, "model.mirror is for a class of the whole image"),
        ("torchvision", {"architecture": "resnet18", "input_size": 96}, "model.input_size is for a class"),
    ],
)
def test_nets_that_are_no_encoders_are_told(name: str, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        built(name, (3, 32, 32), **settings)


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("torchvision", "vit_b_32"),
        ("torchvision", "inception_v3"),
        pytest.param("timm", "vit_tiny_patch16_224", marks=NEEDS_TIMM),
    ],
)
def test_a_net_for_images_of_one_size_is_told_what_is_an_encoder(name: str, architecture: str) -> None:
    """The advice for classes, `model.input_size`, is refused with masks."""
    with pytest.raises(UserError, match=f"{name} {architecture} cannot compute .*; data with masks want") as caught:
        built(name, (3, 40, 64), architecture=architecture)
    assert "input_size" not in str(caught.value)
    assert "set model.name: unet, or a convolutional net" in caught.value.fix


NETS = [
    ("torchvision", {"architecture": "mobilenet_v3_small"}, "net.features.0.0.weight", "net.features.0.*"),
    ("efficientnet_lite0", {}, "stem.conv.weight", "stem.*"),
    ("resnet18", {}, "conv1.weight", "conv1.*"),
]


@pytest.mark.parametrize(("name", "settings", "first", "pattern"), NETS)
def test_weights_of_the_net_fill_the_encoder(
    name: str, settings: dict[str, Any], first: str, pattern: str, tmp_path: Path
) -> None:
    shape, module = (3, 64, 64), import_module(MODELS[name])
    file = tmp_path / "net.safetensors"
    save_file(built(name, shape, classes=True, **settings).state_dict(), file)
    model = built(name, (3, 45, 70), **settings)
    transfer = TransferParams(weights="data/raw/net.safetensors", freeze=[pattern], layer_decay=0.5, head_lr=3.0)
    found = load_pretrained(model, transfer, module, load_file(file))
    own = model.state_dict()
    for key, value in load_file(file).items():
        assert key not in own or torch.equal(own[key], value)
    assert torch.equal(own[first], load_file(file)[first])
    assert first not in found.rates
    assert {rate for key, rate in found.rates.items() if key.startswith("decoder.")} == {3.0}
    encoder = [rate for key, rate in found.rates.items() if not key.startswith("decoder.")]
    assert max(encoder) == 0.5
    assert min(encoder) < 0.1
    (missing,) = [line for line in found.report if "not in the file" in line]
    assert missing.count("decoder.") == missing.count(".weight") + missing.count(".bias") + missing.count("running")


def test_weights_of_another_net_are_refused() -> None:
    name, settings = "torchvision", {"architecture": "mobilenet_v3_small"}
    weights = built(name, (3, 32, 32), classes=True, **settings).state_dict()
    broken = {key: value for key, value in weights.items() if ".1.block.0.0" not in key}
    model, module = built(name, (3, 32, 32), **settings), import_module(MODELS[name])
    transfer = TransferParams(weights="data/raw/net.safetensors")
    with pytest.raises(UserError, match=r"not in the file: net\.features\.1\.block\.0\.0"):
        load_pretrained(model, transfer, module, broken)
    other = built(name, (3, 32, 32), classes=True, architecture="shufflenet_v2_x0_5").state_dict()
    with pytest.raises(UserError, match="fits the model: it has"):
        load_pretrained(model, transfer, module, other)
