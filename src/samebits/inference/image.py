"""Answers for image files by an exported model, by ONNX Runtime alone: no torch, no project, just the .onnx file.

An image is brought to what the model was trained on: its shape, grey or RGB. What cannot be known is said: a
picture whose background is light, for a model that knows dark ones, gets a note, because the answer is then a guess.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from samebits.base.errors import UserError
from samebits.data.readers.image.pixels import (
    UNREADABLE,
    ImageFile,
    Pixels,
    Resize,
    border,
    has_image_ending,
    load_pixels,
    read_image,
    reason,
)
from samebits.inference import predictor
from samebits.inference.items import Item
from samebits.inference.session import Session

_BATCH = 64


class Kind(predictor.Kind):
    """Answers for image files of any kind that Pillow opens; of an animation, for the first frame. Labels and shape are
    those of the model's own metadata."""

    noun = "images"
    options = frozenset({"invert", "column"})

    def open_model(self) -> None:
        require_images(self.request.model, self.session, self.inputs)

    @property
    def batch(self) -> int:
        return predictor.batch_of(math.prod(self.inputs["shape"]), _BATCH)

    def takes(self, name: str) -> bool:
        return has_image_ending(name)

    def of_value(self, value: Any, name: str) -> Item:
        """Of the bytes of an image file, in JSON as base64; or of pixels, [H, W], [H, W, C] or [C, H, W]."""
        try:
            return Item(name, _file_of(value))
        except ValueError as error:
            return Item(name, error=str(error))

    def example(self) -> str:
        channels, height, width = self.inputs["shape"]
        deep = self.inputs.get("bits", 8) == 16
        black = np.zeros((height, width, channels), dtype=np.uint16 if deep else np.uint8)
        file = io.BytesIO()
        if deep or channels not in (1, 3):
            np.save(file, black)
        else:
            from PIL import Image

            Image.fromarray(black[:, :, 0] if channels == 1 else black).save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()

    def read(self, item: Item) -> GivenImage:
        """An image as the model takes it; raises UNREADABLE."""
        source = item.file if item.file is not None else io.BytesIO(item.value)
        read = _read(source, self.inputs, self.request.most_pixels)
        largest = (1 << self.inputs.get("bits", 8)) - 1
        image = largest - read.pixels if self.request.invert else read.pixels
        notes = tuple(_notes(image, self.inputs["mean"], largest))
        return GivenImage(_served(image, self.inputs), read.size, notes)

    def ready(self, items: Sequence[Item]) -> predictor.Ready:
        images: dict[int, GivenImage] = {}
        errors = {}
        for place, item in enumerate(items):
            try:
                images[place] = self.read(item)
            except UNREADABLE as error:
                errors[place] = reason(error)
        samples = np.stack([each.samples for each in images.values()]) if images else np.empty(0)
        return predictor.Ready(samples, list(images), [each.notes for each in images.values()], errors)


@dataclass(frozen=True)
class GivenImage:
    """An image as a model takes it.

    Attributes:
        samples: uint8 or int32 [C, H, W].
        size: (width, height) of the file.
        notes: as of `Answer`.
    """

    samples: Pixels
    size: tuple[int, int]
    notes: tuple[str, ...]


def _file_of(value: Any) -> bytes:
    """The bytes of an image file; ValueError for what is none."""
    match value:
        case bytes():
            return value
        case str():
            try:
                return base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value, validate=True)
            except ValueError:
                raise ValueError("it is neither base64 nor a list of pixels") from None
        case list():
            pixels = np.asarray(value)
            if pixels.dtype.kind not in "buif":
                raise ValueError("its pixels are no numbers, or its rows have other lengths")
            # Whole numbers of JSON are int64; those of 8 bits are what most models know.
            if pixels.dtype.kind in "bui" and pixels.size and pixels.min() >= 0 and pixels.max() < 256:
                pixels = pixels.astype(np.uint8)
            file = io.BytesIO()
            np.save(file, pixels)
            return file.getvalue()
    raise ValueError(f"it is {type(value).__name__}, no image")


def _read(source: Path | BinaryIO, preprocessing: dict[str, Any], most_pixels: int | None = None) -> ImageFile:
    """An image of the shape that a model takes; raises UNREADABLE."""
    channels, height, width = preprocessing["shape"]
    return read_image(
        source,
        channels,
        (width, height),
        preprocessing.get("resize", "pad"),
        value_range=preprocessing.get("value_range"),
        bits=preprocessing.get("bits", 8),
        most_pixels=most_pixels,
    )


def _served(image: Pixels, preprocessing: dict[str, Any]) -> Pixels:
    """The type in which a model takes pixels."""
    return image if preprocessing.get("bits", 8) == 8 else image.astype(np.int32)


def input_of(model: Path, preprocessing: dict[str, Any]) -> Callable[[Any], Pixels]:
    """From a path, the bytes of a file, a PIL image or an array [H, W], [H, W, C] or [C, H, W] to what the model takes,
    [C, H, W].

    The function raises UserError for what is no image.
    """

    def take(value: Any) -> Pixels:
        source: Path | BinaryIO
        if isinstance(value, str | Path):
            source, name = Path(value), str(value)
        elif isinstance(value, bytes):
            source, name = io.BytesIO(value), "the image"
        elif hasattr(value, "save"):
            source, name = io.BytesIO(), "the image"
            value.save(source, "PNG")
        else:
            source, name = io.BytesIO(), "the array"
            pixels = np.asarray(value)
            if pixels.dtype.kind not in "buif":
                raise UserError(f"{value!r:.60} is no image", "give a path, a PIL image or an array of pixels")
            np.save(source, pixels)
        try:
            if not isinstance(source, Path):
                source.seek(0)
            return _served(_read(source, preprocessing).pixels, preprocessing)
        except UNREADABLE as error:
            raise UserError(f"{name}: {reason(error)}", "give a path, a PIL image or an array of pixels") from None

    return take


def load_image(path: Path, channels: int, size: tuple[int, int], resize: Resize = "pad") -> Pixels:
    """An image file as a model's input, uint8 [channels, height, width]: see `pixels.load_pixels`.

    Args:
        channels: 1 for grey, 3 for RGB.
        size: (width, height).

    Raises:
        UserError: if it is missing, damaged, no image, or has more than 100 million pixels.
    """
    try:
        return load_pixels(path, channels, size, resize)
    except UNREADABLE as error:
        raise UserError(f"{path}: {reason(error)}", "replace the image") from None


def _notes(image: Pixels, mean: Sequence[float], largest: int) -> Iterator[str]:
    edge = 255.0 * float(np.median(border(image.transpose(1, 2, 0)))) / largest
    usual = 255.0 * sum(mean) / len(mean)
    if image.min() == image.max():
        yield "the image is one flat colour"
    elif len(mean) == 1 and usual < 80 and edge > 150:
        yield "its background is light, the model knows dark ones: try --invert"
    elif len(mean) == 1 and usual > 175 and edge < 105:
        yield "its background is dark, the model knows light ones: try --invert"


def require_images(path: Path, session: Session, preprocessing: Mapping[str, Any]) -> None:
    """Refuse an exported model that does not take images."""
    if preprocessing.get("kind", "image") != "image":
        raise UserError(f"{path} is no model of images", "name one, or give it what it takes")
    session.require_inputs({"images": ("uint8" if preprocessing.get("bits", 8) == 8 else "int32", 4)})
