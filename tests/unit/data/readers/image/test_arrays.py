"""Images of any depth and number of channels: arrays, pages of TIFF files, and grey files of 16 bits."""

from __future__ import annotations

import io
import re
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from samebits.data.readers.image.pixels import has_image_ending, load_pixels, read_image
from tests.helpers.pictures import encoded, picture, saved, values

HEIGHT, WIDTH = 12, 16
SIZE = (WIDTH, HEIGHT)


def load(array: npt.NDArray[Any], channels: int, size: tuple[int, int] = SIZE, **settings: Any) -> npt.NDArray[Any]:
    return load_pixels(io.BytesIO(saved(array)), channels, size, **settings)


def tiff_of(pages: list[npt.NDArray[Any]]) -> bytes:
    first, *others = map(Image.fromarray, pages)
    return encoded(first, "TIFF", save_all=True, append_images=others)


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 16])
@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
def test_channels_are_the_first_or_the_last_axis(channels: int, bits: int, top: int) -> None:
    array = values(0, channels, (HEIGHT, WIDTH), top)
    if channels in {HEIGHT, WIDTH}:
        array = values(0, channels, (HEIGHT, 20), top)
    size = (array.shape[1], HEIGHT)
    last = load(array, channels, size, bits=bits)
    assert last.dtype == array.dtype
    assert np.array_equal(last, array.transpose(2, 0, 1))
    assert np.array_equal(load(np.ascontiguousarray(array.transpose(2, 0, 1)), channels, size, bits=bits), last)
    if channels == 1:
        assert np.array_equal(load(array[:, :, 0], 1, size, bits=bits), last)


@pytest.mark.parametrize(
    ("shape", "channels", "message"),
    [
        ((5, 16, 5), 5, "its shape [5, 16, 5] is ambiguous: the first and the last axis may be its 5 channels"),
        ((12, 16), 5, "its shape is [12, 16], not [height, width, 5] or [5, height, width]"),
        ((12, 16, 4), 5, "its shape is [12, 16, 4], not"),
        ((12, 5, 16), 5, "its shape is [12, 5, 16], not"),
        ((12, 16, 3), 1, "its shape is [12, 16, 3], not"),
        ((12, 16), 3, "its shape is [12, 16], not"),
        ((1, 5, 12, 16), 5, "its shape is [1, 5, 12, 16], not"),
        ((12,), 1, "its shape is [12], not"),
        ((0, 16), 1, "16x0 pixels, its shorter side has fewer than 1"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], channels: int, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load(np.zeros(shape, dtype=np.uint8), channels)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((12, 16), dtype=np.int16), "signed or 32-bit values have no range of their own"),
        (np.zeros((12, 16), dtype=np.float32), "floating-point values have no range of their own"),
        (np.full((12, 16), np.nan), "NaN"),
        (np.zeros((12, 16), dtype=bool), "of type bool, neither integers nor floating-point"),
        (np.zeros((12, 16), dtype=complex), "of type complex128, neither"),
        (np.full((12, 16), None), "Object arrays cannot be loaded"),
    ],
)
def test_other_values_are_refused(array: npt.NDArray[Any], message: str) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    with pytest.raises(ValueError, match=message):
        load_pixels(buffer, 1, SIZE)


def test_a_damaged_array_is_refused() -> None:
    for data in (saved(values(0, 5))[:-1], saved(values(0, 5))[:20], b"\x93NUMPY"):
        with pytest.raises((ValueError, EOFError)):
            load_pixels(io.BytesIO(data), 5, SIZE)
    assert has_image_ending("a/b.NPY")


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int32, ">u2"])
@pytest.mark.parametrize(("bits", "top"), [(8, 255), (16, 65535)])
def test_values_become_the_stored_ones_by_one_range(kind: Any, bits: int, top: int) -> None:
    array = np.array([[0, 500, 1000, 2000]] * 8).astype(kind)
    found = load(array, 1, (4, 8), value_range=[0, 1000], bits=bits)
    assert found[0, 0].tolist() == [0, round(top / 2 + 0.1), top, top]
    unsigned = load(np.array([[0, 65535]] * 2).astype(np.uint16), 1, (2, 2), bits=bits)
    assert unsigned[0, 0].tolist() == [0, top]


