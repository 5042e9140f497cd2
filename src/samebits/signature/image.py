"""Images."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from samebits.signature.kind import Array, Decode, InputKind, Preview, ReadingCode


class ImageInputs(InputKind):
    """Images, uint8 or uint16 [C, H, W].

    Attributes:
        shape: [C, H, W].
        bits: of a stored value; left out where it is 8.
        mean: of each channel over the training split, of pixels scaled to [0, 1].
        std: likewise; the population's. 0 for a constant channel.
        resize: how files of another aspect ratio are brought to the shape (see `samebits.data.readers.image.pixels`).
        value_range: the values of image files of more than 8 bits that become 0 and `largest_pixel`; left out where it
            is the full range of 16 bits.
    """

    kind: Literal["image"] = "image"
    shape: list[int] = Field(min_length=3, max_length=3)
    bits: Literal[8, 16] = Field(default=8, exclude_if=lambda value: value == 8)
    mean: list[float]
    std: list[float]
    resize: Literal["pad", "crop", "stretch"] = "pad"
    value_range: list[float] | None = Field(
        default=None, min_length=2, max_length=2, exclude_if=lambda value: value is None
    )

    input_name: ClassVar[str] = "images"
    models: ClassVar[str] = "convnet, resnet9, resnet18 or another for images"
    predict: ClassVar[str] = "samebits predict IMAGE..."
    predictor: ClassVar[str] = "image"
    batch: ClassVar[str] = "images, float [N, C, H, W], normalised"
    pictures: ClassVar[bool] = True
    augments: ClassVar[bool] = True
    reader: ClassVar[str | None] = "pixels.py"

    @model_validator(mode="after")
    def _of_each_channel(self) -> ImageInputs:
        if {len(self.mean), len(self.std)} != {self.shape[0]}:
            raise ValueError("the statistics are not one value a channel")
        return self

    @property
    def row_shape(self) -> tuple[int, ...]:
        return tuple(self.shape)

    @property
    def row_dtype(self) -> str:
        return "|u1" if self.bits == 8 else "<u2"

    @property
    def largest_pixel(self) -> int:
        """255 or 65,535."""
        return (1 << self.bits) - 1

    @property
    def described(self) -> str:
        _, height, width = self.shape
        return f"{self._colours} images of {width} × {height} pixels"

    @property
    def served(self) -> str:
        _, height, width = self.shape
        return f"{self._colours} images of {width}×{height} pixels as raw pixels"

    @property
    def _colours(self) -> str:
        colours = {1: "grey", 3: "RGB"}.get(self.shape[0], f"{self.shape[0]}-channel")
        return colours if self.bits == 8 else f"{self.bits}-bit {colours}"

    @property
    def fill(self) -> tuple[int, ...]:
        """The mean of each channel as a pixel value."""
        return tuple(round(value * self.largest_pixel) for value in self.mean)

    def previews(self, rows: Array, decode: Decode) -> list[Preview]:
        return [Preview(image=row) for row in rows]

    def reading_code(self) -> ReadingCode:
        channels, height, width = self.shape
        arguments = f'{channels}, ({width}, {height}), "{self.resize}"'
        if self.value_range:
            arguments += f", value_range={self.value_range}"
        kind = ""
        if self.bits != 8:
            arguments += f", bits={self.bits}"
            kind = f".astype(numpy.{self.served_dtype})"
        return ReadingCode(
            ["from pathlib import Path", "import numpy", "from pixels import load_pixels"],
            [
                'paths = [Path("first.png"), Path("second.png")]',
                f"images = numpy.stack([load_pixels(path, {arguments}) for path in paths]){kind}",
            ],
            documented="read_image",
        )


def displayed(image: Array) -> npt.NDArray[np.uint8]:
    """An image of any depth and number of channels as grey or RGB of 8 bits.

    Of more than three channels, the first three are shown as red, green and blue; of two, the first as grey. Values of
    16 bits are stretched from the image's own smallest to its own largest: at 12 bits in 16 it would be black.

    Args:
        image: uint8 or uint16 [C, H, W].

    Returns:
        uint8 [1, H, W] or [3, H, W]; what is such is given as it is.
    """
    shown: Array = image[:3] if len(image) >= 3 else image[:1]
    if shown.dtype == np.uint8:
        return shown
    values = shown.astype(np.int64)
    low = values.min()
    span = max(1, int(values.max() - low))
    stretched: npt.NDArray[np.uint8] = ((values - low) * 255 // span).astype(np.uint8)
    return stretched
