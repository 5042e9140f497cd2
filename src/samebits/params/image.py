"""`data.image`: how image files become samples. Sets whose images are all of one size (idx, cifar) keep theirs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, PlainValidator, field_validator

from samebits.params.section import Section

_LEAST, _MOST = 4, 2048
"""Pixels of a side."""


def _resolution(value: Any) -> int | list[int]:
    """One side, or height and width."""
    sides = value if isinstance(value, list) else [value, value]
    # type(): True is an int, too.
    if len(sides) != 2 or not all(type(side) is int and _LEAST <= side <= _MOST for side in sides):
        raise ValueError(f"must be a number of pixels from {_LEAST} to {_MOST:,}, or two of them: [height, width]")
    checked: int | list[int] = value
    return checked


class ImageParams(Section):
    """Image files.

    Attributes:
        resolution: pixels that each image is brought to: `[height, width]`, or one number for a square.
        channels: 3 for RGB, 1 for grey; up to 16 for arrays (.npy), TIFF files of a page per channel, and images with
            an alpha channel.
        bits: of a stored value; `16` keeps what files of more than 8 bits hold, and takes no file of 8.
        resize: how another aspect ratio is met: `pad` with the border's median colour, `crop` the middle, `stretch`.
        value_range: `[low, high]`, the values of images of more than 8 bits that become 0 and 255 (65,535 with
            `bits: 16`), in all files; values outside are clipped. null: 0 and 65,535 for 16 bits without a sign; others
            need it.
        smallest: an image whose shorter side has fewer pixels is set aside.
        near_duplicates: images that look the same though their bytes differ: `report` them, `drop` all but the first,
            or `ignore`, which saves the search.
    """

    resolution: Annotated[int | list[int], PlainValidator(_resolution)] = 64
    channels: int = Field(default=3, ge=1, le=16)
    bits: Literal[8, 16] = 8
    resize: Literal["pad", "crop", "stretch"] = "pad"
    value_range: list[FiniteFloat] | None = Field(default=None, min_length=2, max_length=2)
    smallest: int = Field(default=8, ge=1)
    near_duplicates: Literal["report", "drop", "ignore"] = "report"

    @property
    def height(self) -> int:
        """Pixels of a column."""
        return self.resolution[0] if isinstance(self.resolution, list) else self.resolution

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self.resolution[1] if isinstance(self.resolution, list) else self.resolution

    @field_validator("value_range")
    @classmethod
    def _rises(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and value[0] >= value[1]:
            raise ValueError(f"{value[0]:g} is not below {value[1]:g}")
        return value
