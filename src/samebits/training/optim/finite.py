"""NaN and infinity are met before they reach the weights, and before they reach a saved state."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from samebits.base.errors import UserError, listed
from samebits.compute.distributed import ProcessGroup

_SMALLEST_SCALE = 2.0**-14
"""Of fp16's loss, 30 halvings below the first: the gradients are then not finite at any scale."""

CALMER = "lower train.optimizer.lr, lengthen train.schedule.warmup or set train.gradient_clip: 1.0"


def require_finite_step(
    loss: Tensor, gradients: Mapping[str, Tensor], step: int, total: int, group: ProcessGroup | None = None
) -> None:
    """Stop before the update: weights that took a NaN never come back. It waits for the device once.

    Args:
        loss: of the batch, float64.
        gradients: those to look at, by name, left as they are; none where a scaler looks.
        step: of the update, counted from 1.
        group: of processes that have other gradients, or other rows of them.

    Raises:
        UserError: if the loss or a gradient is not finite.
    """
    wrong = torch.zeros((), device=loss.device)
    if gradients:
        # The fastest look at many tensors that torch has, half the time of their norms: 0.1 ms for a convnet on a CPU.
        torch._amp_foreach_non_finite_check_and_unscale_(
            list(gradients.values()), wrong, torch.ones((), device=loss.device)
        )
    if group is not None:
        group.all_reduce(wrong)
    value, found = torch.stack([loss, wrong.double()]).tolist()
    if math.isfinite(value) and not found:
        return
    kept = "the weights were not updated with it, and a state saved before is kept"
    if not math.isfinite(value):
        raise UserError(f"the loss is {value} at step {step} of {total}; {kept}", CALMER)
    names = not_finite(gradients)
    of = f"gradient of {listed(names)}" if names else "gradient in another process"
    raise UserError(
        f"the loss is {value:.6g} and the {of} is not finite at step {step} of {total}; {kept}",
        "look in the model for a function whose slope is infinite somewhere, such as a square root, a norm or a "
        "logarithm at 0, and add a small number to its argument; else lower train.optimizer.lr",
    )


def require_scale(scaler: torch.amp.GradScaler | None, step: int, total: int) -> None:
    """fp16 leaves out an update whose gradients are not finite, and halves the scale: not for ever.

    Raises:
        UserError: if no scale gives finite gradients.
    """
    if scaler is not None and scaler.get_scale() < _SMALLEST_SCALE:
        raise UserError(
            f"up to step {step} of {total}, the gradients in fp16 are not finite at any scale of the loss, "
            "so the weights are no longer updated",
            "set train.precision: bf16 or fp32, or lower train.optimizer.lr",
        )


def require_finite_state(damaged: Sequence[str], step: int) -> None:
    """Nothing is saved that no training can go on from.

    Args:
        damaged: names of tensors that hold NaN or infinity, and should not.

    Raises:
        UserError: if there are any.
    """
    if damaged:
        raise UserError(
            f"{listed(damaged)} is not finite after step {step}; this is not saved, and a state saved before is kept",
            CALMER,
        )


def finite(value: float) -> float | None:
    """The number, or None for NaN and infinity."""
    return value if math.isfinite(value) else None


def not_finite(tensors: Mapping[str, Tensor], passed: Iterable[str] = ()) -> list[str]:
    """Names of the tensors that hold NaN or infinity, without those in `passed`."""
    passed = set(passed)
    return [name for name, value in tensors.items() if name not in passed and not _finite(value)]


def _finite(value: Tensor) -> bool:
    if not (value.is_floating_point() or value.is_complex()):
        return True
    return bool(torch.isfinite(value).all())
