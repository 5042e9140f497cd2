"""Transfer learning: fill a model with pretrained weights, freeze parts of it, give each layer its learning rate.

A model's module may help with functions: `adapt(weights) -> weights` renames a foreign file's tensors to the model's
own names; `depth(parameter_name) -> int | None` is the number of a parameter's layer, counted from 0 at the inputs
(None: above all others), and `depths(network)` are those of all, for a module of many architectures;
`new_layers(network)` names the layers that may differ from the file's, as a head does: anything else that differs is
refused. Without it, what differs is reported.

No code runs from a weights file: safetensors, or for files that torch.save wrote torch.load(weights_only=True).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from samebits.base.errors import UserError, listed
from samebits.base.registry import nearest
from samebits.checkpoints.tied import named_weights
from samebits.models.layers.segmenter import Segmenter
from samebits.params.transfer import TransferParams

_COUNTER = ".num_batches_tracked"


@dataclass(frozen=True)
class Transfer:
    """What a model took over and how its parameters are trained.

    Attributes:
        rates: of each trained parameter, its learning rate as a multiple of the common one.
        frozen: normalisation layers whose statistics stay as they are: to be kept in eval mode.
        report: lines for people.
    """

    rates: dict[str, float]
    frozen: tuple[nn.Module, ...]
    report: tuple[str, ...]


def read_weights(path: Path, *, torchs_own: bool = False) -> dict[str, Tensor]:
    """The tensors of a weights file, on the CPU.

    Args:
        torchs_own: a state dict as torch.save writes it; read without running code from it.

    Raises:
        UserError: if the file is damaged or of another format.
    """
    try:
        if not torchs_own:
            return load_file(path)
        weights: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, OSError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is no weights file: {reason}", "replace it") from None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(f"{path} holds something else than named tensors", "replace it")
    return weights


def load_pretrained(
    network: nn.Module, settings: TransferParams, module: ModuleType, weights: Mapping[str, Tensor] | None
) -> Transfer:
    """Fill `network` in place, freeze what `settings.freeze` names, and work out the learning rates.

    Args:
        module: the model's, for `adapt` and `depth`.
        weights: of the file; None for random weights.

    Raises:
        UserError: if no tensor of the file fits the model, or a pattern names no parameter.
    """
    lines: list[str] = []
    new: set[str] = set()
    if weights is not None:
        adapted = getattr(module, "adapt", dict)(weights)
        new, lines = _fill(network, adapted, str(settings.weights), _new_layers(network, module))
    frozen = _freeze(network, settings.freeze)
    if settings.freeze:
        kept = [parameter for parameter in network.parameters() if not parameter.requires_grad]
        lines.append(f"transfer: {sum(each.numel() for each in kept):,} parameters in {len(kept)} tensors are frozen")
    return Transfer(_rates(network, settings, module, new), frozen, tuple(lines))


def _new_layers(network: nn.Module, module: ModuleType) -> Collection[str] | None:
    """Layers that may differ from the file's; None: any."""
    if isinstance(network, Segmenter):
        return network.new_layers()
    new_layers = getattr(module, "new_layers", None)
    return new_layers(network) if new_layers else None


def _fill(
    network: nn.Module, weights: Mapping[str, Tensor], label: str, may_differ: Collection[str] | None
) -> tuple[set[str], list[str]]:
    """Copy what fits by name and shape; the names that stay new, and lines that say so.

    Args:
        may_differ: layers that may be new or of another shape; None: any.
    """
    own = named_weights(network)
    taken = [name for name in own if name in weights and weights[name].shape == own[name].shape]
    reshaped = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    missing = [name for name in own if name not in weights]
    tied = network.state_dict().keys() - own.keys()
    unused = [name for name in weights if name not in own and name not in tied]
    parameters = {name for name, _ in network.named_parameters()}
    if not parameters & set(taken):
        raise UserError(
            f"no tensor of {label} fits the model: it has {listed(list(own))}; the file has {listed(list(weights))}",
            "use the model that the weights are of",
        )
    shapes = [f"{name} {_shape(weights[name])} -> {_shape(own[name])}" for name in reshaped]
    if may_differ is not None:
        kinds = {"of another shape": reshaped, "not in the file": missing, "not in the model": unused}
        _require_whole(label, may_differ, kinds, dict(zip(reshaped, shapes, strict=True)))
    network.load_state_dict({name: weights[name] for name in taken}, strict=False)
    share = sum(own[name].numel() for name in taken) / sum(value.numel() for value in own.values())
    lines = [f"transfer: {len(taken)} of {len(own)} tensors ({share:.1%} of the values) are from {label}"]
    if reshaped:
        lines.append(f"transfer: new, of another shape: {listed(shapes)}")
    if missing:
        lines.append(f"transfer: new, not in the file: {listed(missing)}")
    if unused:
        lines.append(f"transfer: not used: {listed(unused)}")
    return {*reshaped, *missing} & parameters, lines


