"""Weight gradients of convolutions whose output is a small image, by products of matrices; of depthwise ones by sums.

oneDNN has no AVX2 kernel of its own for most of them, and multiplies one image at a time: 93 ms for 128 images of 1x1
with 512 channels and a kernel of 3x3, in place of 1 ms (Zen 4, one thread). It also multiplies the padding, which is
all that 8 of the 9 weights of such a kernel see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_LARGEST = 16
"""Positions of the output, 4x4: above that oneDNN's own kernels are as fast, or faster."""

_LEAST_CHANNELS = 128
"""Below that oneDNN is as fast, or faster."""

_IMAGES = 4
"""Axes of a batch of images."""


def small_weight_gradients(product: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Callable[..., Any]]:
    """`convolution_backward`, which computes weight gradients of small images by `product`, all else by torch's own.

    Which it is follows from the shapes alone.
    """
    name = "convolution_backward"
    original = torch.library.get_kernel(f"aten::{name}", "CPU")

    def compute(keys: torch.DispatchKeySet, grad: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> Any:
        *settings, wanted = rest
        _, stride, padding, dilation, transposed, _, groups = settings
        combine = _depthwise if 1 < groups == x.shape[1] == grad.shape[1] else product if groups == 1 else None
        plain = not transposed and all(each == 1 for each in dilation)
        if combine is None or not (wanted[1] and plain and _small(grad, x, weight)):
            return original.call_boxed(keys, grad, x, weight, *rest)
        of_weight = _weight_gradient(combine, grad, x, weight, stride, padding)
        of_input, of_bias = None, None
        if wanted[0] or wanted[2]:
            others = [wanted[0], False, wanted[2]]
            of_input, _, of_bias = original.call_boxed(keys, grad, x, weight, *settings, others)
        return of_input, of_weight, of_bias

    return {name: compute}


def _depthwise(grad: Tensor, x: Tensor) -> Tensor:
    """[c, 1] of [c, n] and [n, c]."""
    return (grad.T * x).sum(0)[:, None]


def _small(grad: Tensor, x: Tensor, weight: Tensor) -> bool:
    if grad.ndim != _IMAGES or not grad.numel() or not grad.dtype == x.dtype == weight.dtype == torch.float32:
        return False
    positions, seen = grad.shape[2] * grad.shape[3], weight.shape[2] * weight.shape[3]
    # For a kernel of one position oneDNN has its own, and for a depthwise one that is smaller than the image.
    faster = seen > (positions if weight.shape[1] == 1 else 1)
    return positions <= _LARGEST and faster and min(x.shape[1], grad.shape[1]) >= _LEAST_CHANNELS


def _weight_gradient(
    combine: Callable[[Tensor, Tensor], Tensor],
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
) -> Tensor:
    """One product per position in the kernel, over the outputs whose input there is no padding.

    Args:
        combine: [out, n] and [n, in] to [out, in], or [out, 1] of a depthwise convolution.
        grad: of the output, [n, out, h, w].
        x: [n, in, height, width].

    Returns:
        [out, in, rows, columns], in the memory format of `weight`.
    """
    grad, x = grad.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1)
    # One number stands for both axes, as elsewhere in torch.
    stride, padding = ([*each] * 2 if len(each) == 1 else each for each in (stride, padding))
    out = torch.zeros_like(weight)
    for row in range(weight.shape[2]):
        of_grad, of_x = _seen(row, stride[0], padding[0], x.shape[1], grad.shape[1])
        for column in range(weight.shape[3]):
            across_grad, across_x = _seen(column, stride[1], padding[1], x.shape[2], grad.shape[2])
            left = grad[:, of_grad, across_grad].reshape(-1, grad.shape[-1])
            if len(left):
                right = x[:, of_x, across_x].reshape(-1, x.shape[-1])
                out[:, :, row, column] = combine(left.T, right)
    return out


def _seen(place: int, stride: int, padding: int, size: int, outputs: int) -> tuple[slice, slice]:
    """Along one axis, the outputs for which `place` in the kernel lies on the image, and what it sees there."""
    first = max(0, -((place - padding) // stride))
    last = min(outputs, (size - 1 + padding - place) // stride + 1)
    if first >= last:
        return slice(0, 0), slice(0, 0)
    start = first * stride + place - padding
    return slice(first, last), slice(start, (last - 1) * stride + place - padding + 1, stride)
