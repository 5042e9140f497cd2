"""Brightness, contrast and saturation of images of integers, in integers: every machine makes the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[Any]

_RGB = 3
# Luma of ITU-R BT.601 in 1/256; they add up to 256.
_LUMA = np.array([77, 150, 29], dtype=np.int32)


def color_jitter(images: Images, factors: npt.NDArray[np.float64]) -> Images:
    """Brightness, then contrast, then saturation; each step is rounded and kept in 0 .. 255, or 65,535.

    Brightness multiplies. Contrast draws a pixel to or from the mean grey of its image, saturation to or from its own
    grey; images of another number of channels than three have no saturation, and their grey is the channels' mean.

    Args:
        images: uint8 or uint16 [B, C, H, W]; not changed.
        factors: [B, 3], 1 leaves all as it is.

    Returns:
        as `images`.
    """
    largest = int(np.iinfo(images.dtype).max)
    brightness, contrast, saturation = np.rint(factors.T * 256).astype(np.int32)[:, :, None, None, None]
    out = _between(0, images.astype(np.int32), brightness, largest)
    if (contrast != 256).any():
        grey = _grey(out)
        mean = (grey.sum(axis=(1, 2, 3), dtype=np.int64) // grey[0].size).astype(np.int32)
        out = _between(mean[:, None, None, None], out, contrast, largest)
    if images.shape[1] == _RGB and (saturation != 256).any():
        out = _between(_grey(out), out, saturation, largest)
    return out.astype(images.dtype)


def _grey(images: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """[B, 1, H, W]"""
    if images.shape[1] == _RGB:
        weighed: npt.NDArray[np.int32] = (images * _LUMA[None, :, None, None]).sum(
            axis=1, keepdims=True, dtype=np.int32
        )
        return (weighed + 128) >> 8
    mean: npt.NDArray[np.int32] = images.sum(axis=1, keepdims=True, dtype=np.int32) // images.shape[1]
    return mean


def _between(
    start: npt.NDArray[np.int32] | int, images: npt.NDArray[np.int32], factor: npt.NDArray[np.int32], largest: int
) -> npt.NDArray[np.int32]:
    """start + factor / 256 * (images - start), rounded, in 0 .. `largest`."""
    out: npt.NDArray[np.int32] = start + (((images - start) * factor + 128) >> 8)
    return np.clip(out, 0, largest)