def _require_whole(
    label: str, may_differ: Collection[str], differing: Mapping[str, list[str]], shapes: Mapping[str, str]
) -> None:
    """Raises UserError naming the tensors that differ and do not belong to layers that may."""
    layers = tuple(f"{layer}." for layer in may_differ)
    told = [f"{label} is not of this model; apart from the layers that may differ ({listed(sorted(may_differ))})"]
    for kind, names in differing.items():
        # Counters of batches, which old files lack, change nothing.
        wrong = [each for each in names if not each.startswith(layers) and not each.endswith(_COUNTER)]
        if wrong:
            told.append(f"{kind}: {listed([shapes.get(each, each) for each in wrong])}")
    if len(told) > 1:
        raise UserError("\n  ".join(told), "use the model that the weights are of, with its settings")


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape))


def _freeze(network: nn.Module, patterns: list[str]) -> tuple[nn.Module, ...]:
    names = [name for name, _ in network.named_parameters()]
    _require_names("transfer.freeze", patterns, names)
    for name, parameter in network.named_parameters():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UserError("transfer.freeze leaves nothing to train", "leave out the head at least")
    # Frozen scales and shifts over moving statistics would still be another function every step.
    return tuple(
        each
        for each in network.modules()
        if isinstance(each, nn.modules.batchnorm._BatchNorm)
        and (own := list(each.parameters(recurse=False)))
        and not any(parameter.requires_grad for parameter in own)
    )


def _require_names(where: str, patterns: Iterable[str], names: list[str]) -> None:
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            guess = nearest(pattern.rstrip("*."), names)
            hint = f"did you mean {guess}? " if guess else ""
            raise UserError(f"{where}: no parameter is called {pattern}", f"{hint}they are {listed(names)}")


def _rates(network: nn.Module, settings: TransferParams, module: ModuleType, new: set[str]) -> dict[str, float]:
    trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    _require_names("transfer.rates", settings.rates, [name for name, _ in network.named_parameters()])
    rates = _layer_rates(network, settings, module, new, trained)
    for pattern, rate in settings.rates.items():
        rates.update(dict.fromkeys(fnmatch.filter(trained, pattern), rate))
    return rates


def _layer_rates(
    network: nn.Module, settings: TransferParams, module: ModuleType, new: set[str], trained: list[str]
) -> dict[str, float]:
    if settings.layer_decay == 1.0:
        return {name: settings.head_lr if name in new else 1.0 for name in trained}
    depths = _depths(network, module)
    if not depths:
        raise UserError(
            "transfer.layer_decay is set, and the model does not number its layers", "set transfer.layer_decay: 1.0"
        )
    top = max((each for each in depths.values() if each is not None), default=0) + (None in depths.values())
    below = {name: top - (top if each is None else each) for name, each in depths.items()}
    return {name: settings.head_lr if name in new else settings.layer_decay ** below[name] for name in trained}


def _depths(network: nn.Module, module: ModuleType) -> dict[str, int | None]:
    """Number of each parameter's layer; empty if the model does not number them."""
    if isinstance(network, Segmenter):
        return network.depths()
    if hasattr(module, "depths"):
        return dict(module.depths(network))
    depth: Callable[[str], int | None] | None = getattr(module, "depth", None)
    return {name: depth(name) for name, _ in network.named_parameters()} if depth else {}
