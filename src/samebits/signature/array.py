"""Arrays of any shape: audio, time series, images of 16 bits, volumes, feature vectors."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from samebits.signature.array_preview import array_picture, array_text
from samebits.signature.kind import Array, Decode, InputKind, Preview, ReadingCode

ArrayDtype = Literal["uint8", "int16", "uint16", "int32", "float16", "float32"]

_SERVED = {"uint8": "uint8", "int16": "int32", "uint16": "int32", "int32": "int32"}
"""Type in exported files, of those that torch and ONNX Runtime both compute with; of the others float32. Each holds
every value of the stored type."""


class ArrayInputs(InputKind):
    """Arrays of one shape and type.

    Attributes:
        shape: of one sample.
        stored_dtype: numpy's name of the type of its values.
        mean: for each place of the first axis (a channel of a sound, a sensor) over the training split.
        std: likewise; the population's. 0 where it is constant.
    """

    kind: Literal["array"] = "array"
    shape: list[int] = Field(min_length=1)
    stored_dtype: ArrayDtype
    mean: list[float]
    std: list[float]

    input_name: ClassVar[str] = "arrays"
    models: ClassVar[str] = "mlp, conv1d for arrays [C, L], or own"
    predict: ClassVar[str] = "samebits predict FILE.npy..."
    predictor: ClassVar[str] = "array"
    batch: ClassVar[str] = "arrays, float [N, ...], normalised"
    pictures: ClassVar[bool] = True

    @model_validator(mode="after")
    def _of_each_place(self) -> ArrayInputs:
        if min(self.shape) < 1 or {len(self.mean), len(self.std)} != {self.shape[0]}:
            raise ValueError("the statistics are not one value for each place of the first axis")
        return self

    @property
    def served_dtype(self) -> str:
        return _SERVED.get(self.stored_dtype, "float32")

    @property
    def row_shape(self) -> tuple[int, ...]:
        return tuple(self.shape)

    @property
    def row_dtype(self) -> str:
        return np.dtype(self.stored_dtype).newbyteorder("<").str

    @property
    def described(self) -> str:
        return f"arrays of {self.stored_dtype} [{', '.join(map(str, self.shape))}]"

    @property
    def served(self) -> str:
        return f"{self.described} as they are, not normalised"

    def used(self, rows: Array) -> Array:
        """In the type of exported files, in which training sees them, too."""
        return rows.astype(self.served_dtype, copy=False)

    def previews(self, rows: Array, decode: Decode) -> list[Preview]:
        return [Preview(image=array_picture(row), text=array_text(row)) for row in rows]

    def reading_code(self) -> ReadingCode:
        return ReadingCode(
            ["import numpy"],
            [
                'files = ("first.npy", "second.npy")',
                f"arrays = numpy.stack([numpy.load(name) for name in files]).astype(numpy.{self.served_dtype})",
            ],
        )
