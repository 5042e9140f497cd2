"""`data.image`: how image files become samples. Sets whose images are all of one size (idx, cifar) keep theirs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, FiniteFloat, field_validator

from samebits.params.section import Section


class ImageParams(Section):
    """Image files.

    Attributes:
        resolution: side in pixels of the square that each image is brought to.
        channels: 3 for RGB, 1 for grey.
        resize: how another aspect ratio is met: `pad` with the border's median colour, `crop` the middle, `stretch`.
        value_range: `[low, high]`, the values of grey images of more than 8 bits that become 0 and 255, in all files;
            values outside are clipped. null: 0 and 65,535 for 16 bits without a sign; others need it.
        smallest: an image whose shorter side has fewer pixels is set aside.
        near_duplicates: images that look the same though their bytes differ: `report` them, `drop` all but the first,
            or `ignore`, which saves the search.
    """

    resolution: int = Field(default=64, ge=4, le=2048)
    channels: Literal[1, 3] = 3
    resize: Literal["pad", "crop", "stretch"] = "pad"
    value_range: list[FiniteFloat] | None = Field(default=None, min_length=2, max_length=2)
    smallest: int = Field(default=8, ge=1)
    near_duplicates: Literal["report", "drop", "ignore"] = "report"

    @field_validator("value_range")
    @classmethod
    def _rises(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and value[0] >= value[1]:
            raise ValueError(f"{value[0]:g} is not below {value[1]:g}")
        return value
