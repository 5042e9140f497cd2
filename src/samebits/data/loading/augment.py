"""Augmentation of a whole batch of uint8 or uint16 images at once.

What happens to a sample is a function of (seed, epoch, sample index) and the parameters: not of its
neighbours in the batch, nor of what other changes are switched on (each owns its column of random numbers).
Plain numpy: worker threads can run it beside the training step without touching torch's threads.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.data.loading.color_jitter import color_jitter
from samebits.data.loading.order import Int64, Stream, uniform
from samebits.params.augment import AugmentParams

Images = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

# Column of each random number. Part of the result's bits: append, never reorder.
_DY, _DX, _FLIP, _ROTATE, _SCALE, _SHEAR, _ERASE_Y, _ERASE_X = range(8)
_AREA, _RATIO, _CROP_Y, _CROP_X, _BRIGHTNESS, _CONTRAST, _SATURATION = range(8, 15)
_ALL_COLUMNS = 16
# Width to height of a random resized crop, relative to the image's: log-uniform between 3/4 and 4/3, as Szegedy et al.
# (2014) have it for square images.
_WIDEST = 4 / 3
# 25,000 pixels: the 100 KiB arrays of the resampling fit a core's second-level cache.
_CACHED_PIXELS = 25_000
_NOTHING = AugmentParams()


def is_identity(params: AugmentParams) -> bool:
    """True if nothing is switched on."""
    return params == _NOTHING


def augment(
    images: Images,
    indices: Int64,
    params: AugmentParams,
    *,
    seed: int,
    epoch: int,
    fill: tuple[int, ...] | None = None,
) -> Images:
    """`apply` with the numbers of these samples in this epoch.

    Args:
        images: uint8 or uint16 [B, C, H, W]; not changed.
        indices: int64 [B], the samples' indices in their split.
        fill: see `apply`.
    """
    return apply(images, draw(indices, params, seed=seed, epoch=epoch), params, fill=fill)


def draw(indices: Int64, params: AugmentParams, *, seed: int, epoch: int) -> Floats:
    """The random numbers of samples in an epoch, as many as the settings need: float32 [n, columns].

    Row i belongs to sample indices[i], whatever the others are: many batches' numbers may be drawn at once.
    """
    return uniform(seed, Stream.AUGMENT, epoch, indices, _columns(params))


def _columns(params: AugmentParams) -> int:
    if is_identity(params):
        return 0
    if params.resized_crop < 1 or _changes_colours(params):
        return _ALL_COLUMNS
    return 8 if _is_affine(params) or params.erase else 3


def _is_affine(params: AugmentParams) -> bool:
    return params.rotate > 0 or params.scale > 0 or params.shear > 0


def _changes_colours(params: AugmentParams) -> bool:
    return params.brightness > 0 or params.contrast > 0 or params.saturation > 0


def apply(images: Images, chance: Floats, params: AugmentParams, *, fill: tuple[int, ...] | None = None) -> Images:
    """A batch after resized crop and affine change (one resampling), shift, flip, colours and erasure, in this order.

    Args:
        images: uint8 or uint16 [B, C, H, W]; not changed.
        chance: of `draw`, a row per sample.
        fill: mean pixel of each channel, what `erase` writes; zeros if absent.

    Returns:
        as `images`, contiguous; `images` itself where nothing is switched on.
    """
    if is_identity(params):
        return np.ascontiguousarray(images)
    out = _moved(images, chance, params)
    if _changes_colours(params):
        factors = (chance[:, [_BRIGHTNESS, _CONTRAST, _SATURATION]].astype(np.float64) * 2 - 1) * (
            params.brightness,
            params.contrast,
            params.saturation,
        )
        out = color_jitter(out, 1 + factors)
    if params.erase:
        out = _erase(out if out is not images else images.copy(), chance, params.erase, fill)
    return np.ascontiguousarray(out)


def apply_to_masks(masks: Images, chance: Floats, params: AugmentParams) -> Images:
    """Masks moved as `apply` moves the images of the same chances: each pixel is the nearest one, 255 where none is.

    Args:
        masks: uint8 [B, H, W]; not changed.
    """
    if is_identity(params):
        return np.ascontiguousarray(masks)
    # 255 + 1 is 0 in uint8, which is what moves in.
    moved = _moved((masks + np.uint8(1))[:, None], chance, params, nearest=True)
    return np.ascontiguousarray(moved[:, 0] - np.uint8(1))


def _moved(images: Images, chance: Floats, params: AugmentParams, *, nearest: bool = False) -> Images:
    """What changes places alone: crop, affine change, shift, flip. `images` itself where nothing is switched on."""
    out = images
    if params.resized_crop < 1:
        matrices = _matrices(chance, params)
        sizes, moves = _crops(chance, params.resized_crop, images.shape[2], images.shape[3])
        # matrix @ (size * place + move): the crop is taken from the image as rotation, scale and shear leave it.
        moves = (matrices * moves[:, None, :]).sum(axis=2)
        out = _affine(out, matrices * sizes[:, None, :], moves, nearest=nearest)
    elif _is_affine(params):
        out = _affine(out, _matrices(chance, params), nearest=nearest)
    if params.shift:
        out = _shift(out, _offsets(chance[:, _DY], params.shift), _offsets(chance[:, _DX], params.shift), params.shift)
    if params.flip:
        out = _flip(out, chance[:, _FLIP] < np.float32(0.5), owned=out is not images)
    return out


def _offsets(chance: Floats, shift: int) -> Int64:
    """Uniform integers in 0 .. 2 * shift."""
    return (chance * np.float32(2 * shift + 1)).astype(np.int64)


def _shift(images: Images, dy: Int64, dx: Int64, shift: int) -> Images:
    """Move each image by (dy - shift, dx - shift) pixels up and left, zeros moving in.

    As whole blocks of memory: with zeros before and after it, an image is moved by copying its h * w pixels from
    another offset. What wrapped around into the neighbouring row is then masked out. Five times as fast as
    copying row by row, since rows are short.
    """
    b, c, h, w = images.shape
    size, guard = h * w, shift * (w + 1)
    kind = images.dtype
    padded = np.zeros((b * c, guard + size + guard), dtype=kind)
    padded[:, guard : guard + size] = images.reshape(b * c, size)
    flat = padded.reshape(-1)
    blocks = np.lib.stride_tricks.as_strided(
        flat[:size].view(f"V{size * kind.itemsize}"), (flat.size - size + 1,), (kind.itemsize,), writeable=False
    )
    start = np.arange(b * c) * padded.shape[1] + np.repeat(dy * w + dx, c)
    moved: Images = blocks[start].view(kind).reshape(b, c * size)
    moved &= _kept_columns(shift, c * h, w, kind)[dx]
    return moved.reshape(images.shape)


@lru_cache(maxsize=8)
def _kept_columns(shift: int, rows: int, w: int, kind: np.dtype[Any]) -> Images:
    """For each horizontal shift 0 .. 2 * shift, a mask (all bits or none) of the pixels that did not wrap around."""
    column = np.arange(w) + np.arange(-shift, shift + 1)[:, None]
    kept = np.where((column >= 0) & (column < w), np.iinfo(kind).max, 0).astype(kind)
    return np.tile(kept, (1, rows))


def _flip(images: Images, mask: npt.NDArray[np.bool_], *, owned: bool) -> Images:
    """Mirror the masked images left and right."""
    out = images if owned else images.copy()
    out[mask] = _mirrored(out[mask])
    return out


def _mirrored(images: Images) -> Images:
    """Each row backwards: of bytes, words of up to eight in reverse order, then the bytes of each word."""
    if images.itemsize > 1:
        return images[..., ::-1]
    word = math.gcd(images.shape[-1], 8)
    backwards = np.ascontiguousarray(images.view(f"u{word}")[..., ::-1])
    return backwards.byteswap(inplace=True).view(np.uint8)


def _erase(images: Images, chance: Floats, side: int, fill: tuple[int, ...] | None) -> Images:
    """Set a square to the mean pixel, in place. Its centre is uniform over the image; edges cut it."""
    b, c, h, w = images.shape
    value = np.array(fill or (0,) * c, dtype=images.dtype)[None, :, None, None]
    top = (chance[:, _ERASE_Y] * np.float32(h)).astype(np.int64) - side // 2
    left = (chance[:, _ERASE_X] * np.float32(w)).astype(np.int64) - side // 2
    y, x = np.arange(h), np.arange(w)
    rows = (y >= top[:, None]) & (y < top[:, None] + side)
    cols = (x >= left[:, None]) & (x < left[:, None] + side)
    mask = (rows[:, :, None] & cols[:, None, :])[:, None]
    np.copyto(images, np.broadcast_to(value, images.shape), where=np.broadcast_to(mask, (b, c, h, w)))
    return images


def _matrices(chance: Floats, params: AugmentParams) -> npt.NDArray[np.float64]:
    """For each sample the 2 x 2 matrix that maps output offsets from the centre to input offsets, [B, 2, 2]."""
    signed = chance.astype(np.float64) * 2.0 - 1.0
    out = np.empty((len(chance), 2, 2))
    # math, not numpy: the library's vector sine may round a value differently by its place in the array.
    for i, row in enumerate(signed):
        angle = math.radians(params.rotate * float(row[_ROTATE]))
        shear = math.tan(math.radians(params.shear * float(row[_SHEAR])))
        size = 1.0 + params.scale * float(row[_SCALE])
        cos, sin = math.cos(angle) / size, math.sin(angle) / size
        # Inverse of rotation @ x-shear @ size, in (x, y).
        out[i] = ((cos + shear * sin, sin - shear * cos), (-sin, cos))
    return out


def _crops(
    chance: Floats, least: float, height: int, width: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Random resized crops: their sides as shares of the image's, and the offsets of their centres in pixels.

    The area is uniform in [least, 1] of the image's, the ratio of the sides relative to the image's log-uniform; a side
    longer than the image's is cut to it. The outermost places read lie on the image, never outside.

    Returns:
        [B, 2] each, in (x, y).
    """
    sizes, moves = np.empty((len(chance), 2)), np.empty((len(chance), 2))
    for i, row in enumerate(chance.astype(np.float64)):
        pixels = (least + (1 - least) * float(row[_AREA])) * height * width
        ratio = math.exp(math.log(_WIDEST) * (2 * float(row[_RATIO]) - 1)) * (width / height)
        across, down = math.sqrt(pixels * ratio) / width, math.sqrt(pixels / ratio) / height
        sizes[i] = min(1.0, across), min(1.0, down)
        moves[i] = float(row[_CROP_X]) - 0.5, float(row[_CROP_Y]) - 0.5
    moves *= (1 - sizes) * (width - 1, height - 1)
    return sizes, moves


