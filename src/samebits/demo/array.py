"""Arrays of .npy files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.demo import form
from samebits.demo.form import Variants
from samebits.demo.occlusion import occlusions
from samebits.inference.items import Item
from samebits.signature.array_preview import array_picture
from samebits.signature.kind import Array


class Form(form.Form):
    """A file is dropped or chosen."""

    widget = "array"
    method = "A window that moves along the last axes is replaced by the mean of the training data."

    @property
    def described(self) -> str:
        return f"arrays of {self.inputs['stored_dtype']} [{', '.join(map(str, self.inputs['shape']))}]"

    @property
    def fields(self) -> dict[str, Any]:
        return {"shape": self.inputs["shape"], "dtype": self.inputs["stored_dtype"]}

    def picture(self, sample: Array) -> npt.NDArray[np.uint8]:
        return array_picture(sample)

    def variants(self, item: Item, sample: Array) -> Variants:
        mean = np.array(self.inputs["mean"]).reshape(-1, *[1] * (sample.ndim - 1))
        fill = (np.round(mean) if sample.dtype.kind in "iu" else mean).astype(sample.dtype)
        # The first axis is one of channels where there are more.
        last = range(max(sample.ndim - 2, min(1, sample.ndim - 1)), sample.ndim)
        return occlusions(sample, fill, tuple(last))
