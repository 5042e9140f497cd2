"""Ensembles inside one model: in training, each member has a loss of its own."""

from __future__ import annotations

from torch import Tensor


def each_member(outputs: Tensor, targets: Tensor, axes: int) -> tuple[Tensor, Tensor]:
    """Outputs of a model that gives those of its members one by one, as a larger batch.

    Args:
        outputs: [N, members, ...], or [N, ...] of a model that is no ensemble.
        targets: [N].
        axes: of the outputs of a model that is no ensemble.

    Returns:
        [N * members, ...] and [N * members], or both as they are.
    """
    if outputs.ndim == axes:
        return outputs, targets
    return outputs.flatten(0, 1), targets.repeat_interleave(outputs.shape[1], dim=0)
