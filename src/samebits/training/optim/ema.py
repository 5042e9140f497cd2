"""An exponential moving average of the weights (Polyak and Juditsky, 1992), evaluated in place of the last ones."""

from __future__ import annotations

import copy

import torch
from torch import nn


class ModelEma:
    """Holds a second model whose floating-point weights and buffers follow the trained one's.

    The decay starts low, min(decay, (1 + step) / (10 + step)), so that the random initial weights are forgotten
    at once. Integer buffers (batch counters) are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self._pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))

    def follow(self, averaged: dict[str, torch.Tensor], trained: dict[str, torch.Tensor]) -> None:
        """Of models that are cut: average these rows, which are theirs."""
        self._pairs = [(each, trained[name]) for name, each in averaged.items()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the trained weights after update number `step`, counted from 0."""
        weight = 1.0 - min(self.decay, (1 + step) / (10 + step))
        averaged = [mine for mine, _ in self._pairs if mine.is_floating_point()]
        trained = [theirs for mine, theirs in self._pairs if mine.is_floating_point()]
        torch._foreach_lerp_(averaged, trained, weight)
        for mine, theirs in self._pairs:
            if not mine.is_floating_point():
                mine.copy_(theirs)


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    return [*(parameter.data for parameter in model.parameters()), *model.buffers()]
