"""Images: drawn, or taken from a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.demo import form
from samebits.demo.form import Variants
from samebits.demo.occlusion import occlusions
from samebits.inference.items import Item
from samebits.signature.image import displayed
from samebits.signature.kind import Array


class Form(form.Form):
    """A canvas of the model's proportions. Its paper is dark where the training images were."""

    widget = "image"
    method = "A window that moves over the image is painted in the mean colour of the training images."

    @property
    def described(self) -> str:
        channels, height, width = self.inputs["shape"]
        colours = {1: "grey", 3: "colour"}.get(channels, f"{channels}-channel")
        return f"{colours} images of {width} × {height} pixels"

    @property
    def fields(self) -> dict[str, Any]:
        channels, height, width = self.inputs["shape"]
        dark = sum(self.inputs["mean"]) / channels < 0.5
        return {"width": width, "height": height, "channels": channels, "dark": dark}

    def picture(self, sample: Array) -> npt.NDArray[np.uint8]:
        return displayed(sample.astype(np.uint8 if self.inputs.get("bits", 8) == 8 else np.uint16))

    def variants(self, item: Item, sample: Array) -> Variants:
        largest = (1 << self.inputs.get("bits", 8)) - 1
        fill = np.round(np.array(self.inputs["mean"]) * largest).astype(sample.dtype)
        return occlusions(sample, fill[:, None, None], (1, 2))
