"""Masks of image files by an exported model: the class of each pixel, in the size of the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.data.readers.image.mask_pixels import palette_png, rgb_png, to_file
from samebits.data.readers.image.pixels import Pixels, load_pixels
from samebits.inference.answer import Answer, Answers, answer_of
from samebits.inference.image import GivenImage, of_images, read_images
from samebits.inference.request import Request
from samebits.inference.session import Opened
from samebits.signature.image import displayed
from samebits.signature.mask import MaskTarget

NOUN = "masks"
OPTIONS = frozenset({"invert", "output"})


def answer(request: Request, opened: Opened) -> Answers:
    """Masks of image files: see `write_masks`."""
    return Answers(
        write_masks(request.files, request.output, model=request.model, invert=request.invert, opened=opened)
    )


def write_masks(
    paths: Sequence[Path], folder: Path | None, *, model: Path, opened: Opened, invert: bool = False
) -> Iterator[Answer]:
    """Answer for each image, and write its mask: `NAME.png` holds indices of the classes in a palette, as
    `image_masks` reads them, 255 where the model did not look; `NAME.overlay.png` has the colours over the image.

    Args:
        folder: where to; None: only say how much of each image is of each class.
        model: the file that `opened` is.

    Raises:
        UserError: images that cannot be read, a file that is there already, or two images of one name: nothing is
            written.
    """
    session, target, preprocessing = of_images(model, opened)
    assert isinstance(target, MaskTarget)
    given = read_images(paths, preprocessing, invert=invert)
    if folder is not None:
        _require_free(folder, given)
    for each in given:
        answer = session.answers(each.samples, target)[0]
        found = answer_of(str(each.path), answer, target, len(target.classes), each.notes)
        if folder is None:
            yield found
            continue
        mask = to_file(answer.argmax(axis=0).astype(np.uint8), each.size, preprocessing.get("resize", "pad"))
        shown = target.overlay(_whole(each, preprocessing), mask)
        mask_file, overlay_file = _files(folder, each.path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(mask_file, palette_png(mask, target.colours))
            write_bytes(overlay_file, rgb_png(shown))
        except OSError as error:
            raise UserError(f"{folder} cannot be written: {error.strerror}", "name another folder") from None
        yield replace(found, files=(mask_file, overlay_file))


def _files(folder: Path, path: Path) -> tuple[Path, Path]:
    return folder / f"{path.stem}.png", folder / f"{path.stem}.overlay.png"


def _require_free(folder: Path, given: Sequence[GivenImage]) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file", "name a folder: --output FOLDER")
    wanted: dict[Path, Path] = {}
    for each in given:
        for file in _files(folder, each.path):
            if file in wanted:
                raise UserError(f"{wanted[file]} and {each.path} would both be {file}", "name one of them otherwise")
            if file.exists():
                raise UserError(f"{file} is there already", "name an empty folder, or a new one")
            wanted[file] = each.path


def _whole(given: GivenImage, preprocessing: dict[str, Any]) -> Pixels:
    """The file at its own size, as grey or RGB of 8 bits."""
    bits, bounds = preprocessing.get("bits", 8), preprocessing.get("value_range")
    return displayed(load_pixels(given.path, preprocessing["shape"][0], given.size, "stretch", 1, bounds, bits))
