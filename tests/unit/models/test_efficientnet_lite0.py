"""EfficientNet-Lite0: its published shape, padding and scale of pixels, weights under foreign names, mirroring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from samebits.data.fetching.catalog import load_card
from samebits.data.fetching.fetch import fetch
from samebits.models import build_model, efficientnet_lite0, resnet9
from samebits.params.transfer import TransferParams
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature
from samebits.training.pretrained.find import is_torchs_own
from samebits.training.pretrained.load import load_pretrained, read_weights
from tests.helpers.signatures import images

CATALOG = Path(__file__).parents[3] / "data" / "catalog"
LITE0 = efficientnet_lite0.Settings(name="efficientnet_lite0")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def built(classes: int = 3, shape: tuple[int, ...] = (3, 32, 32), **settings: Any) -> Any:
    return build_model(LITE0.model_copy(update=settings), images(shape, classes))


def foreign(model: nn.Module) -> dict[str, Tensor]:
    """A state dict under the names of the published file, some of them written out to be sure."""
    parts = {
        "expand.conv": "_expand_conv", "expand.norm": "_bn0", "depthwise.conv": "_depthwise_conv",
        "depthwise.norm": "_bn1", "project.conv": "_project_conv", "project.norm": "_bn2",
    }  # fmt: skip
    ends = {"stem.conv": "_conv_stem", "stem.norm": "_bn0", "top.conv": "_conv_head", "top.norm": "_bn1", "head": "_fc"}
    found = {}
    for name, value in model.state_dict().items():
        layer, _, kind = name.rpartition(".")
        if layer.startswith("blocks."):
            _, number, part = layer.split(".", 2)
            found[f"_blocks.{number}.{parts[part]}.{kind}"] = value
        else:
            found[f"{ends[layer]}.{kind}"] = value
    return found


def test_it_has_the_published_size() -> None:
    model = built(1000)
    assert sum(each.numel() for each in model.parameters()) == 4_652_008
    assert len(model.state_dict()) == 296
    assert len(model.blocks) == 16


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 2), ("small", 4)])
def test_the_stem_says_what_is_left_of_the_pixels(stem: str, side: int) -> None:
    seen: list[torch.Size] = []
    model = built(shape=(3, 64, 64), stem=stem).eval()
    model.top.register_forward_hook(lambda _, inputs, output: seen.append(output.shape))
    model(torch.randn(1, 3, 64, 64))
    assert seen == [(1, 1280, side, side)]
    assert model.top.size == (side, side)


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (5, 12)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_zeros_go_where_tensorflow_has_them(size: tuple[int, int], kernel: int, stride: int) -> None:
    layer = efficientnet_lite0.Convolution(2, 2, size, kernel=kernel, stride=stride, groups=2, linear=True).eval()
    x = torch.randn(1, 2, *size)
    # SAME: ceil(side / stride) outputs; of the zeros that this takes, the odd one stands last.
    zeros = [max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in size]
    (top, bottom), (left, right) = ((each // 2, each - each // 2) for each in zeros)
    padded = functional.pad(x, (left, right, top, bottom))
    wanted = layer.norm(functional.conv2d(padded, layer.conv.weight, stride=stride, groups=2))
    torch.testing.assert_close(layer(x), wanted)
    assert layer(x).shape[2:] == layer.size


def test_pixels_arrive_as_the_published_net_has_them() -> None:
    mean, std = [0.8, 0.5, 0.0], [0.3, 0.1, 0.0]
    signature = Signature(
        inputs=ImageInputs(shape=[3, 32, 32], mean=mean, std=std), target=ClassTarget(classes=["a", "b"])
    )
    model: Any = build_model(LITE0, signature)
    pixels = torch.tensor([0.0, 127.0, 255.0])
    for channel, (middle, spread) in enumerate(zip(mean, std, strict=True)):
        normalised = torch.zeros(1, 3, 1, 3)
        normalised[0, channel, 0] = (pixels / 255 - middle) / (spread or 1.0)
        torch.testing.assert_close(model.pixels(normalised)[0, channel, 0], (pixels - 127) / 128, rtol=0, atol=1e-5)


@pytest.mark.parametrize("names", [foreign, nn.Module.state_dict])
def test_weights_find_their_places(names: Any) -> None:
    source, target = built(7), built(3)
    with torch.no_grad():
        for each in source.parameters():
            each.add_(1.0)
    made = load_pretrained(
        target, TransferParams(weights="x", layer_decay=0.5, head_lr=4.0), efficientnet_lite0, names(source)
    )
    before, after = source.state_dict(), target.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after if not name.startswith("head."))
    assert "not used" not in "".join(made.report)
    assert made.rates["head.weight"] == 4.0
    assert made.rates["top.conv.weight"] == 0.5
    assert made.rates["blocks.15.project.norm.bias"] == 0.25
    assert made.rates["blocks.0.depthwise.conv.weight"] == 0.5**17
    assert made.rates["stem.conv.weight"] == 0.5**18


@pytest.mark.parametrize(
    "settings",
    [LITE0, resnet9.Settings(name="resnet9", widths=[4, 8, 8, 16])],
    ids=lambda each: each.name,
)
def test_mirrored_is_the_mean_of_both_and_not_in_training(settings: Any) -> None:
    torch.manual_seed(0)
    plain: Any = build_model(settings, images((3, 32, 24), 5)).eval()
    mirrored: Any = build_model(settings.model_copy(update={"mirror": True}), images((3, 32, 24), 5)).eval()
    mirrored.load_state_dict(plain.state_dict())
    x = torch.randn(4, 3, 32, 24)
    both = torch.stack([plain(x), plain(x.flip(3))])
    assert (both[0] - both[1]).abs().max() > 1e-3 * both.abs().max()
    torch.testing.assert_close(mirrored(x), both.mean(0))
    for model in (plain, mirrored):
        model.train().dropout.p = 0.0
    mirrored.load_state_dict(plain.state_dict())
    torch.testing.assert_close(mirrored(x), plain(x))


def test_the_cards_file_is_torchs_own() -> None:
    for name, expected in (("efficientnet_lite0", True), ("minilm", False), ("imagenet", True)):
        assert is_torchs_own(TransferParams(weights=name), CATALOG) == expected
    for name in ("data/raw/net.safetensors", "data/raw/minilm"):
        assert not is_torchs_own(TransferParams(weights=name), CATALOG)
    assert not is_torchs_own(TransferParams(weights="acme/tiny", revision="0" * 40), CATALOG)


@pytest.mark.slow
def test_the_published_weights_are_used_whole() -> None:
    card = load_card(CATALOG, "efficientnet_lite0")
    weights = read_weights(fetch(card, progress="off")[card.file("model").name], torchs_own=True)
    model = built(1000, (3, 64, 64), stem="small").eval()
    made = load_pretrained(model, TransferParams(weights=card.name), efficientnet_lite0, weights)
    assert made.report == ("transfer: 296 of 296 tensors (100.0% of the values) are from efficientnet_lite0",)
    # Flat grey is no thing: the net must not be sure, but it has an answer, and it is finite.
    logits = model(torch.zeros(1, 3, 64, 64))
    assert torch.isfinite(logits).all()
    assert logits.softmax(1).max() < 0.5
