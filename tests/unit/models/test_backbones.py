"""torchvision's and timm's models by name: how images are fed, heads, layers, weights, and what can be wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from samebits.base.boundary import as_user_error
from samebits.base.errors import UserError
from samebits.models import build_model, pretraining_notes, settled_settings, timm, torchvision
from samebits.models.layers import backbone
from samebits.params.train import AdamParams
from samebits.params.transfer import TransferParams
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature
from samebits.training.optim.optimizers import build_optimizer
from samebits.training.pretrained.load import load_pretrained
from tests.helpers.backbones import NEEDS_TIMM, VIT, image_settings, vit
from tests.helpers.signatures import images

torch.set_num_threads(1)

SHUFFLE = image_settings("torchvision", "shufflenet_v2_x0_5")
MOBILE = image_settings("torchvision", "mobilenet_v3_small")


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "squeezenet1_1", "googlenet", "regnet_y_400mf", "resnet18"])
@pytest.mark.parametrize("shape", [(1, 48, 64), (3, 64, 64), (4, 64, 64)])
def test_logits_and_layers(name: str, shape: tuple[int, int, int]) -> None:
    model: Any = build_model(image_settings("torchvision", name), images(shape, 5))
    assert model.train()(torch.randn(2, *shape)).shape == (2, 5)
    depths = torchvision.depths(model)
    assert set(depths) == {each for each, _ in model.named_parameters()}
    head = [each for each, depth in depths.items() if depth is None]
    assert all(model.get_parameter(each).shape[0] == 5 for each in head)
    assert len(head) == 2
    # As registered, from the inputs on.
    numbers = [depth for depth in depths.values() if depth is not None]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(max(numbers) + 1))


def test_blocks_are_layers_and_a_normalisation_belongs_to_its_convolution() -> None:
    model = build_model(image_settings("torchvision", "resnet18"), images((3, 32, 32), 2))
    depths = torchvision.depths(model)
    layers = {name: depths[f"net.{name}.weight"] for name in
              ("conv1", "bn1", "layer1.0.conv1", "layer1.1.bn2", "layer4.1.conv2", "fc")}  # fmt: skip
    assert list(layers.values()) == [0, 0, 1, 2, 8, None]


def test_pixels_arrive_as_published_weights_want_them() -> None:
    inputs = ImageInputs(shape=[1, 8, 8], mean=[0.8], std=[0.3])
    signature = Signature(inputs=inputs, target=ClassTarget(classes=["a", "b"]))
    model: Any = build_model(SHUFFLE.model_copy(update={"input_size": 32}), signature)
    seen: list[torch.Tensor] = []
    model.net.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    grey = torch.tensor([0.0, 0.25, 1.0])
    model.eval()(((grey - 0.8) / 0.3).view(3, 1, 1, 1).expand(3, 1, 8, 8))
    assert seen[0].shape == (3, 3, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(seen[0][:, :, 5, 5], (grey[:, None] - mean) / std, rtol=0, atol=1e-5)


def test_a_normalisation_of_ones_own_and_what_a_checkpoint_keeps() -> None:
    signature = images((3, 32, 32), 2)
    kept: Any = settled_settings(SHUFFLE, signature)
    assert kept.mean == [0.485, 0.456, 0.406]
    assert backbone.Settings.model_validate(json.loads(kept.model_dump_json())) == kept
    own = SHUFFLE.model_copy(update={"mean": [0.5] * 3, "std": [0.2] * 3})
    assert settled_settings(own, signature) == own
    model: Any = build_model(own, signature)  # as the data of the signature
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model.pixels(x), x)


def test_how_images_are_fed_is_said() -> None:
    line = "".join(pretraining_notes(SHUFFLE.model_copy(update={"input_size": 96}), images((3, 32, 48), 2)))
    assert line.startswith("transfer: images of 32x48 pixels, enlarged to 96x96, normalised by mean [0.485, 0.456,")
    assert line.endswith("; the published weights were trained at 224x224")
    assert "as the data" in "".join(pretraining_notes(SHUFFLE, images((5, 32, 32), 2)))


def test_embeddings_of_positions_and_scales_of_layers_do_not_decay() -> None:
    for name, size in (("vit_b_32", {"image_size": 32}), ("convnext_tiny", {})):
        with torch.device("meta"):
            import torchvision as library  # type: ignore[import-untyped]

            net = library.models.get_model(name, weights=None, num_classes=2, **size)
        backbone._name_elementwise(net)
        optimizer = build_optimizer(net, AdamParams(name="adamw", lr=0.1, weight_decay=0.1), {})
        names = {id(parameter): each for each, parameter in net.named_parameters()}
        decayed = {names[id(p)] for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
        assert not any(part in each for each in decayed for part in ("class_token", "pos_embedding", "layer_scale"))
        assert any("mlp" in each or "block" in each for each in decayed)


# Weights.


def theirs(settings: backbone.Settings, module: Any, **changes: Any) -> dict[str, torch.Tensor]:
    """Tensors of such a net for 7 classes, as its library names them."""
    torch.manual_seed(3)
    model = build_model(settings.model_copy(update=changes), images((3, 64, 64), 7))
    return {name.removeprefix("net."): value for name, value in model.state_dict().items()}


def test_weights_of_torchvision_with_another_head() -> None:
    source, target = theirs(MOBILE, torchvision), build_model(MOBILE, images((1, 64, 64), 3))
    settings = TransferParams(weights="x", freeze=["net.features.0.*"], layer_decay=0.5, head_lr=4.0)
    made = load_pretrained(target, settings, torchvision, source)
    assert "classifier.3.weight 7x1024 -> 3x1024" in "\n".join(made.report)
    assert torch.equal(target.get_parameter("net.features.0.0.weight"), source["features.0.0.weight"])
    assert made.rates["net.classifier.3.weight"] == 4.0
    assert made.rates["net.classifier.0.weight"] == 0.5
    assert made.rates["net.features.12.0.weight"] == 0.25
    assert "net.features.0.0.weight" not in made.rates
    assert len(made.frozen) == 1
    # One of our own checkpoints keeps its head.
    again = build_model(MOBILE, images((1, 64, 64), 3))
    load_pretrained(again, TransferParams(weights="x"), torchvision, target.state_dict())
    assert torch.equal(again.get_parameter("net.classifier.3.weight"), target.get_parameter("net.classifier.3.weight"))


def test_weights_of_another_architecture_are_refused_with_the_names() -> None:
    source, target = theirs(MOBILE, torchvision), build_model(MOBILE, images((3, 64, 64), 3))
    lost = source.pop("features.4.block.1.0.weight")
    source["features.40.weight"] = lost
    source["features.1.block.0.0.weight"] = torch.zeros(2)
    del source["features.0.1.num_batches_tracked"]
    with pytest.raises(UserError) as caught:
        load_pretrained(target, TransferParams(weights="x"), torchvision, source)
    assert caught.value.problem.splitlines() == [
        "x is not of this model; apart from the layers that may differ (net.classifier.3)",
        "  of another shape: net.features.1.block.0.0.weight 2 -> 16x1x3x3",
        "  not in the file: net.features.4.block.1.0.weight",
        "  not in the model: net.features.40.weight",
    ]


def test_the_first_layer_is_new_where_images_have_other_channels() -> None:
    source, target = theirs(MOBILE, torchvision), build_model(MOBILE, images((4, 64, 64), 3))
    made = load_pretrained(target, TransferParams(weights="x", head_lr=4.0), torchvision, source)
    assert made.rates["net.features.0.0.weight"] == 4.0
    source["features.0.0.weight"] = torch.zeros(16, 3, 5, 5)
    with pytest.raises(UserError, match=r"of another shape: net\.features\.0\.0\.weight"):
        load_pretrained(build_model(MOBILE, images((3, 64, 64), 3)), TransferParams(weights="x"), torchvision, source)


def test_old_names_and_extra_heads_of_torchvisions_files() -> None:
    names = ["features.denseblock1.denselayer2.norm.1.weight", "encoder.layers.encoder_layer_3.mlp.linear_2.bias"]
    names += ["AuxLogits.fc.weight", "aux1.fc.bias", "fc.weight"]
    assert list(torchvision.adapt(dict.fromkeys(names, torch.zeros(1)))) == [
        "net.features.denseblock1.denselayer2.norm1.weight",
        "net.encoder.layers.encoder_layer_3.mlp.3.bias",
        "net.fc.weight",
    ]


@pytest.mark.parametrize("name", ["convnext_tiny", "vit_b_16", "mobilenet_v3_small", "resnext50_32x4d"])
def test_published_weights_are_named_by_their_hash(name: str) -> None:
    url, digits, limit = torchvision.published(image_settings("torchvision", name))
    assert url.endswith(f"-{digits}.pth")
    assert 5 << 20 < limit < 1 << 30


def _bad(name: str, **changes: Any) -> backbone.Settings:
    return image_settings("torchvision", name, **changes)


BAD: dict[str, tuple[backbone.Settings, tuple[int, int, int], str, str]] = {
    "a typing error": (
        image_settings("torchvision", "resnet17"),
        (3, 32, 32),
        "is no image classification",
        "resnet18",
    ),
    "segmentation": (
        image_settings("torchvision", "fcn_resnet50"),
        (3, 32, 32),
        "is no image classification",
        "it has",
    ),
    "an argument": (
        _bad("resnet18", arguments={"depht": 3}), (3, 32, 32), "cannot build resnet18: .*depht", "model.arguments"
    ),
    "a file": (
        _bad("resnet18", arguments={"weights": "DEFAULT"}),
        (3, 32, 32),
        r"model\.arguments\.weights is not read",
        "transfer.weights",
    ),
    "too small": (_bad("alexnet"), (3, 16, 16), "cannot compute images of 16x16", "input_size"),
    "another size": (_bad("vit_b_32"), (3, 32, 32), "of 32x32 pixels: .*224", "input_size"),
    "too large": (
        _bad("resnet18", input_size=32),
        (3, 32, 48),
        r"32x48 pixels are larger than model\.input_size 32",
        "data.image.resolution: 32",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_can_be_wrong(case: str) -> None:
    settings, shape, message, fix = BAD[case]
    with pytest.raises(UserError, match=message) as caught:
        build_model(settings, images(shape, 2))
    assert fix in caught.value.fix


# timm.


def test_without_timm_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        build_model(vit(), images((3, 32, 32), 2))
    explained = as_user_error(caught.value, [])
    assert explained is not None
    assert "needs the package timm" in explained.problem
    assert "pip install timm" in explained.fix.replace("'", "")


@NEEDS_TIMM
@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_convnext", "test_efficientnet", "caformer_s18"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_timms_logits_and_layers(name: str, channels: int) -> None:
    arguments = {"img_size": 32} if name == "test_vit" else {}
    model: Any = build_model(image_settings("timm", name, arguments=arguments), images((channels, 32, 32), 5))
    assert model.train()(torch.randn(2, channels, 32, 32)).shape == (2, 5)
    depths = timm.depths(model)
    assert set(depths) == {each for each, _ in model.named_parameters()}
    assert any(depth is None for depth in depths.values())
    first = next(iter(depths.values()))
    assert first == 0


@NEEDS_TIMM
def test_weights_of_timm_with_another_head() -> None:
    source = theirs(vit(), timm, arguments={**VIT, "img_size": 64})
    source = {name: value[:, :17] if name == "pos_embed" else value for name, value in source.items()}
    target: Any = build_model(vit(), images((3, 32, 32), 3))
    settings = TransferParams(weights="x", freeze=["net.patch_embed.*"], layer_decay=0.5, head_lr=4.0)
    made = load_pretrained(target, settings, timm, source)
    assert torch.equal(target.net.blocks[1].mlp.fc1.weight, source["blocks.1.mlp.fc1.weight"])
    assert made.rates["net.head.weight"] == 4.0
    assert made.rates["net.blocks.1.attn.qkv.weight"] == 2 * made.rates["net.blocks.0.attn.qkv.weight"]
    with pytest.raises(UserError, match=r"of another shape: net\.pos_embed 1x9x24 -> 1x17x24"):
        load_pretrained(target, settings, timm, source | {"pos_embed": source["pos_embed"][:, :9]})


CONFIG: dict[str, Any] = {
    "architecture": "vit_tiny_patch16_224",
    "pretrained_cfg": {
        "tag": "augreg_in21k_ft_in1k",
        "input_size": [3, 32, 32],
        "fixed_input_size": True,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    },
}


@NEEDS_TIMM
@pytest.mark.parametrize(
    ("changes", "message", "fix"),
    [
        ({}, "", ""),
        ({"architecture": "vit_small_patch16_224"}, "is 'vit_small_patch16_224', model.architecture is vit_tiny",
         "set model.architecture: vit_small_patch16_224.augreg_in21k_ft_in1k"),
        ({"mean": [0.1, 0.2, 0.3]}, "mean is .0.1, 0.2, 0.3., model.mean is .0.5", "model.mean: [0.1, 0.2, 0.3]"),
        ({"model_args": {"class_token": False}}, "model_args.class_token is False", "arguments.class_token: False"),
        ({"model_args": {"img_size": 64, "drop_rate": 0.1}, "input_size": [3, 64, 64]}, "model_args.img_size is 64",
         "set model.arguments.img_size: 64"),
        ({"input_size": [3, 64, 64]}, "input_size is 64, the model is given 32x32", "model.input_size: 64"),
    ],
)  # fmt: skip
def test_the_config_of_timms_weights(changes: dict[str, Any], message: str, fix: str) -> None:
    config = CONFIG | {key: value for key, value in changes.items() if key in ("architecture", "model_args")}
    config["pretrained_cfg"] = CONFIG["pretrained_cfg"] | {
        key: value for key, value in changes.items() if key in ("mean", "input_size")
    }
    # Of a net whose size is not among the arguments.
    settings = vit().model_copy(update={"arguments": {}})
    if not changes:
        return timm.require_config(config, settings, images((3, 32, 32), 2), "x")
    with pytest.raises(UserError, match=message) as caught:
        timm.require_config(config, settings, images((3, 32, 32), 2), "x")
    assert fix in caught.value.fix


@NEEDS_TIMM
@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("vit_tinny_patch16_224", "is no image classification model of timm", "did you mean vit_tiny_patch16_224"),
        ("vit_tiny_patch16_224.own", "knows no weights 'own' of vit_tiny_patch16_224", "augreg_in21k_ft_in1k"),
        ("vit_tiny_patch16_224", "cannot compute images of 32x32 pixels: .*224", "model.input_size"),
    ],
)
def test_names_of_timm(name: str, message: str, fix: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build_model(image_settings("timm", name), images((3, 32, 32), 2))
    assert fix in caught.value.fix


@NEEDS_TIMM
def test_the_name_behind_the_point_says_the_normalisation() -> None:
    signature = images((3, 32, 32), 2)
    kept: Any = settled_settings(vit(), signature)
    assert kept.mean == [0.5, 0.5, 0.5]
    usual: Any = settled_settings(image_settings("timm", "resnet10t.c3_in1k"), signature)
    assert usual.mean == [0.485, 0.456, 0.406]
    assert isinstance(build_model(kept, signature), nn.Module)
