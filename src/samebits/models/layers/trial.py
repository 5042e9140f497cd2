"""A model's answer to a few samples, computed before the training so that a misfit is told at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def computed(model: nn.Module, inputs: Tensor) -> object:
    """What the model gives in eval mode. The model's mode and torch's random state stay as they are.

    What it draws and where it is not deterministic is the training's matter.

    Raises:
        Exception: whatever the model raises.
    """
    strict, training = torch.get_deterministic_debug_mode(), model.training
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.set_deterministic_debug_mode("default")
        try:
            found: object = model.eval()(inputs)
        finally:
            torch.set_deterministic_debug_mode(strict)
            model.train(training)
    return found
