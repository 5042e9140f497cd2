"""torch's optimisers from the `train.optimizer` section."""

from __future__ import annotations

from torch import nn, optim

from samebits.params.train import AdamParams, SGDParams


def build_optimizer(model: nn.Module, settings: SGDParams | AdamParams) -> optim.Optimizer:
    """SGD, Adam or AdamW over a model's parameters.

    Weight decay applies to matrices and convolutions; biases and normalisation scales (one-dimensional) are left
    out, as decaying them only fights the normalisation. The fused kernels make one pass over the weights.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [each for each in trained if each.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if isinstance(settings, SGDParams):
        nesterov = settings.nesterov and settings.momentum > 0
        return optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, fused=True)
    kind = optim.AdamW if settings.name == "adamw" else optim.Adam
    return kind(groups, lr=settings.lr, betas=(settings.beta1, settings.beta2), eps=settings.eps, fused=True)


def set_learning_rate(optimizer: optim.Optimizer, value: float) -> None:
    """The same learning rate for every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = value
