"""Masks of image files by an exported model: the class of each pixel, in the size of the file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from samebits.base.files import write_bytes
from samebits.data.readers.image.mask_pixels import palette_png, rgb_png, to_file
from samebits.data.readers.image.pixels import Pixels, load_pixels
from samebits.inference import image, predictor
from samebits.inference.answer import Answer, Reading
from samebits.inference.items import Item
from samebits.signature.image import displayed
from samebits.signature.kind import Column, Floats
from samebits.signature.mask import MaskTarget

_MOST = 16


class Kind(image.Kind):
    """Answers for image files, and their masks in the folder `output`: `NAME.png` holds indices of the classes in a
    palette, as `image_masks` reads them, 255 where the model did not look; `NAME.overlay.png` has the colours over the
    image. Without a folder, they only say how much of each image is of each class."""

    noun = "masks"
    writes_folder = True

    def open_model(self) -> None:
        super().open_model()
        assert isinstance(self.target, MaskTarget)
        self._mask_target = self.target
        top = self.request.top or len(self.target.classes)
        self.reading = Reading(self.target, top, calibration=self.reading.calibration)

    @property
    def batch(self) -> int:
        return predictor.batch_of(math.prod(self.target.answer_shape), _MOST)

    def columns(self) -> dict[str, Column]:
        files: dict[str, Column] = {"mask": "text", "overlay": "text"} if self.request.output else {}
        return super().columns() | files

    def items(self) -> Iterator[Item]:
        """Refuses, one by one, images whose masks would have one name."""
        wanted: dict[Path, str] = {}
        for item in super().items():
            if self.request.output is None or item.error or item.file is None:
                yield item
                continue
            mask, overlay = self._files(item)
            other = wanted.get(mask) or wanted.get(overlay)
            if other is not None:
                yield replace(item, error=f"its mask would be {mask}, which is that of {other}")
                continue
            wanted |= {mask: item.name, overlay: item.name}
            yield item

    def taken(self, output: Path) -> Path | None:
        asked = (Item(each.shown, file=each.path) for each in self.files if not self.is_list(each.path))
        return next((file for file in chain(*map(self._files, asked), [output]) if file.exists()), None)

    def answer(self, item: Item, answer: Floats, notes: Sequence[str], ood_score: float | None) -> Answer:
        found = super().answer(item, answer, notes, ood_score)
        if self.request.output is None:
            return found
        size = self.read(item).size
        assert item.file is not None
        mask = to_file(answer.argmax(axis=0).astype(np.uint8), size, self.inputs.get("resize", "pad"))
        shown = self._mask_target.overlay(_whole(item.file, size, self.inputs), mask)
        mask_file, overlay_file = self._files(item)
        write_bytes(mask_file, palette_png(mask, self._mask_target.colours))
        write_bytes(overlay_file, rgb_png(shown))
        more = {"mask": mask_file.as_posix(), "overlay": overlay_file.as_posix()}
        return replace(found, files=(mask_file, overlay_file), more=more)

    def _files(self, item: Item) -> tuple[Path, Path]:
        """Below the folder as the image below the one that was named."""
        assert item.file is not None and self.request.output is not None
        below = next((each for each in self.request.files if each in item.file.parents and each.is_dir()), None)
        place = item.file.relative_to(below).parent if below is not None else Path()
        folder = self.request.output / place
        return folder / f"{item.file.stem}.png", folder / f"{item.file.stem}.overlay.png"


def _whole(path: Path, size: tuple[int, int], preprocessing: Mapping[str, Any]) -> Pixels:
    """The file at its own size, as grey or RGB of 8 bits."""
    bits, bounds = preprocessing.get("bits", 8), preprocessing.get("value_range")
    return displayed(load_pixels(path, preprocessing["shape"][0], size, "stretch", 1, bounds, bits))
