"""torch's optimisers from the `train.optimizer` section."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn, optim

from samebits.params.train import AdamParams, SGDParams

_RATE = "samebits_rate"
"""Key of a parameter group: its learning rate as a multiple of the common one."""


def build_optimizer(
    model: nn.Module, settings: SGDParams | AdamParams, rates: Mapping[str, float] | None = None
) -> optim.Optimizer:
    """SGD, Adam or AdamW over a model's parameters.

    Weight decay applies to matrices and convolutions; biases and normalisation scales (one-dimensional) are left
    out, as decaying them only fights the normalisation. The fused kernels make one pass over the weights.

    Args:
        rates: learning rate of a parameter, by name, as a multiple of the common one; 1 where it is left out.
    """
    trained = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
    of_rate = {name: (rates or {}).get(name, 1.0) for name, _ in trained}
    groups = [
        {
            "params": [each for name, each in trained if of_rate[name] == rate and (each.ndim > 1) == decays],
            "weight_decay": settings.weight_decay if decays else 0.0,
            _RATE: rate,
        }
        for rate in sorted(set(of_rate.values()))
        for decays in (True, False)
    ]
    groups = [group for group in groups if group["params"]]
    if isinstance(settings, SGDParams):
        nesterov = settings.nesterov and settings.momentum > 0
        return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, fused=True)
    kind = optim.AdamW if settings.name == "adamw" else optim.Adam
    return kind(groups, lr=settings.lr, betas=(settings.beta1, settings.beta2), eps=settings.eps, fused=True)


def set_learning_rate(optimizer: optim.Optimizer, value: float) -> None:
    """The learning rate of every parameter group: `value`, times the group's own multiple."""
    for group in optimizer.param_groups:
        group["lr"] = value * group[_RATE]