def _affine(
    images: Images,
    matrices: npt.NDArray[np.float64],
    moves: npt.NDArray[np.float64] | None = None,
    *,
    nearest: bool = False,
) -> Images:
    """Bilinear resampling about the centre, zero outside, in fixed point: positions and weights in 1/256.

    A few images at a time, so that the intermediate arrays stay in the processor's cache.

    Args:
        moves: [B, 2], added to the places read, in (x, y) pixels.
        nearest: take the nearest pixel instead of a mean of four.
    """
    moves = np.zeros((len(images), 2)) if moves is None else moves
    out = np.empty(images.shape, dtype=images.dtype)
    count = max(1, _CACHED_PIXELS // (images.shape[2] * images.shape[3]))
    for first in range(0, len(images), count):
        part = slice(first, first + count)
        _resample(images[part], matrices[part], moves[part], out[part], nearest=nearest)
    return out


def _resample(
    images: Images,
    matrices: npt.NDArray[np.float64],
    moves: npt.NDArray[np.float64],
    out: Images,
    *,
    nearest: bool,
) -> None:
    b, c, h, w = images.shape
    middle_y, middle_x = (h - 1) / 2, (w - 1) / 2
    y, x = np.arange(h)[None, :] - middle_y, np.arange(w)[None, :] - middle_x

    def positions(row: int, middle: float, size: int) -> npt.NDArray[np.int32]:
        # Counted from one pixel outside the corner, the zero border; clipped to where all pixels read are zeros.
        # The two terms are rounded apart: their sum is then an addition of integers, 1/256 pixel off at most.
        along_y = matrices[:, row, 1, None] * y + (middle + 1 + moves[:, row, None])
        along_x = matrices[:, row, 0, None] * x
        terms = [np.rint(np.clip(term * 256, -(2**30), 2**30)).astype(np.int32) for term in (along_y, along_x)]
        at: npt.NDArray[np.int32] = terms[0][:, :, None] + terms[1][:, None, :]
        np.clip(at, 0, (size + 1) * 256, out=at)
        return at

    # 16 bits of a pixel and 8 of each weight are more than int32 holds.
    wide: np.dtype[Any] = np.dtype(np.int32 if images.dtype == np.uint8 else np.int64)
    px, py = positions(0, middle_x, w), positions(1, middle_y, h)
    if nearest:
        px, py = (px + 128) & ~255, (py + 128) & ~255
    fx, fy = px & 255, py & 255
    px >>= 8
    py >>= 8
    # Two pixels wide at the far edge: a position clipped there reads its neighbours, too.
    row, plane = w + 3, (h + 3) * (w + 3)
    padded = np.zeros((b, c, h + 3, w + 3), dtype=images.dtype)
    padded[:, :, 1 : h + 1, 1 : w + 1] = images
    flat = padded.reshape(-1)
    py *= row
    py += px
    start = py + (np.arange(b) * (c * plane))[:, None, None]
    for channel in range(c):
        left, right = flat[channel * plane :], flat[channel * plane + 1 :]
        below_left, below_right = left[row:], right[row:]
        top = _between(left[start], right[start], fx, wide)
        bottom = _between(below_left[start], below_right[start], fx, wide)
        bottom -= top
        bottom *= fy
        top <<= 8
        top += bottom
        top += 1 << 15
        top >>= 16
        out[:, channel] = top


def _between(near: Images, far: Images, weight: npt.NDArray[np.int32], wide: np.dtype[Any]) -> npt.NDArray[Any]:
    """256 * near + weight * (far - near), of the type `wide`."""
    low = near.astype(wide)
    step = far - low
    step *= weight
    low <<= 8
    low += step
    return low
