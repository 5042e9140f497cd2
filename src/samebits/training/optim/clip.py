"""Clipping by a norm whose bits do not depend on how the rows of the gradients lie over the processes."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from samebits.compute.distributed import ProcessGroup
from samebits.training.optim.gradients import rows_of

_NUMBERS = 1 << 20
"""That are widened to float64 together, at most, where a row has fewer."""
_TINY = 1e-6  # as torch's clip_grad_norm_ adds it


def clip_rows(
    gradients: Mapping[str, torch.Tensor], rows: Mapping[str, int], largest: float, group: ProcessGroup
) -> None:
    """Scale gradients down to a global L2 norm, in place.

    The squares are exact in float64. They are added in a tree over each row, and the sums in a tree over all rows of
    all parameters: halves are added to each other, value by value, so there is one order, whatever the kernels.

    Args:
        gradients: this process's rows of each, float32.
        rows: how many the whole parameter has.
        largest: norm.
    """
    device = next(iter(gradients.values())).device
    squares = []
    for name, gradient in gradients.items():
        each = torch.zeros(rows[name], dtype=torch.float64, device=device)
        if gradient.numel():
            flat = gradient.reshape(len(gradient), -1)
            sums = [_folded(part) for part in flat.split(max(1, _NUMBERS // flat.shape[1]))]
            each[rows_of(rows[name], group.rank, group.size)] = torch.cat(sums)
        squares.append(each)
    # Every summand but one is 0, so this sum over the processes is exact.
    norm = _fold(group.all_reduce(torch.cat(squares))[None])[0].sqrt()
    torch._foreach_mul_(list(gradients.values()), (largest / (norm + _TINY)).clamp(max=1.0).float())


def _folded(rows: torch.Tensor) -> torch.Tensor:
    return _fold(rows.double().square_())


def _fold(rows: torch.Tensor) -> torch.Tensor:
    """The sum of each row: [R, C] -> [R]."""
    while (width := rows.shape[1]) > 1:
        half = width // 2
        folded = rows[:, :half] + rows[:, half : 2 * half]
        rows = torch.cat([folded, rows[:, 2 * half :]], dim=1)
    return rows[:, 0]
