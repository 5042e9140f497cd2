"""Stored samples as tensors."""

from __future__ import annotations

import numpy as np
import torch

from samebits.data.loading.prepared import Array


def as_tensor(array: Array) -> torch.Tensor:
    """An array of samples or targets as a tensor; uint16 becomes int32, as torch computes little in uint16."""
    return torch.from_numpy(array.astype(np.int32) if array.dtype == np.uint16 else array)
