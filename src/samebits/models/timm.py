"""Any image model of the library timm, by its own name, such as `vit_tiny_patch16_224.augreg_in21k_ft_in1k`.

What stands behind the point names pretrained weights: the model then has their normalisation. `transfer.weights` says
where they are: `timm/NAME` of the Hugging Face hub, a folder with their config.json, a card or a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from samebits.base.errors import UserError
from samebits.models.layers.backbone import (
    PREFIX,
    Published,
    Settings,
    adapt,
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
from samebits.signature.signature import Signature

__all__ = ["Settings", "adapt", "build", "depths", "new_layers", "notes", "require_config", "settle"]

_OURS = ("num_classes", "in_chans", "cache_dir", "features_only", "scriptable", "exportable", "no_jit", "device")


def build(settings: Settings, signature: Signature) -> nn.Module:
    """timm's net for images: [N, C, H, W], float, normalised -> logits [N, classes].

    Raises:
        UserError: for other data, for an unknown architecture, arguments that it does not take, or images that it
            cannot compute.
        ModuleNotFoundError: without timm; stages and commands name the extra (samebits.base.extras).
    """
    import timm

    images = signature.images
    _require_known(settings)
    check_arguments(settings, _OURS)
    try:
        net: nn.Module = timm.create_model(
            settings.architecture,
            pretrained=False,
            num_classes=signature.outputs,
            in_chans=channels_of(images),
            **settings.arguments,
        )
    except Exception as error:  # a constructor raises whatever it raises
        raise cannot_build(settings, error) from None
    return backbone(net, settings, images, signature.outputs, _fed(settings))


def _require_known(settings: Settings) -> None:
    import timm

    name, _, tag = settings.architecture.partition(".")
    if not timm.is_model(name):
        raise unknown_architecture(settings, timm.list_models(), "timm")
    tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{name}.*")]
    if tag and tag not in tags:
        raise UserError(
            f"timm knows no weights {tag!r} of {name}",
            f"set model.architecture to {name}{' or ' if tags else ''}{' or '.join(f'{name}.{each}' for each in tags)}",
        )


def _fed(settings: Settings) -> Published:
    import timm

    config, usual = timm.get_pretrained_cfg(settings.architecture), Published()
    if config is None:
        return usual
    mean, std = list(config.mean or ()), list(config.std or ())
    if len(mean) != len(usual.mean):  # of nets for other channels
        mean, std = usual.mean, usual.std
    return Published(mean, std, int(config.input_size[-1]))


def settle(settings: Settings, signature: Signature) -> Settings:
    """The settings with what the installed release says of the architecture."""
    return settled(settings, _fed(settings))


def notes(settings: Settings, signature: Signature) -> list[str]:
    """How images are fed to pretrained weights."""
    return [feeding(settings, signature.images, _fed(settings))]


def require_config(config: Mapping[str, Any], settings: Settings, signature: Signature, label: str) -> None:
    """Hold some weights' own config.json against the `model` section.

    Raises:
        UserError: for another architecture, arguments or normalisation, with all that differs.
    """
    _require_known(settings)
    theirs = str(config.get("architecture"))
    weights = config.get("pretrained_cfg")
    weights = weights if isinstance(weights, Mapping) else {}
    name = settings.architecture.partition(".")[0]
    if theirs != name:
        raise UserError(
            f"transfer.weights {label}: the architecture of its config.json is {theirs!r}, model.architecture is "
            f"{name}",
            f"set model.architecture: {theirs}{'.' if weights.get('tag') else ''}{weights.get('tag') or ''}",
        )
    problems, fixes = [], []
    own = settle(settings, signature)
    for key in ("mean", "std"):
        value, mine = weights.get(key), getattr(own, key)
        if value is not None and [float(each) for each in value] != [float(each) for each in mine]:
            problems.append(f"{key} is {list(value)}, model.{key} is {mine}")
            fixes.append(f"model.{key}: {list(value)}")
    arguments = config.get("model_args")
    arguments = arguments if isinstance(arguments, Mapping) else {}
    for key, value in arguments.items():
        # What is zeroed in training is no part of the weights.
        if key not in _OURS and "drop" not in key and settings.arguments.get(key) != value:
            problems.append(f"model_args.{key} is {value!r}, model.arguments.{key} is {settings.arguments.get(key)!r}")
            fixes.append(f"model.arguments.{key}: {value!r}")
    size = weights.get("input_size")
    given = max(signature.images.shape[1:])
    if weights.get("fixed_input_size") and size and "img_size" not in {*settings.arguments, *arguments}:
        taken = settings.input_size or given
        if taken != size[-1]:
            problems.append(f"input_size is {size[-1]}, the model is given {taken}x{taken} pixels")
            fixes.append(f"model.input_size: {size[-1]}")
    if problems:
        told = [f"transfer.weights {label} and params.yaml differ; in its config.json", *problems]
        raise UserError("\n  ".join(told), f"set {', '.join(fixes)}")


def _heads(net: nn.Module) -> list[str]:
    """Names of the layers of the head: of some nets two."""
    get: Any = getattr(net, "get_classifier", None)
    found = get() if get is not None else []
    layers = list(found) if isinstance(found, tuple | list | nn.ModuleList) else [found]
    wanted = {id(each) for each in layers if isinstance(each, nn.Module)}
    return [name for name, module in net.named_modules() if id(module) in wanted]


def _net(network: nn.Module) -> nn.Module:
    return network.get_submodule(PREFIX.removesuffix("."))


def new_layers(network: nn.Module) -> set[str]:
    """The head, and the first layer where images are not of three channels."""
    net = _net(network)
    first: Any = getattr(net, "pretrained_cfg", {}).get("first_conv") or ()
    return may_differ(network, _heads(net), [first] if isinstance(first, str) else list(first))


def depths(network: nn.Module) -> dict[str, int | None]:
    """Number of each parameter's layer as timm groups them, if it does, from the inputs on; None for the head."""
    net: Any = _net(network)
    names = _heads(net)
    if not hasattr(net, "group_matcher"):
        return {PREFIX + name: depth for name, depth in numbered(net, names).items()}
    from timm.models import group_parameters

    heads = tuple(f"{name}." for name in names)
    found: dict[str, int | None] = {}
    groups = group_parameters(net, net.group_matcher(coarse=False), reverse=True)
    for name, _ in net.named_parameters():
        found[PREFIX + name] = None if name.startswith(heads) else int(groups[name])
    return found
