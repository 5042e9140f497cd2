"""A split read once and as it is: for validation, evaluation and export."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from samebits.data.loading.prepared import Split
from samebits.data.loading.tensors import as_tensor


@dataclass(frozen=True)
class Batch:
    """Samples of one step.

    Attributes:
        inputs: images uint8 [B, C, H, W], or int32 of 16 bits, tokens int32 [B, L], or table rows
            float32 [B, columns]; on the CPU.
        targets: classes int64 [B], numbers float32 [B], or next tokens int64 [B, L].
        indices: int64 [B], the samples' rows in their split.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    indices: npt.NDArray[np.int64]


def sequential(split: Split, batch_size: int, order: npt.NDArray[np.int64] | None = None) -> Iterator[Batch]:
    """Every sample of a split once, as it is; the last batch may be smaller.

    Args:
        order: rows of the split, all or some; None: all, as they are stored.
    """
    rows = np.arange(len(split), dtype=np.int64) if order is None else order
    for start in range(0, len(rows), batch_size):
        indices = rows[start : start + batch_size]
        inputs, targets = split.samples(indices)
        yield Batch(as_tensor(inputs), as_tensor(targets), indices)


def by_length(split: Split) -> npt.NDArray[np.int64]:
    """Rows of a split, the shortest texts first, so that little is computed for padding; of other inputs, in order."""
    return np.argsort(split.lengths(), kind="stable").astype(np.int64)
