"""Classify image files with an exported model, by ONNX Runtime alone: no torch, no project, just the .onnx file.

An image is brought to what the model was trained on: its shape, grey or RGB. What cannot be known is said: a
picture whose background is light, for a model that knows dark ones, gets a note, because the answer is then a guess.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
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
    load_pixels,
    read_image,
    reason,
)
from samebits.inference.answer import Answer, Answers, answer_of
from samebits.inference.request import Request
from samebits.inference.session import Opened, Session, open_model
from samebits.signature.kind import TargetKind

DEFAULT_MODEL = Path("models/export/model.onnx")


NOUN = "images"
OPTIONS = frozenset({"top", "invert"})


def answer(request: Request, opened: Opened) -> Answers:
    """Answers for image files: see `classify`."""
    found = classify(request.files, model=request.model, top=request.classes, invert=request.invert, opened=opened)
    return Answers(found)


@dataclass(frozen=True)
class GivenImage:
    """An image file as a model takes it.

    Attributes:
        samples: uint8 or int32 [1, C, H, W].
        size: (width, height) of the file.
        notes: as of `Answer`.
    """

    path: Path
    samples: Pixels
    size: tuple[int, int]
    notes: tuple[str, ...]


def classify(
    paths: Sequence[Path],
    *,
    model: Path = DEFAULT_MODEL,
    top: int = 3,
    invert: bool = False,
    opened: Opened | None = None,
) -> list[Answer]:
    """Classify images, in the order given.

    Args:
        paths: image files of any kind that Pillow opens; of an animation, the first frame.
        model: an .onnx file of the export stage; labels and shape are read from it.
        top: how many classes to give.
        invert: swap light and dark first, for ink on paper against a model that knows light on dark.
        opened: the model, where it is open already.

    Raises:
        UserError: a missing or unusable model, or any image that cannot be read: all of them are named.
    """
    if top < 1:
        raise UserError(f"top is {top}", "ask for at least one class")
    session, target, preprocessing = of_images(model, opened or open_model(model))
    results = []
    for given in read_images(paths, preprocessing, invert=invert):
        answer = session.answers(given.samples, target)[0]
        results.append(answer_of(str(given.path), answer, target, top, given.notes))
    return results


def read_images(paths: Sequence[Path], preprocessing: dict[str, Any], *, invert: bool) -> list[GivenImage]:
    """Image files as a model takes them.

    Args:
        preprocessing: of its metadata.

    Raises:
        UserError: if there is none, or any cannot be read: all of them are named.
    """
    if not paths:
        raise UserError("no image was given", "name one or more image files")
    largest = (1 << preprocessing.get("bits", 8)) - 1
    images, bad = [], []
    for path in paths:
        try:
            read = _read(path, preprocessing)
        except UNREADABLE as error:
            bad.append(f"{path}: {reason(error)}")
            continue
        image = largest - read.pixels if invert else read.pixels
        notes = tuple(_notes(image, preprocessing["mean"], largest))
        images.append(GivenImage(path, _served(image, preprocessing)[None], read.size, notes))
    if bad:
        raise UserError(
            f"{len(bad)} of {len(paths)} images cannot be read:\n    " + "\n    ".join(bad),
            "leave them out or replace them",
        )
    return images


def _read(source: Path | BinaryIO, preprocessing: dict[str, Any]) -> ImageFile:
    """An image of the shape that a model takes; raises UNREADABLE."""
    channels, height, width = preprocessing["shape"]
    return read_image(
        source,
        channels,
        (width, height),
        preprocessing.get("resize", "pad"),
        value_range=preprocessing.get("value_range"),
        bits=preprocessing.get("bits", 8),
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


def of_images(path: Path, opened: Opened) -> tuple[Session, TargetKind, dict[str, Any]]:
    """Session, target and preprocessing of an exported model that takes images."""
    session, metadata = opened
    preprocessing = metadata["preprocessing"]
    if preprocessing.get("kind", "image") != "image":
        raise UserError(f"{path} is no model of images", "name one, or give it what it takes")
    session.require_inputs({"images": ("uint8" if preprocessing.get("bits", 8) == 8 else "int32", 4)})
    return session, metadata["target"], preprocessing
