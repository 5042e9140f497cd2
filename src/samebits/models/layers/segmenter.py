"""A U-Net around any convolutional net for images: the net is the encoder, in the place of its head comes a decoder.

The net's layers keep their names, so that pretrained weights, frozen layers and rates per layer are those of the net.
Which layers follow each other, and where the sides of the image shrink, is found by watching the net compute an image.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.models.layers.backbone import CannotCompute
from samebits.models.layers.decoder import Decoder
from samebits.models.layers.trial import computed
from samebits.params.section import Section
from samebits.signature.classes import ClassTarget
from samebits.signature.mask import MaskTarget
from samebits.signature.signature import Signature

_MULTIPLE = 32
"""By which the sides of images are divided in most nets; images are padded to a multiple of it."""
_WIDTHS = (16, 128)
"""Channels of the decoder at the whole size, and the most at the others."""
DECODER = "decoder"
_ENCODERS = (
    "set model.name: unet, or a convolutional net whose features halve: efficientnet_lite0, resnet9, resnet18, "
    "resnet34, resnet50, or of torchvision or timm a ResNet, EfficientNet, MobileNet, ConvNeXt, RegNet, DenseNet or VGG"
)
"""What to do where a net is no encoder."""
_AXES = 4
"""Of features, [N, C, H, W]."""


class Stage(NamedTuple):
    """Layers up to where the sides shrink.

    Attributes:
        layers: names, in the order in which they compute.
        channels: of what comes out.
        stride: by which the sides of the image are divided.
    """

    layers: list[str]
    channels: int
    stride: int


class Segmenter(nn.Module):
    """Images [N, C, H, W], float, normalised -> logits [N, K, H, W].

    Args:
        net: it gives up its layers; those that no feature needs, as the head, are dropped.
        stages: of the net.
        module: the net's, whose functions say which layers may differ from pretrained weights, and their depth.
    """

    def __init__(self, net: nn.Module, stages: list[Stage], channels: int, outputs: int, module: ModuleType) -> None:
        super().__init__()
        self.may_differ = _may_differ(net, module) if hasattr(module, "new_layers") else None
        self.numbers = _depths(net, module)
        needed = [name for stage in stages for name in stage.layers]
        dropped = {name for name, _ in net.named_modules() if name and not _is_needed(name, needed)}
        if self.may_differ is not None:
            self.may_differ |= {name for name in dropped if any(True for _ in net.get_submodule(name).parameters())}
        for name in sorted(dropped, key=lambda each: each.count("."), reverse=True):
            parent, _, own = name.rpartition(".")
            delattr(net.get_submodule(parent), own)
        for name, child in net.named_children():
            self.add_module(name, child)
        self._stages = [[self.get_submodule(name) for name in stage.layers] for stage in stages]
        strides = [1, *(stage.stride for stage in stages if stage.stride > 1)]
        whole = [stage.channels for stage in stages if stage.stride == 1]
        sizes = [whole[0] if whole else channels, *(stage.channels for stage in stages if stage.stride > 1)]
        self._links_image = not whole
        self.multiple = strides[-1]
        factors = [after // before for before, after in itertools.pairwise(strides)]
        widths = [_WIDTHS[0], *(min(size, _WIDTHS[1]) for size in sizes[1:-1])]
        self.add_module(DECODER, Decoder(sizes, factors, widths, outputs))

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        below, right = -height % self.multiple, -width % self.multiple
        x = functional.pad(images, (0, right, 0, below)) if below or right else images
        features = [x] if self._links_image else []
        for layers in self._stages:
            for layer in layers:
                x = layer(x)
            features.append(x)
        logits: Tensor = self.get_submodule(DECODER)(features)
        return logits[:, :, :height, :width]

    def new_layers(self) -> set[str] | None:
        """Layers that pretrained weights of the net may lack or have besides; None: any."""
        return None if self.may_differ is None else {*self.may_differ, DECODER}

    def depths(self) -> dict[str, int | None]:
        """Number of each parameter's layer, from the inputs on; None for the decoder. Empty if the net has none."""
        if not self.numbers:
            return {}
        return {name: self.numbers.get(name) for name, _ in self.named_parameters()}


def segmenter(module: ModuleType, settings: Section, signature: Signature) -> Segmenter:
    """A U-Net around a model for classes.

    Args:
        module: the model's.

    Raises:
        UserError: as the model's `build`; or if it has no features at several sizes.
    """
    label = str(getattr(settings, "architecture", getattr(settings, "name", "")))
    target = signature.target
    assert isinstance(target, MaskTarget)
    for key in ("mirror", "input_size"):
        if getattr(settings, key, None):
            raise UserError(
                f"model.{key} is for a class of the whole image, and the data have masks",
                f"set model.{key}: {'false' if key == 'mirror' else 'null, and data.image.resolution'}",
            )
    stages: list[Stage] = []
    multiple = _MULTIPLE
    while True:
        padded = _padded(signature, multiple)
        try:
            net = module.build(settings, padded)
        except CannotCompute as error:  # its advice is for classes: to enlarge images, or to build it for one size
            raise UserError(f"{error.problem}; data with masks want a net for images of any size", _ENCODERS) from None
        stages = found_stages(net, _pattern(padded.images.shape))
        if not stages or stages[-1].stride < 2:
            raise UserError(
                f"{label} has no features at sizes that halve, so no decoder can answer for every pixel", _ENCODERS
            )
        if stages[-1].stride == multiple or padded == _padded(signature, stages[-1].stride):
            break
        multiple = stages[-1].stride
    return Segmenter(net, stages, signature.images.shape[0], len(target.classes), module)


