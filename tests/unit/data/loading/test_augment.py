"""Augmentation against slow, plain references; and what happens to a sample belongs to the sample."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from samebits.data.loading import augment as module
from samebits.data.loading.augment import augment
from samebits.data.loading.order import Stream, uniform
from samebits.params.augment import AugmentParams

Images = npt.NDArray[np.uint8]


def images(b: int, c: int, h: int, w: int, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(1, 256, (b, c, h, w), dtype=np.uint8)


def run(x: Images, indices: npt.NDArray[np.int64] | None = None, **params: Any) -> Images:
    rows = np.arange(len(x)) if indices is None else indices
    fill = tuple(range(10, 10 + x.shape[1]))
    return augment(x, rows, AugmentParams(**params), seed=5, epoch=2, fill=fill)


shapes = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))


@given(shapes, st.integers(1, 12))
@settings(max_examples=80)
def test_shift_is_pad_and_crop(shape: tuple[int, int, int, int], shift: int) -> None:
    x = images(*shape)
    b, _, h, w = shape
    chance = uniform(5, Stream.AUGMENT, 2, np.arange(b), 2)
    got = run(x, shift=shift)
    for i in range(b):
        dy, dx = (int(value * np.float32(2 * shift + 1)) for value in chance[i])
        padded = np.pad(x[i], ((0, 0), (shift, shift), (shift, shift)))
        assert np.array_equal(got[i], padded[:, dy : dy + h, dx : dx + w])


def test_every_shift_occurs_equally_often() -> None:
    x = np.zeros((20_000, 1, 5, 5), dtype=np.uint8)
    x[:, 0, 2, 2] = 1
    got = run(x, shift=2)
    counts = got.sum(axis=(0, 1))
    assert counts.sum() == 20_000
    # Chi-squared with 24 degrees of freedom: 51.2 has probability 0.001.
    assert ((counts - 800.0) ** 2 / 800).sum() < 51.2


@given(shapes)
@example((9, 1, 3, 28))
@example((9, 3, 2, 32))
@settings(max_examples=30)
def test_flip_mirrors_the_chosen(shape: tuple[int, int, int, int]) -> None:
    x = images(*shape)
    chosen = uniform(5, Stream.AUGMENT, 2, np.arange(shape[0]), 3)[:, 2] < 0.5
    expected = np.where(chosen[:, None, None, None], x[..., ::-1], x)
    assert np.array_equal(run(x, flip=True), expected)


@given(shapes, st.integers(1, 12))
@settings(max_examples=60)
def test_erase_sets_a_square_to_the_mean(shape: tuple[int, int, int, int], side: int) -> None:
    x = images(*shape)
    b, c, h, w = shape
    chance = uniform(5, Stream.AUGMENT, 2, np.arange(b), 8)
    expected = x.copy()
    for i in range(b):
        top, left = int(chance[i, 6] * h) - side // 2, int(chance[i, 7] * w) - side // 2
        for channel in range(c):
            expected[i, channel, max(0, top) : top + side, max(0, left) : left + side] = 10 + channel
    assert np.array_equal(run(x, erase=side), expected)


def by_grid_sample(x: Images, matrices: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    _, _, h, w = x.shape
    y, xs = np.meshgrid(np.arange(h) - (h - 1) / 2, np.arange(w) - (w - 1) / 2, indexing="ij")
    at = np.einsum("bij,jhw->bhwi", matrices, np.stack([xs, y]))
    grid = np.stack([(at[..., 0] + (w - 1) / 2) * 2 / (w - 1) - 1, (at[..., 1] + (h - 1) / 2) * 2 / (h - 1) - 1], -1)
    out = torch.nn.functional.grid_sample(
        torch.from_numpy(x).double(), torch.from_numpy(grid), mode="bilinear", padding_mode="zeros", align_corners=True
    )
    return out.numpy()


@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (3, 3, 17, 32), (40, 1, 60, 50)])
@pytest.mark.parametrize("params", [{"rotate": 30.0}, {"scale": 0.5}, {"shear": 25.0}, {"rotate": 180.0, "scale": 0.9}])
def test_affine_agrees_with_grid_sample(shape: tuple[int, int, int, int], params: dict[str, float]) -> None:
    x = smooth(*shape)  # on noise, 1/256 pixel of position is many grey levels
    chance = uniform(5, Stream.AUGMENT, 2, np.arange(shape[0]), 8)
    expected = by_grid_sample(x, module._matrices(chance, AugmentParams(**params)))
    assert np.abs(run(x, **params).astype(float) - expected).max() < 2.5


def test_affine_turns_the_way_it_says() -> None:
    x = images(1, 2, 7, 7)
    quarter = np.array([[[0.0, 1.0], [-1.0, 0.0]]])
    assert np.array_equal(module._affine(x, quarter)[0], np.rot90(x[0], k=-1, axes=(1, 2)))
    assert np.array_equal(module._affine(x, np.eye(2)[None]), x)


def test_the_matrix_is_the_inverse_of_rotation_shear_and_scale() -> None:
    chance = np.full((1, 8), 0.75, dtype=np.float32)
    matrix = module._matrices(chance, AugmentParams(rotate=40.0, scale=0.2, shear=10.0))[0]
    a, s, k = math.radians(20), math.tan(math.radians(5)), 1.1
    rotation = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    assert np.allclose(matrix @ rotation @ np.array([[1, s], [0, 1]]) * k, np.eye(2))


def test_extreme_shrinking_neither_overflows_nor_reads_elsewhere() -> None:
    x = np.full((3, 1, 8, 8), 255, dtype=np.uint8)
    tiny = np.broadcast_to(np.diag([1e9, 1e9]), (3, 2, 2))
    got = module._affine(x, tiny)
    assert got.sum() == 0


def smooth(*shape: int) -> Images:
    y, x = np.mgrid[0 : shape[2], 0 : shape[3]] / 6
    return np.broadcast_to(127 + 100 * np.sin(y) * np.cos(x), shape).astype(np.uint8)


@pytest.mark.parametrize("shape", [(40, 3, 17, 32), (40, 1, 60, 50), (5, 1, 1, 9)])
def test_a_resized_crop_is_a_part_of_the_image_enlarged(shape: tuple[int, int, int, int]) -> None:
    b, _, h, w = shape
    sizes, moves = module._crops(uniform(5, Stream.AUGMENT, 2, np.arange(b), 16), 0.3, h, w)
    got = run(smooth(*shape), resized_crop=0.3)
    for i in range(b):
        places = [
            np.clip((np.arange(side) - (side - 1) / 2) * size + (side - 1) / 2 + move, 0, side - 1)
            for side, size, move in ((w, sizes[i, 0], moves[i, 0]), (h, sizes[i, 1], moves[i, 1]))
        ]
        image = smooth(*shape)[i, 0].astype(float)
        rows = np.stack([np.interp(places[0], np.arange(w), row) for row in image])
        expected = np.stack([np.interp(places[1], np.arange(h), column) for column in rows.T]).T
        assert np.abs(got[i, 0] - expected).max() < 2.5


def test_resized_crops_have_the_areas_and_ratios_asked_for_and_stay_inside() -> None:
    h, w = 40, 60
    sizes, moves = module._crops(uniform(1, Stream.AUGMENT, 0, np.arange(5_000), 16), 0.25, h, w)
    area, ratio = sizes.prod(axis=1), sizes[:, 0] / sizes[:, 1]  # relative to the image's
    cut = (sizes == 1).any(axis=1)
    assert 0.25 <= area[~cut].min() < 0.26
    assert 0.9 < area.max() <= 1
    assert 0.75 <= ratio[~cut].min() < 0.76
    assert 1.32 < ratio[~cut].max() <= 4 / 3 + 1e-9
    assert (np.abs(moves) <= (1 - sizes) * (w - 1, h - 1) / 2 + 1e-12).all()
    # Nothing outside is read: a white image stays white.
    white = np.full((300, 1, 9, 14), 255, dtype=np.uint8)
    assert run(white, resized_crop=0.1).min() == 255


def test_a_crop_of_the_whole_is_no_crop() -> None:
    x = images(4, 3, 8, 8)
    assert run(x, resized_crop=1.0) is x
    with_others = run(x, rotate=10.0)
    assert np.array_equal(run(x, rotate=10.0, resized_crop=1.0), with_others)


def test_a_crop_of_an_oblong_image_keeps_its_proportions() -> None:
    """A crop in proportions of its own would be a small part of a long image, stretched."""
    sizes, _ = module._crops(uniform(1, Stream.AUGMENT, 0, np.arange(2_000), 16), 0.5, 16, 128)
    assert sizes.prod(axis=1).min() > 0.49
    assert np.abs(np.log(sizes[:, 0] / sizes[:, 1])).max() <= math.log(4 / 3) + 1e-9


EVERYTHING = {"shift": 3, "flip": True, "rotate": 20.0, "scale": 0.2, "shear": 10.0, "erase": 4}
MORE = EVERYTHING | {"resized_crop": 0.5, "brightness": 0.3, "contrast": 0.3, "saturation": 0.3}


@given(st.permutations(list(range(12))), st.integers(1, 12), st.sampled_from([1, 3]), st.sampled_from([0, 1]))
@settings(max_examples=40)
def test_a_sample_does_not_depend_on_its_neighbours(order: list[int], size: int, channels: int, more: int) -> None:
    x, params = images(12, channels, 10, 7), MORE if more else EVERYTHING
    whole = run(x, **params)
    rows = np.array(order[:size], dtype=np.int64)
    assert np.array_equal(run(x[rows], rows, **params), whole[rows])


def test_a_large_batch_equals_single_images() -> None:
    """Past one block of the resampling."""
    x = images(80, 1, 28, 28)
    whole = run(x, **EVERYTHING)
    for i in (0, 31, 32, 79):
        assert np.array_equal(run(x[i : i + 1], np.array([i]), **EVERYTHING)[0], whole[i])


def test_switching_one_change_on_leaves_the_others_as_they_were() -> None:
    x = images(50, 1, 9, 9)
    shifted = run(x, shift=2)
    both = run(x, shift=2, flip=True)
    same = (both == shifted).all(axis=(1, 2, 3))
    mirrored = (both == shifted[..., ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all()
    assert 10 < mirrored.sum() < 40
    # More random numbers are drawn with `erase`: the shift must not notice.
    erased = run(x, shift=2, erase=1)
    assert ((erased != shifted).sum(axis=(1, 2, 3)) <= 1).all()
    brighter = run(x, shift=2, brightness=1e-9)
    assert np.array_equal(brighter, shifted)


@pytest.mark.parametrize(
    "params", [{}, {"shift": 1}, {"flip": True}, {"erase": 3}, {"rotate": 9.0}, {"contrast": 0.5}, EVERYTHING, MORE]
)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_input_is_not_changed(params: dict[str, Any], kind: Any) -> None:
    x = images(6, 2, 8, 8).astype(kind)
    before = x.copy()
    out = run(x, **params)
    assert np.array_equal(x, before)
    assert out.dtype == kind
    assert out.flags.c_contiguous
    assert (out is x) == (not params)


@pytest.mark.parametrize("key", list(MORE))
def test_every_setting_does_something(key: str) -> None:
    x = images(20, 3, 10, 10)
    assert not np.array_equal(run(x, **{key: MORE[key]}), x)


@pytest.mark.parametrize("key", list(MORE))
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_16_bits_are_changed_as_8_are(key: str, channels: int) -> None:
    x = smooth(8, channels, 12, 30)
    shallow, deep = (run(each, **{key: MORE[key]}).astype(float) for each in (x, x.astype(np.uint16) * 257))
    if key == "erase":  # what is written there is no multiple of 257
        assert np.array_equal((shallow != x).any(axis=1), (deep != x.astype(float) * 257).any(axis=1))
    else:
        # Greys are rounded to whole levels.
        assert np.abs(deep / 257 - shallow).max() < 1.5
        assert deep.max() > 20_000


def test_epoch_and_seed_count() -> None:
    x = images(30, 1, 8, 8)
    params, rows = AugmentParams(shift=3), np.arange(30)
    results = [augment(x, rows, params, seed=s, epoch=e).tobytes() for s in (0, 1) for e in (0, 1)]
    assert len(set(results)) == 4


@pytest.mark.parametrize(
    ("params", "width", "digest"),
    [
        (EVERYTHING, 11, "52d92418160fddd1d924b22603d0fa206d0ce368a51aa5a31b1f6820b01ecae1"),
        (MORE, 12, "6aaf8e5cc2dc90db513f8e01952bbf99569a6d223dc007a17c3ac00de4c5c46d"),
    ],
)
def test_the_bits_are_pinned(params: dict[str, Any], width: int, digest: str) -> None:
    """As in test_order: old runs depend on them."""
    x = (np.arange(16 * 3 * 12 * width) * 2654435761 >> 16 & 255).astype(np.uint8).reshape(16, 3, 12, width)
    assert hashlib.sha256(run(x, **params).tobytes()).hexdigest() == digest


def masks(b: int, h: int, w: int) -> Images:
    found = np.random.default_rng(1).integers(0, 4, (b, h, w), dtype=np.uint8)
    found[:, 0, 0] = 255
    return found


@pytest.mark.parametrize("params", [{"flip": True}, {"shift": 3}, {"flip": True, "shift": 2}])
def test_masks_move_by_whole_pixels_as_images_do(params: dict[str, Any]) -> None:
    x = masks(8, 9, 11)
    rows = np.arange(8)
    chance = module.draw(rows, AugmentParams(**params), seed=5, epoch=2)
    found = module.apply_to_masks(x, chance, AugmentParams(**params))
    # An image whose zeros, which move in, are no value of the mask.
    image = np.where(x == 255, 0, x + 1).astype(np.uint8)[:, None]
    moved = run(image, **params)[:, 0]
    assert np.array_equal(found, np.where(moved == 0, 255, moved - 1))
    assert x[0, 0, 0] == 255  # unchanged


AFFINE = {"rotate": 30.0, "scale": 0.2, "shear": 10.0, "resized_crop": 0.5, "shift": 2, "flip": True}


@pytest.mark.parametrize("names", [["rotate"], ["scale", "shear"], ["resized_crop"], list(AFFINE)])
def test_masks_turn_with_their_images(names: list[str]) -> None:
    params = AugmentParams(**{name: AFFINE[name] for name in names})
    y, x = np.mgrid[:32, :32]
    blocks = np.repeat(((y // 12 + x // 9) % 3).astype(np.uint8)[None], 16, axis=0)
    rows = np.arange(16)
    chance = module.draw(rows, params, seed=5, epoch=2)
    found = module.apply_to_masks(blocks, chance, params)
    image = module.apply(((blocks + 1) * np.uint8(60))[:, None], chance, params)[:, 0].astype(int)
    # The image is a mean of four pixels: away from edges it shows the class of the mask.
    expected = np.where(found == 255, 0, (found.astype(int) + 1) * 60)
    plain = np.isin(image, (0, 60, 120, 180))
    assert plain.mean() > 0.5
    assert (image == expected)[plain].mean() > 0.98
    assert set(np.unique(found)) <= {0, 1, 2, 255}


def test_colours_and_erasure_leave_masks_alone() -> None:
    params = AugmentParams(brightness=0.5, contrast=0.5, saturation=0.5, erase=4)
    x = masks(4, 8, 8)
    assert np.array_equal(module.apply_to_masks(x, module.draw(np.arange(4), params, seed=5, epoch=2), params), x)
