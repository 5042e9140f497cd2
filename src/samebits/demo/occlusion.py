"""Parts of an array painted over, one window after the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from samebits.base.decimals import printed_number
from samebits.demo.form import Effects, Variants
from samebits.signature.kind import Array

_FINE, _COARSE = 14, 10
"""Cells along an axis of up to `_SMALL` values, and of a longer one."""
_SMALL = 64
_WINDOW = 3
"""Cells along an axis that are painted over at once."""


def occlusions(sample: Array, fill: Array, axes: Sequence[int]) -> Variants:
    """Windows of an array replaced by what is usual there.

    The axes are cut into cells, and a window covers three of them. A cell's effect is the mean of those of the windows
    that cover it.

    Args:
        sample: [...].
        fill: of the same shape, or one that broadcasts to it.
        axes: one or two, along which windows move.
    """
    edges = [_edges(sample.shape[axis]) for axis in axes]
    starts = [range(max(1, len(each) - _WINDOW)) for each in edges]
    windows = list(product(*starts))
    samples = np.repeat(sample[None], 1 + len(windows), axis=0)
    usual = np.broadcast_to(fill, sample.shape)
    for place, window in enumerate(windows, start=1):
        covered: list[slice] = [slice(None)] * sample.ndim
        for axis, start, edge in zip(axes, window, edges, strict=True):
            covered[axis] = slice(edge[start], edge[min(start + _WINDOW, len(edge) - 1)])
        samples[place][tuple(covered)] = usual[tuple(covered)]

    def told(effects: Effects) -> dict[str, Any]:
        total = np.zeros([len(each) - 1 for each in edges])
        count = np.zeros_like(total)
        for window, effect in zip(windows, effects, strict=True):
            cells = tuple(slice(start, start + _WINDOW) for start in window)
            total[cells] += effect
            count[cells] += 1
        values = np.atleast_2d(total / np.maximum(count, 1))
        return {"map": [[printed_number(each) for each in row] for row in values.tolist()]}

    return Variants(samples, [[place] for place in range(1, 1 + len(windows))], told)


def _edges(length: int) -> list[int]:
    cells = min(length, _FINE if length <= _SMALL else _COARSE)
    return [int(each) for each in np.linspace(0, length, cells + 1).round()]