def _padded(signature: Signature, multiple: int) -> Signature:
    """The data as the net is built for: with a class for each image, and sides that are multiples."""
    channels, *sides = signature.images.shape
    shape = [channels, *(side + -side % multiple for side in sides)]
    images = signature.images.model_copy(update={"shape": shape})
    return signature.model_copy(update={"inputs": images, "target": ClassTarget(classes=list(signature.classes))})


def _pattern(shape: list[int]) -> Tensor:
    """Two different images, the same every time: float [2, C, H, W]."""
    values = torch.arange(2 * shape[0] * shape[1] * shape[2], dtype=torch.float32)
    return torch.sin(values * 0.37 + 0.001 * values**1.5).view(2, *shape)


class _Call(NamedTuple):
    """What a layer was given and what it gave; `value` is a copy, since the next layer may write over it."""

    name: str
    given: object
    out: Tensor
    value: Tensor


def found_stages(net: nn.Module, images: Tensor) -> list[Stage]:
    """The layers of a net that follow each other from the images on, cut where the sides shrink; none if they are but
    the beginning of it.

    Args:
        images: float [N, C, H, W], not constant, to watch the net with.
    """
    calls: list[_Call] = []
    names = {id(module): name for name, module in net.named_modules()}

    def watch(module: nn.Module, given: tuple[Any, ...], out: object) -> None:
        if isinstance(out, Tensor):
            calls.append(_Call(names[id(module)], given[0] if len(given) == 1 else None, out, out.clone()))

    hooks = [each.register_forward_hook(watch) for each in net.modules()]
    try:
        computed(net, images.clone())
    finally:
        for hook in hooks:
            hook.remove()
    first = next((call.given for call in calls if call.name == ""), None)
    stages: list[Stage] = []
    for call in _computed_alike(net, images, _chain(net, "", first, calls)):
        height, width = call.value.shape[2:]
        stride = images.shape[2] // height
        divides = (height * stride, width * stride) == tuple(images.shape[2:])
        if not divides or "Adaptive" in type(net.get_submodule(call.name)).__name__:  # a mean of the whole image
            break
        if stages and stages[-1].stride == stride:
            stages[-1] = Stage([*stages[-1].layers, call.name], call.value.shape[1], stride)
        elif stages and stride % stages[-1].stride:
            break
        else:
            stages.append(Stage([call.name], call.value.shape[1], stride))
    # What normalises the images is no feature of its own.
    if len(stages) > 1 and not _with_weights(net, stages[0].layers):
        stages[:2] = [stages[1]._replace(layers=[*stages[0].layers, *stages[1].layers])]
    used = _with_weights(net, [name for stage in stages for name in stage.layers])
    return stages if 2 * used >= _with_weights(net, [""]) else []


def _with_weights(net: nn.Module, layers: list[str]) -> int:
    """How many modules in some layers have parameters of their own."""
    modules = {id(each): each for name in layers for each in net.get_submodule(name).modules()}
    return sum(any(True for _ in each.parameters(recurse=False)) for each in modules.values())


def _chain(net: nn.Module, prefix: str, given: object, calls: list[_Call]) -> list[_Call]:
    """The calls of a module's children that each take what the one before gave; in the place of a sequence, or of a
    child that ends in something else than features, its own children."""
    found: list[_Call] = []
    while True:
        seen = {each.name for each in found}
        after = next(
            (each for each in calls if each.given is given and _parent(each.name) == prefix and each.name not in seen),
            None,
        )
        if after is None:
            return found
        is_sequence = type(net.get_submodule(after.name)).forward is nn.Sequential.forward
        inner = _chain(net, after.name, given, calls) if is_sequence or after.value.ndim != _AXES else []
        if after.value.ndim != _AXES:
            return [*found, *inner]
        # A sequence that was not called by itself is taken whole.
        found += inner if inner and inner[-1].out is after.out else [after]
        given = after.out


def _computed_alike(net: nn.Module, images: Tensor, chain: list[_Call]) -> Iterator[_Call]:
    """The calls up to where the layers, one after the other, give something else than in the net: it adds to a layer's
    output what went another way."""
    x = images
    for call in chain:
        found = computed(net.get_submodule(call.name), x.clone())
        if not isinstance(found, Tensor) or not torch.equal(found, call.value):
            return
        x = found
        yield call


def _parent(name: str) -> str | None:
    return name.rpartition(".")[0] if name else None


def _is_needed(name: str, needed: list[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") or each.startswith(f"{name}.") for each in needed)


def _may_differ(net: nn.Module, module: ModuleType) -> set[str]:
    return set(module.new_layers(net))


def _depths(net: nn.Module, module: ModuleType) -> Mapping[str, int | None]:
    if hasattr(module, "depths"):
        return dict(module.depths(net))
    return {name: module.depth(name) for name, _ in net.named_parameters()} if hasattr(module, "depth") else {}
