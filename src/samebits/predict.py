"""Classify image files with an exported model, by ONNX Runtime alone: no torch, no project, just the .onnx file.

An image is brought to what the model was trained on: its shape, grey or RGB. What cannot be known is said: a
picture whose background is light, for a model that knows dark ones, gets a note, because the answer is then a guess.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from samebits.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]

DEFAULT_MODEL = Path("models/export/model.onnx")
_LARGEST_PIXELS = 100_000_000
_UNREADABLE = (OSError, ValueError, SyntaxError, MemoryError, OverflowError)
"""What Pillow raises for a file that it cannot read."""
_CURE = "make it: dvc repro export (or fetch it: dvc pull)"


@dataclass(frozen=True)
class Prediction:
    """The answer for one image.

    Attributes:
        classes: (label, probability), the most probable first.
        notes: what the user should know about this image.
    """

    path: Path
    classes: tuple[tuple[str, float], ...]
    notes: tuple[str, ...]


def predict(
    paths: Sequence[Path], *, model: Path = DEFAULT_MODEL, top: int = 3, invert: bool = False
) -> list[Prediction]:
    """Classify images and print a line for each: see `classify`."""
    predictions = classify(paths, model=model, top=top, invert=invert)
    for line in describe(predictions):
        print(line)
    return predictions


def classify(
    paths: Sequence[Path], *, model: Path = DEFAULT_MODEL, top: int = 3, invert: bool = False
) -> list[Prediction]:
    """Classify images, in the order given.

    Args:
        paths: image files of any kind that Pillow opens; of an animation, the first frame.
        model: an .onnx file of the export stage; labels and shape are read from it.
        top: how many classes to give.
        invert: swap light and dark first, for ink on paper against a model that knows light on dark.

    Raises:
        UserError: a missing or unusable model, or any image that cannot be read: all of them are named.
    """
    if not paths:
        raise UserError("no image was given", "name one or more image files")
    if top < 1:
        raise UserError(f"top is {top}", "ask for at least one class")
    session, labels, preprocessing = _open_model(model)
    channels, height, width = preprocessing["shape"]
    images, notes, bad = [], [], []
    for path in paths:
        try:
            image = _prepare(path, channels, (width, height))
        except _UNREADABLE as error:
            bad.append(f"{path}: {_reason(error)}")
            continue
        image = 255 - image if invert else image
        images.append(image)
        notes.append(tuple(_notes(image, preprocessing["mean"])))
    if bad:
        raise UserError(
            f"{len(bad)} of {len(paths)} images cannot be read:\n    " + "\n    ".join(bad),
            "leave them out or replace them",
        )
    inputs, outputs = session.get_inputs()[0].name, session.get_outputs()[0].name
    results = []
    for path, image, said in zip(paths, images, notes, strict=True):
        probabilities = session.run([outputs], {inputs: image[None]})[0][0]
        order = np.argsort(-probabilities, kind="stable")[:top]
        results.append(Prediction(path, tuple((labels[k], float(probabilities[k])) for k in order), said))
    return results


def describe(predictions: Sequence[Prediction]) -> Iterator[str]:
    """One line an image, its notes below it."""
    for entry in predictions:
        answers = "   ".join(f"{label} {probability:.1%}" for label, probability in entry.classes)
        yield f"{entry.path}: {answers}"
        for note in entry.notes:
            yield f"  note: {note}"


def load_image(path: Path, channels: int, size: tuple[int, int]) -> Pixels:
    """An image file as a model's input.

    EXIF rotation is applied, transparency is laid on white, 16-bit values are scaled to 8, grey or RGB is made,
    missing room is filled with the border's median colour to keep the aspect ratio, and it is resized: by area means
    when shrinking, bilinearly when growing.

    Args:
        channels: 1 for grey, 3 for RGB.
        size: (width, height).

    Returns:
        uint8 [channels, height, width].

    Raises:
        UserError: if it is missing, damaged, no image, or has more than 100 million pixels.
    """
    try:
        return _prepare(path, channels, size)
    except _UNREADABLE as error:
        raise UserError(f"{path}: {_reason(error)}", "replace the image") from None


def _prepare(path: Path, channels: int, size: tuple[int, int]) -> Pixels:
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        # Pillow warns of bombs and damaged metadata; the size is checked here, damaged pixels raise.
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(path)
        except Image.DecompressionBombError:
            # Its class is a bare Exception, raised above twice Pillow's own limit, before the size is known here.
            raise ValueError(f"it has more than {_LARGEST_PIXELS:,} pixels") from None
        with opened:
            if opened.width * opened.height > _LARGEST_PIXELS:
                raise ValueError(f"{opened.width}x{opened.height} pixels are more than {_LARGEST_PIXELS:,}")
            opened.load()
            image = ImageOps.exif_transpose(opened)
    image = _flat(image).convert("L" if channels == 1 else "RGB")
    image = _padded(image, size)
    shrinks = image.width > size[0] or image.height > size[1]
    if image.size != size:
        image = image.resize(size, Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels)


def _flat(image: Image.Image) -> Image.Image:
    """8 bits a channel, no transparency."""
    from PIL import Image

    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ValueError("it holds NaN or infinite values")
        # 16-bit files open as I;16 or, from older writers, as I.
        top = 65535.0 if image.mode != "F" else max(1.0, float(values.max()))
        return Image.fromarray(np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8))
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def _padded(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image centred on a canvas of the target's aspect ratio, in its border's median colour."""
    from PIL import Image

    width = max(image.width, round(image.height * size[0] / size[1]))
    height = max(image.height, round(image.width * size[1] / size[0]))
    if (width, height) == image.size:
        return image
    if width * height > _LARGEST_PIXELS:
        raise ValueError(f"{image.width}x{image.height} pixels are too long for the model's {size[0]}x{size[1]}")
    colour = np.median(_border(np.atleast_3d(np.asarray(image))), axis=0)
    fill = tuple(int(value) for value in np.rint(colour))
    canvas = Image.new(image.mode, (width, height), fill[0] if len(fill) == 1 else fill)
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def _border(pixels: Pixels) -> Pixels:
    """The outermost pixels of [H, W, C], as [n, C]."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _notes(image: Pixels, mean: Sequence[float]) -> Iterator[str]:
    border = float(np.median(_border(image.transpose(1, 2, 0))))
    usual = 255.0 * sum(mean) / len(mean)
    if image.min() == image.max():
        yield "the image is one flat colour"
    elif len(mean) == 1 and usual < 80 and border > 150:
        yield "its background is light, the model knows dark ones: try --invert"
    elif len(mean) == 1 and usual > 175 and border < 105:
        yield "its background is dark, the model knows light ones: try --invert"


def _open_model(path: Path) -> tuple[Any, list[str], dict[str, Any]]:
    """Session, labels and preprocessing of an exported model."""
    if path.is_dir():
        raise UserError(f"{path} is a folder", f"name the file in it, as {path / DEFAULT_MODEL.name}")
    if not path.is_file():
        raise UserError(f"{path} does not exist", _CURE)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its own log; failures raise
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        stored = session.get_modelmeta().custom_metadata_map
        labels, preprocessing = json.loads(stored["labels"]), json.loads(stored["preprocessing"])
        shape = [int(value) for value in preprocessing["shape"]]
    except KeyError as error:
        raise UserError(f"{path} has no {error} in its metadata: the export stage did not write it", _CURE) from None
    except Exception as error:  # onnxruntime raises a class of its own for each way a file can be damaged
        raise UserError(f"{path} is no ONNX model that can be loaded: {str(error).splitlines()[0]}", _CURE) from None
    if len(shape) != 3 or shape[0] not in {1, 3}:
        raise UserError(f"{path} takes inputs of shape {shape}", "images have one channel (grey) or three (RGB)")
    return session, [str(label) for label in labels], preprocessing


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "it does not exist"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    if isinstance(error, PermissionError):
        return "it may not be read"
    if type(error).__name__ == "UnidentifiedImageError":
        return "it is no image, or of an unknown format"
    return str(error) or type(error).__name__
