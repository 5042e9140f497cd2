"""Ensembles inside one model: each member has its own loss in training."""

from __future__ import annotations

from torch import Tensor


def flatten_ensemble(outputs: Tensor, targets: Tensor, axes: int) -> tuple[Tensor, Tensor]:
    """Flatten the outputs of the members of an ensemble into a larger batch.

    Args:
        outputs: [N, members, ...], or [N, ...] of a model that is no ensemble.
        targets: [N, ...].
        axes: of the outputs of a model that is no ensemble.

    Returns:
        [N * members, ...] and [N * members], or both as they are.
    """
    if outputs.ndim == axes:
        return outputs, targets
    return outputs.flatten(0, 1), targets.repeat_interleave(outputs.shape[1], dim=0)
