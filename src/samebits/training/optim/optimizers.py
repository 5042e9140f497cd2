"""torch's optimisers from the `train.optimizer` section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn, optim

from samebits.compute.lazy_dynamo import avoid_dynamo_import, step_without_compiler
from samebits.params.train import AdamParams, MuonParams, SGDParams

_LR_SCALE = "samebits_rate"
"""Key of a parameter group: its learning rate as a multiple of the common one."""

Groups = list[dict[str, Any]]


def build_optimizer(
    model: nn.Module,
    settings: SGDParams | AdamParams | MuonParams,
    rates: Mapping[str, float] | None = None,
    *,
    fused: bool = True,
) -> optim.Optimizer:
    """SGD, Adam, AdamW or Muon over a model's parameters.

    Weight decay applies to matrices and convolutions (`_matrices`). The fused kernels make one pass over the weights.

    Args:
        rates: learning rate of a parameter, by name, as a multiple of the common one; 1 where it is left out.
        fused: of SGD and Adam. On a CPU, the fused kernels round the last few values of a tensor otherwise than the
            others, so that a tensor that is cut gets other bits.
    """
    avoid_dynamo_import()
    matrices = _matrices(model)
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    decayed = {name: each in matrices for name, each in trained.items()}
    of_rate = {name: (rates or {}).get(name, 1.0) for name in trained}

    def grouped(names: list[str], factor: float = 1.0) -> Groups:
        return [
            {
                "params": [trained[name] for name in names if of_rate[name] == rate and decayed[name] == decays],
                "weight_decay": settings.weight_decay if decays else 0.0,
                _LR_SCALE: rate * factor,
            }
            for rate in sorted({of_rate[name] for name in names})
            for decays in (True, False)
            if any(of_rate[name] == rate and decayed[name] == decays for name in names)
        ]

    if isinstance(settings, MuonParams):
        hidden = [name for name in trained if decayed[name] and trained[name].ndim == 2 and not _is_head(name)]
        rest = [name for name in trained if name not in set(hidden)]
        return MuonWithAdamW(grouped(hidden), grouped(rest, settings.rest), settings)
    groups = grouped(list(trained))
    optimizer: optim.Optimizer
    if isinstance(settings, SGDParams):
        nesterov = settings.nesterov and settings.momentum > 0
        optimizer = optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, fused=fused)
    else:
        kind = optim.AdamW if settings.name == "adamw" else optim.Adam
        betas = (settings.beta1, settings.beta2)
        optimizer = kind(groups, lr=settings.lr, betas=betas, eps=settings.eps, fused=fused)
    step_without_compiler(optimizer)
    return optimizer


_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
_NORMALISATIONS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_MAGNITUDES = ("weight_g", "original0")
"""What torch's two weight normalisations call the lengths that they multiply directions by."""


def _matrices(model: nn.Module) -> set[nn.Parameter]:
    """What multiplies the features of a layer: matrices and kernels of convolutions.

    Biases and scales are left out, as decaying them only fights the normalisation, whatever their axes (an ensemble
    has one for each member), and so are embeddings: the row of a rare token gets a gradient seldom, but would be
    decayed at every step. A module names its scales in `elementwise`.
    """
    found: set[nn.Parameter] = set()
    left: set[nn.Parameter] = set()
    for module in model.modules():
        whole = isinstance(module, _EMBEDDINGS + _NORMALISATIONS)
        named = (*_MAGNITUDES, *getattr(module, "elementwise", ()))
        for name, each in module.named_parameters(recurse=False):
            is_left = whole or each.ndim < 2 or "bias" in name or name in named
            (left if is_left else found).add(each)
    # A matrix that is an embedding, too, is one.
    return found - left


class MuonWithAdamW(optim.Optimizer):
    """`torch.optim.Muon` for the matrices of hidden layers, `torch.optim.AdamW` for everything else, as one optimiser.

    Muon's steps are scaled to the size of AdamW's (Liu et al., 2025), so learning rates of the two are comparable.

    Args:
        hidden, rest: parameter groups of the two; either may be empty.
    """

    def __init__(self, hidden: Groups, rest: Groups, settings: MuonParams) -> None:
        self.parts: list[optim.Optimizer] = []
        if hidden:
            self.parts.append(
                optim.Muon(hidden, lr=settings.lr, momentum=settings.momentum, adjust_lr_fn="match_rms_adamw")
            )
        if rest:
            betas = (settings.beta1, settings.beta2)
            self.parts.append(optim.AdamW(rest, lr=settings.lr, betas=betas, eps=settings.eps, fused=True))
        for part in self.parts:
            step_without_compiler(part)
        super().__init__(list(self._groups()), {})
        # One list of groups and one state: who sets a rate here, or saves and restores, need not know of the parts.
        self.param_groups = list(self._groups())
        for part in self.parts:
            part.state = self.state

    def _groups(self) -> Iterator[dict[str, Any]]:
        for part in self.parts:
            yield from part.param_groups

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for part in self.parts:
            part.step()


def _is_head(name: str) -> bool:
    """The last layer: a model calls it `head`."""
    return name.split(".", maxsplit=1)[0] == "head"


def set_learning_rate(optimizer: optim.Optimizer, value: float) -> None:
    """The learning rate of every parameter group: `value`, times the group's own multiple."""
    for group in optimizer.param_groups:
        group["lr"] = value * group[_LR_SCALE]
