"""Files of images: values of more than 8 bits, and metadata that are broken."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from samebits.data.readers.image.pixels import load_pixels, read_image, reason

SIDE = 12
RAMP = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) / (SIDE * SIDE - 1)


def file_of(values: npt.NDArray[Any], kind: str = "TIFF") -> io.BytesIO:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer


def read(values: npt.NDArray[Any], value_range: list[float] | None = None, kind: str = "TIFF") -> npt.NDArray[np.uint8]:
    return load_pixels(file_of(values, kind), 1, (SIDE, SIDE), value_range=value_range)[0]


GREY = np.rint(RAMP * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("values", "value_range"),
    [
        (np.rint(RAMP * 65535).astype(np.uint16), None),
        (np.rint(RAMP * 4095).astype(np.uint16), [0, 4095]),
        (np.rint(RAMP * 255).astype(np.int32), [0, 255]),
        (np.rint(RAMP * 4000 - 1000).astype(np.int32), [-1000, 3000]),
        ((RAMP * 2 - 1).astype(np.float32), [-1, 1]),
        (RAMP.astype(np.float32), [0, 1]),
        (GREY, [0, 4095]),  # 8 bits are what they are
    ],
)
def test_deep_values_become_8_bits_by_one_range(values: npt.NDArray[Any], value_range: list[float] | None) -> None:
    assert np.abs(read(values, value_range).astype(int) - GREY).max() <= 1


def test_two_files_have_one_scale() -> None:
    dark, light = (read(np.full((SIDE, SIDE), value, dtype=np.float32), [0, 255]) for value in (40, 200))
    assert (int(dark[0, 0]), int(light[0, 0])) == (40, 200)


def test_values_outside_the_range_are_clipped() -> None:
    assert set(read(np.where(RAMP > 0.5, 9000, -9000).astype(np.int32), [0, 100]).ravel().tolist()) == {0, 255}


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_values_without_a_range_are_refused(dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"no range of their own .data\.image\.value_range"):
        read((RAMP * 255).astype(dtype))


def test_16_bits_as_other_programs_write_them() -> None:
    values = np.rint(RAMP * 65535).astype(np.uint16)
    assert np.array_equal(read(values, kind="PNG"), read(values))
    pgm = f"P5\n{SIDE} {SIDE}\n65535\n".encode() + values.astype(">u2").tobytes()
    assert np.array_equal(load_pixels(io.BytesIO(pgm), 1, (SIDE, SIDE))[0], read(values))


def colours_of_16_bits(top: int) -> io.BytesIO:
    """A PNG of 16 bits a colour, which Pillow reads and does not write."""
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    values = np.repeat(np.rint(RAMP * top).astype(">u2")[:, :, None], 3, axis=2)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return io.BytesIO(png)


def test_16_bits_a_colour() -> None:
    found = read_image(colours_of_16_bits(65535), 3, (SIDE, SIDE))
    assert np.abs(found.pixels[0].astype(int) - GREY).max() <= 1
    assert found.largest == 65535
    assert (read_image(colours_of_16_bits(4095), 3, (SIDE, SIDE)).largest or 0) <= 4095
    for channels, bits in ((3, 16), (4, 8)):
        with pytest.raises(ValueError, match=r"16 bits a colour are read as 8: save it as \.npy"):
            read_image(colours_of_16_bits(4095), channels, (SIDE, SIDE), bits=bits)
    with pytest.raises(ValueError, match="grey images alone"):
        read_image(colours_of_16_bits(4095), 3, (SIDE, SIDE), value_range=[0, 4095])


def broken_exif(kind: str) -> bytes:
    """Orientation 6 beside a tag that cannot be written again, or tags that cannot be read."""
    if kind == "cut":
        return b"Exif\0\0II*\0\x08\0\0\0\x05"
    entries = [(0x112, 3, 1, struct.pack("<HH", 6, 0)), (0x11A, 10, 1, struct.pack("<I", 38))]
    head = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    return (
        head + b"".join(struct.pack("<HHI4s", *entry) for entry in entries) + b"\0\0\0\0" + struct.pack("<ii", -72, 1)
    )


@pytest.mark.parametrize(("kind", "turned"), [("negative resolution", True), ("cut", False)])
def test_broken_exif_does_not_cost_the_image(kind: str, turned: bool) -> None:
    image = Image.fromarray(np.repeat(GREY[:, :, None], 3, axis=2))
    plain, odd = io.BytesIO(), io.BytesIO()
    image.save(plain, "JPEG", quality=95)
    image.save(odd, "JPEG", quality=95, exif=broken_exif(kind))
    expected = load_pixels(plain, 1, (SIDE, SIDE))[0]
    assert np.array_equal(load_pixels(odd, 1, (SIDE, SIDE))[0], np.rot90(expected, -1) if turned else expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_every_orientation(orientation: int, kind: str) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, kind, exif=exif)
    with Image.open(buffer) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(load_pixels(buffer, 1, (SIDE, SIDE))[0], expected)


def test_what_a_parser_runs_into_is_told_by_name() -> None:
    assert reason(struct.error("argument out of range")) == "it is damaged (error: argument out of range)"
    assert reason(ValueError("too small")) == "too small"
