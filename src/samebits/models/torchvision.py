"""Any image classification model of torchvision, by the library's own name, such as `convnext_tiny`.

`transfer.weights: imagenet` are the library's best weights of the architecture, whose normalisation the model has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.models.layers.backbone import (
    PREFIX,
    Published,
    Settings,
    backbone,
    cannot_build,
    channels_of,
    check_arguments,
    feeding,
    may_differ,
    numbered,
    settled,
    unknown_architecture,
)
from samebits.models.layers.backbone import adapt as prefixed
from samebits.signature.signature import Signature

__all__ = ["Settings", "adapt", "build", "depths", "new_layers", "notes", "published", "settle"]

_OURS = ("num_classes", "progress", "aux_logits", "transform_input", "init_weights")
_WITHOUT_EXTRAS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}
"""Without the heads that some nets have beside the last one in training alone."""

_EXTRAS = re.compile(r"^(AuxLogits|aux\d)\.")
_DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Files of before 2018 have a dot within the name."""
_MLP = {".mlp.linear_1.": ".mlp.0.", ".mlp.linear_2.": ".mlp.3."}
"""What the files of the vision transformers call these layers."""

_DIGITS = re.compile(r"-([0-9a-f]{8})\.pth$")


def build(settings: Settings, signature: Signature) -> nn.Module:
    """torchvision's net for images: [N, C, H, W], float, normalised -> logits [N, classes].

    Raises:
        UserError: for other data, an unknown architecture, arguments that it does not take, or images that it cannot
            compute.
    """
    from torchvision import models  # type: ignore[import-untyped]

    images = signature.images
    _require_known(settings)
    check_arguments(settings, _OURS)
    extras = _WITHOUT_EXTRAS.get(settings.architecture, {})
    try:
        net: nn.Module = models.get_model(
            settings.architecture, weights=None, num_classes=signature.outputs, **extras, **settings.arguments
        )
    except Exception as error:  # a constructor raises whatever it raises
        raise cannot_build(settings, error) from None
    _take_channels(net, channels_of(images))
    return backbone(net, settings, images, signature.outputs, _fed(settings))


def _require_known(settings: Settings) -> None:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if settings.architecture not in known:
        raise unknown_architecture(settings, known, "torchvision")


def _take_channels(net: nn.Module, channels: int) -> None:
    name = _first(net)
    layer = net.get_submodule(name)
    assert isinstance(layer, nn.Conv2d)
    if layer.in_channels != channels:
        layer.in_channels = channels
        layer.weight = nn.Parameter(layer.weight.new_empty(layer.out_channels, channels, *layer.kernel_size))
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def _first(net: nn.Module) -> str:
    """Name of the first convolution."""
    return next(str(name) for name, module in net.named_modules() if isinstance(module, nn.Conv2d))


def _head(net: nn.Module) -> str:
    """Name of the last layer with weights."""
    return [str(name) for name, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]


def _weights(settings: Settings) -> Any:
    """The library's best weights of the architecture; None if it has none."""
    from torchvision import models

    choices = list(models.get_model_weights(settings.architecture))
    return models.get_model_weights(settings.architecture).DEFAULT if choices else None


def _fed(settings: Settings) -> Published:
    weights = _weights(settings)
    if weights is None:
        return Published()
    preset = weights.transforms()
    return Published(list(preset.mean), list(preset.std), int(preset.crop_size[0]))


def settle(settings: Settings, signature: Signature) -> Settings:
    """The settings with what the installed release says of the architecture."""
    return settled(settings, _fed(settings))


def notes(settings: Settings, signature: Signature) -> list[str]:
    """How images are fed to pretrained weights."""
    return [feeding(settings, signature.images, _fed(settings))]


def adapt(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The library's own tensors under our names, without the heads that only its training has."""
    found = {}
    for name, value in prefixed(weights).items():
        own = _DENSE.sub(r"\1\2", name)
        for old, new in _MLP.items():
            own = own.replace(old, new)
        if not _EXTRAS.match(own.removeprefix(PREFIX)):
            found[own] = value
    return found


def new_layers(network: nn.Module) -> set[str]:
    """The head, and the first layer where images are not of three channels."""
    net = network.get_submodule(PREFIX.removesuffix("."))
    return may_differ(network, [_head(net)], [_first(net)])


def depths(network: nn.Module) -> dict[str, int | None]:
    """Number of each parameter's layer, from the inputs on; None for the head."""
    net = network.get_submodule(PREFIX.removesuffix("."))
    return {PREFIX + name: depth for name, depth in numbered(net, {_head(net)}).items()}


def published(settings: Settings) -> tuple[str, str, int]:
    """Address of the library's weights, the first digits of their SHA-256, and the most bytes to accept.

    Raises:
        UserError: for an architecture of which it has none.
    """
    _require_known(settings)
    weights = _weights(settings)
    digits = _DIGITS.search(weights.url) if weights is not None else None
    if digits is None:
        raise UserError(
            f"torchvision has no weights of {settings.architecture}", "set transfer.weights: null, or name a file"
        )
    return str(weights.url), digits.group(1), (int(weights.meta["_file_size"]) + 2) << 20
