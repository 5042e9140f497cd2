"""Batch normalisation needs more than one value of each channel: known before the first step, not in its midst."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from samebits.base.errors import UserError
from samebits.compute.deterministic_errors import module_in

if TYPE_CHECKING:
    from samebits.training.loop import Training


def require_enough_for_batch_norm(training: Training) -> None:
    """Try a forward pass of one sample, where training will come to it: what a layer sees depends on those before it.

    Raises:
        UserError: if a batch normalisation has a single value of each channel.
    """
    size, micro = training.settings.batch_size, training.micro_batch_size
    moving = [each for each in training.state.model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    if 1 not in (micro, size % micro) or not set(moving) - set(training.frozen):
        return
    model = copy.deepcopy(training.state.model).train()
    for name, layer in training.state.model.named_modules():
        if layer in training.frozen:
            model.get_submodule(name).eval()
    sample = training.batches.batch(0).inputs[:1].to(training.device)
    try:
        with torch.no_grad():
            model(training.preprocess(sample))
    except (RuntimeError, MemoryError):
        return  # no memory, or a model that fails: the training meets it, too, and says so
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        name = module_in(error.__traceback__, model)
        where = "train.micro_batch_size" if micro < size else "train.batch_size"
        how = f"{micro}" if micro == 1 else f"{micro}, which leaves one of {size} samples over"
        raise UserError(
            f"{where} is {how}: in a forward pass of one sample, the batch normalisation {name} has a single value of "
            "each channel, and no variance",
            f"set {where} to 2 or more"
            + (", a divisor of train.batch_size" if micro < size else "")
            + ", or use a model without batch normalisation",
        ) from None
