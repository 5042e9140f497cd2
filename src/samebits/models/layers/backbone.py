"""A network for images of another library: fed as its published weights want, with names for its layers.

What both libraries share stands here: the normalisation and size of images, images of other channels, the numbers of
layers, which parameters are no matrices, and the trial that tells a misfit before the training.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from samebits.base.errors import UserError, listed
from samebits.base.registry import nearest
from samebits.models.layers.pixels import Pixels
from samebits.models.layers.trial import computed
from samebits.params.section import Section, matching
from samebits.signature.image import ImageInputs

_RGB = 3
_MATRICES = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention, nn.Bilinear)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
PREFIX = "net."
"""Of the library's names, in the names of our parameters."""


class Settings(Section):
    """The `model` section for `name: timm` or `torchvision`.

    Attributes:
        architecture: the library's own name of it; timm's may name weights behind a point.
        arguments: keyword arguments of the library's own function, such as a rate of dropout.
        input_size: side in pixels of the square to which the model enlarges images (bilinear), as weights of that size
            want; null: it takes them as they are.
        mean: of the three channels in the model's own normalisation, pixels scaled to [0, 1]; null: that of the
            published weights of the architecture, or else of ImageNet.
        std: likewise, the deviations.
    """

    name: Literal["timm", "torchvision"]
    architecture: Annotated[str, matching(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?", "the library's name of a model")]
    arguments: dict[str, Any] = Field(default={})
    input_size: int | None = Field(default=None, ge=8, le=4096)
    mean: list[float] | None = Field(default=None, min_length=_RGB, max_length=_RGB)
    std: list[Annotated[float, Field(gt=0.0)]] | None = Field(default=None, min_length=_RGB, max_length=_RGB)


class CannotCompute(UserError):
    """A net does not take images of this size."""


class Published(NamedTuple):
    """What the published weights of an architecture were fed with.

    Attributes:
        mean, std: of the three channels, of pixels scaled to [0, 1].
        side: of the images, in pixels.
    """

    mean: list[float] = [0.485, 0.456, 0.406]  # noqa: RUF012 - of ImageNet
    std: list[float] = [0.229, 0.224, 0.225]  # noqa: RUF012
    side: int = 224


class Backbone(nn.Module):
    """Images [N, C, H, W], float, normalised as the data -> logits [N, K].

    Grey images are given to all three channels. With another number of channels the net's first layer is its own, and
    images stay normalised as the data.

    Args:
        net: the library's, for as many channels as `channels_of` says.
        mean, std: of the net's normalisation.
        size: height and width that images are enlarged to; None: as they are.
    """

    def __init__(
        self, net: nn.Module, images: ImageInputs, mean: Sequence[float], std: Sequence[float], size: int | None
    ) -> None:
        super().__init__()
        self.pixels = Pixels(images, mean, std) if channels_of(images) == _RGB else nn.Identity()
        self.size = None if size is None or list(images.shape[1:]) == [size, size] else (size, size)
        self.net = net
        _name_elementwise(net)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pixels(images)
        if self.size is not None:
            x = functional.interpolate(x, size=self.size, mode="bilinear")
        logits: Tensor = self.net(x)
        return logits


def channels_of(images: ImageInputs) -> int:
    """Channels that the net's first layer takes."""
    return _RGB if images.shape[0] == 1 else images.shape[0]


def backbone(net: nn.Module, settings: Settings, images: ImageInputs, outputs: int, published: Published) -> Backbone:
    """The net around which ours are fed, tried out on two samples.

    Raises:
        CannotCompute: if the net does not take such images.
        UserError: if images are larger than `input_size`, or the net gives something else than logits.
    """
    height, width = images.shape[1:]
    size, label = settings.input_size, f"{settings.name} {settings.architecture}"
    if size is not None and max(height, width) > size:
        raise UserError(
            f"images of {height}x{width} pixels are larger than model.input_size {size}, and the model only enlarges",
            f"set data.image.resolution: {size}, or model.input_size: null",
        )
    own = settled(settings, published)
    model = Backbone(net, images, own.mean or published.mean, own.std or published.std, size)
    fed = f"{size}x{size}" if size else f"{height}x{width}"
    fix = "set model.input_size to the pixels a side that it takes, or build it for the data's by model.arguments "
    fix += "(img_size in timm, image_size in torchvision's vit), or use larger images or another architecture"
    try:
        found = computed(model, torch.zeros(2, *images.shape))
    except Exception as error:  # a net's own code raises whatever it raises
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CannotCompute(f"{label} cannot compute images of {fed} pixels: {reason}", fix) from None
    if not isinstance(found, Tensor) or tuple(found.shape) != (2, outputs):
        shown = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(f"{label} gives {shown} for two images, not [2, {outputs}]", "use another architecture")
    return model


def check_arguments(settings: Settings, ours: Collection[str]) -> None:
    """Refuse arguments that have a place of their own, or that would load files.

    Raises:
        UserError: with the first.
    """
    for name in settings.arguments:
        if name in ours or "weights" in name or "pretrained" in name or "path" in name:
            raise UserError(
                f"model.arguments.{name} is not read", "take it out; transfer.weights names weights, the data the rest"
            )


def unknown_architecture(settings: Settings, known: Sequence[str], library: str) -> UserError:
    """What to say of a name that the library does not have."""
    near = nearest(settings.architecture, list(known))
    hint = f"did you mean {near}? " if near else ""
    return UserError(
        f"model.architecture {settings.architecture!r} is no image classification model of {library}",
        f"{hint}it has {listed(list(known))}",
    )


def cannot_build(settings: Settings, error: Exception) -> UserError:
    """What to say where the library's own function raises."""
    reason = str(error).partition("\n")[0] or type(error).__name__
    return UserError(
        f"{settings.name} cannot build {settings.architecture}: {reason}",
        f"mend model.arguments, which are {settings.arguments}" if settings.arguments else "use another architecture",
    )


def settled(settings: Settings, published: Published) -> Settings:
    """The settings with the normalisation written out, as a checkpoint keeps them."""
    return settings.model_copy(update={"mean": settings.mean or published.mean, "std": settings.std or published.std})


def feeding(settings: Settings, images: ImageInputs, published: Published) -> str:
    """One line that says how images are fed to pretrained weights, and at which size those were trained."""
    own = settled(settings, published)
    height, width = images.shape[1:]
    line = f"transfer: images of {height}x{width} pixels"
    if settings.input_size is not None:
        height = width = settings.input_size
        line += f", enlarged to {height}x{width}"
    if channels_of(images) == _RGB:
        line += f", normalised by mean {own.mean} and std {own.std}"
    else:
        line += ", normalised as the data, since published weights have three channels"
    if (height, width) != (published.side, published.side):
        line += f"; the published weights were trained at {published.side}x{published.side}"
    return line


def adapt(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The library's own tensors, or those of one of our checkpoints, under our names."""
    if any(name.startswith(PREFIX) for name in weights):
        return dict(weights)
    return {PREFIX + name: value for name, value in weights.items()}


def may_differ(network: nn.Module, heads: Collection[str], first: Collection[str]) -> set[str]:
    """Layers that pretrained weights may lack: the head, and the first one where images are not of three channels.

    Args:
        network: a `Backbone`.
        heads, first: the net's own names of these layers.
    """
    rgb = isinstance(network.get_submodule("pixels"), Pixels)
    return {PREFIX + name for name in (*heads, *(() if rgb else first))}


def numbered(network: nn.Module, heads: Collection[str]) -> dict[str, int | None]:
    """Number of each parameter's layer, in the order in which the library registers them; None for the head.

    A layer is a block as the library builds it. Containers, and modules with more than half of all parameters, are
    looked into; a normalisation belongs to the layer before it.

    Args:
        heads: names of the layers of the head.
    """
    total = sum(each.numel() for each in network.parameters())
    found: dict[str, int | None] = {}
    layer = -1

    def visit(module: nn.Module, prefix: str) -> None:
        nonlocal layer
        if prefix.removesuffix(".") in heads:
            found.update({prefix + name: None for name, _ in module.named_parameters()})
            return
        own = [name for name, _ in module.named_parameters(recurse=False)]
        children = list(module.named_children())
        size = sum(each.numel() for each in module.parameters())
        opens = bool(children) and (isinstance(module, _CONTAINERS) or 2 * size > total or _holds(prefix, heads))
        if not opens:
            names = [name for name, _ in module.named_parameters()]
            if any(each.ndim > 1 for each in module.parameters()) or layer < 0:
                layer += bool(names)
            found.update({prefix + name: max(layer, 0) for name in names})
            return
        found.update({prefix + name: 0 for name in own})
        for name, child in children:
            visit(child, f"{prefix}{name}.")

    visit(network, "")
    return found


def _holds(prefix: str, heads: Collection[str]) -> bool:
    return any(head.startswith(prefix) for head in heads)


def _name_elementwise(net: nn.Module) -> None:
    """Mark what has several axes and is no matrix: embeddings of positions, scales of channels, tables of biases."""
    for module in net.modules():
        if not isinstance(module, (*_MATRICES, nn.Embedding)):
            names = tuple(name for name, each in module.named_parameters(recurse=False) if each.ndim > 1)
            if names:
                module.elementwise = names  # type: ignore[assignment]