@pytest.mark.parametrize("resize", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("size", [(8, 6), (4, 4), (16, 12), (33, 50)])  # Pillow's area means are of whole pixels
def test_arrays_are_resized_as_images_are(size: tuple[int, int], resize: Any) -> None:
    image = picture(3, SIZE)
    expected = load_pixels(io.BytesIO(encoded(image)), 3, size, resize).astype(int)
    found = load(np.asarray(image), 3, size, resize=resize)
    assert found.shape == (3, size[1], size[0])
    assert np.abs(found - expected).max() <= 1
    deep = load(np.asarray(image).astype(np.uint16) * 257, 3, size, resize=resize, bits=16)
    assert np.abs(deep / 257 - found).max() < 1


def test_area_means_are_exact() -> None:
    array = values(1, 1, (9, 14), 65535)[:, :, 0]
    found = load(array, 1, (7, 3), bits=16, resize="stretch")[0]
    means = array.astype(int).reshape(3, 3, 7, 2).sum(axis=(1, 3))
    assert np.array_equal(found, (2 * means + 6) // 12)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_files_keep_16_bits(kind: str) -> None:
    array = values(2, 1, (HEIGHT, WIDTH), 4095)[:, :, 0]
    data = encoded(Image.fromarray(array), kind)
    found = read_image(io.BytesIO(data), 1, SIZE, bits=16)
    assert np.array_equal(found.pixels[0], array)
    assert found.size == SIZE
    assert np.array_equal(load_pixels(io.BytesIO(data), 3, SIZE, bits=16), np.stack([array] * 3))
    wide = load_pixels(io.BytesIO(data), 1, SIZE, bits=16, value_range=[0, 4095])[0]
    assert np.array_equal(wide, np.rint(array * (65535 / 4095)))


@pytest.mark.parametrize("top", [255, 65535])
@pytest.mark.parametrize("channels", [3, 5])
def test_pages_of_a_tiff_file_are_channels(channels: int, top: int) -> None:
    array = values(3, channels, (HEIGHT, WIDTH), top)
    data = tiff_of([array[:, :, channel] for channel in range(channels)])
    bits = 8 if top == 255 else 16
    assert np.array_equal(load_pixels(io.BytesIO(data), channels, SIZE, bits=bits), array.transpose(2, 0, 1))
    # Of another number of pages, the first is the image.
    assert np.array_equal(load_pixels(io.BytesIO(data), 1, SIZE, bits=bits)[0], array[:, :, 0])
    with pytest.raises(ValueError, match="its number of channels is 1, not 4"):
        load_pixels(io.BytesIO(data), 4, SIZE, bits=bits)


def test_a_tiff_file_of_many_samples_a_pixel_is_told() -> None:
    array = values(3, 5, (4, 6))
    tags = {256: 6, 257: 4, 258: 8, 259: 1, 262: 1, 273: 200, 277: 5, 278: 4, 279: array.size, 284: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    with pytest.raises(ValueError, match=r"a TIFF file of many channels: save those as \.npy"):
        load_pixels(io.BytesIO(head.ljust(200, b"\0") + array.tobytes()), 5, (6, 4))


def test_pages_of_different_sizes_are_no_channels() -> None:
    data = tiff_of([values(0, 1, (12, 16))[:, :, 0], values(0, 1, (12, 12))[:, :, 0]])
    with pytest.raises(ValueError, match="its pages 1 and 2 are of different sizes or kinds"):
        load_pixels(io.BytesIO(data), 2, SIZE)


@pytest.mark.parametrize(("mode", "channels"), [("LA", 2), ("RGBA", 4), ("CMYK", 4), ("P", 3), ("RGB", 3), ("L", 1)])
def test_an_image_is_taken_where_it_has_as_many_channels(mode: str, channels: int) -> None:
    image = picture(1, SIZE, "RGBA" if mode == "LA" else "RGB").convert(mode)
    data = encoded(image, "TIFF")
    assert load_pixels(io.BytesIO(data), channels, SIZE).shape == (channels, HEIGHT, WIDTH)
    if channels in (2, 4):
        assert np.array_equal(load_pixels(io.BytesIO(data), channels, SIZE), np.asarray(image).transpose(2, 0, 1))
    with pytest.raises(ValueError, match=f"its number of channels is {channels}, not 5"):
        load_pixels(io.BytesIO(data), 5, SIZE)


@pytest.mark.parametrize("data", [encoded(picture(1, SIZE)), encoded(picture(1, SIZE, "L")), saved(values(0, 1))])
def test_files_of_8_bits_are_none_of_16(data: bytes) -> None:
    with pytest.raises(ValueError, match="it has 8 bits, not 16"):
        load_pixels(io.BytesIO(data), 1, SIZE, bits=16)
