"""The class of each pixel."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from samebits.base.decimals import rounded
from samebits.base.errors import UserError
from samebits.metrics.scores import PIXELS_AT_ONCE, confusion, mean_iou
from samebits.signature.kind import Array, Column, Floats, Floats64, InputKind
from samebits.signature.of_classes import OfClasses, best_of, log_shares, shares_problem

IGNORED = 255
"""The value of a pixel that counts neither in training nor in a metric."""
MOST_CLASSES = IGNORED
_CALIBRATED = 256
"""Pixels of an image that a temperature is fitted to."""

_Byte = Annotated[int, Field(ge=0, le=255)]


def default_colours(classes: int) -> list[list[int]]:
    """A colour for each class, far apart: the bits of its index are spread over the bits of red, green and blue, as
    PASCAL VOC does; the first is black."""
    colours = []
    for index in range(classes):
        colour = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                colour[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit) if 3 * bit + channel < 8 else 0
        colours.append(colour)
    return colours


class MaskTarget(OfClasses):
    """One of K classes for each pixel; stored as uint8 [H, W], indices into `classes`, 255 where a pixel does not
    count. Models give logits [N, K, H, W].

    Attributes:
        classes: by name.
        shape: [H, W].
        colours: RGB of each class, for masks and reports.
    """

    kind: Literal["mask"] = "mask"
    classes: list[str] = Field(min_length=2, max_length=MOST_CLASSES)
    shape: list[int] = Field(min_length=2, max_length=2)
    colours: list[Annotated[list[_Byte], Field(min_length=3, max_length=3)]]
    evaluator: ClassVar[str] = "segmentation"
    output_name: ClassVar[str] = "probabilities"
    meaning: ClassVar[str] = "of each pixel the softmax probabilities, in the order of labels"
    stored_dtype: ClassVar[str | None] = "|u1"
    decided: ClassVar[str] = "class for a pixel"
    noun: ClassVar[str] = "segmentation"
    scores: ClassVar[dict[str, str]] = {"mean_iou": "mean IoU | {:.2%}"}
    predict: ClassVar[str] = "samebits predict IMAGE... --output FOLDER"
    predictor: ClassVar[str] = "masks"
    counted: ClassVar[str] = "pixels"
    doubted: ClassVar[str] = "one minus the probability of the label, mean of the pixels"
    moves: ClassVar[bool] = True

    @model_validator(mode="after")
    def _of_each_class(self) -> MaskTarget:
        if len(self.colours) != len(self.classes):
            raise ValueError("the colours are not one a class")
        return self

    @classmethod
    def accept(cls, value: Any) -> npt.NDArray[np.uint8]:
        """An array [H, W] of class indices, 255 where a pixel does not count, or of truth values."""
        if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind not in "biu" or not value.size:
            shown = f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
            raise ValueError(f"its target is {shown}: a mask is an array [H, W] of class indices")
        if value.min() < 0 or value.max() > IGNORED:
            raise ValueError(
                f"its mask has the values {value.min()} to {value.max()}: give class indices from 0, and {IGNORED} "
                "where a pixel does not count"
            )
        return value.astype(np.uint8)

    @classmethod
    def gather(cls, values: Sequence[npt.NDArray[np.uint8]]) -> tuple[Array, tuple[str, ...]]:
        masks = np.stack(values)
        most = max(int(mask[mask != IGNORED].max(initial=0)) for mask in masks)
        if most == 0:
            raise UserError("all pixels of all masks are of one class: there is nothing to learn", "look at the masks")
        return masks, tuple(map(str, range(most + 1)))

    @classmethod
    def fit(cls, targets: Array, classes: Sequence[str], name: str) -> Self:
        return cls(classes=list(classes), shape=list(targets.shape[1:]), colours=default_colours(len(classes)))

    @classmethod
    def class_counts(cls, targets: Array, classes: int) -> list[int]:
        """Pixels of each class."""
        counts = np.zeros(256, dtype=np.int64)
        for rows in _parts(targets):
            counts += np.bincount(rows.ravel(), minlength=256)
        return [int(n) for n in counts[:classes]]

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return tuple(self.shape)

    def output_shape(self, inputs: InputKind) -> tuple[int, ...]:
        return self.answer_shape

    def problem(self, targets: Array) -> str:
        wrong = any(bool(((rows >= len(self.classes)) & (rows != IGNORED)).any()) for rows in _parts(targets))
        return f"a pixel is of none of the {len(self.classes)} classes" if wrong else ""

    def in_manifest(self, targets: Array) -> list[Any]:
        """The classes that each mask holds, and the beginning of its SHA-256, by which another one differs."""
        rows = []
        for mask in targets:
            present = "; ".join(self.classes[k] for k in np.unique(mask).tolist() if k != IGNORED)
            rows.append(f"{present} ({hashlib.sha256(mask.tobytes()).hexdigest()[:12]})")
        return rows

    def overlay(self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """An image with the colours of the classes over it, half and half. Black leaves it as it is; what does not
        count is dark.

        Args:
            image: grey or RGB, [1 or 3, height, width].
            mask: [height, width].

        Returns:
            [3, height, width].
        """
        colours = np.zeros((256, 3), dtype=np.int64)
        colours[: len(self.colours)] = self.colours
        colour, shown = colours[mask].transpose(2, 0, 1), np.broadcast_to(image, (3, *mask.shape)).astype(np.int64)
        over = np.where(colour.any(axis=0), (shown + colour) // 2, shown)
        over[:, mask == IGNORED] //= 4
        return over.astype(np.uint8)

    def answers_problem(self, answers: Array) -> str:
        return shares_problem(answers)

    def outputs_of(self, answers: Floats64) -> Floats64:
        return log_shares(answers)

    def temperature_rows(self, outputs: Floats64, targets: Array) -> tuple[Floats64, npt.NDArray[np.int64]]:
        """A row for each of some pixels of each image, evenly spaced: neighbours say much the same."""
        pixels = targets[0].size if len(targets) else 0
        some = np.unique(np.linspace(0, max(0, pixels - 1), min(pixels, _CALIBRATED), dtype=np.int64))
        classes = targets.reshape(len(targets), pixels)[:, some].ravel()
        logits = np.moveaxis(outputs.reshape(*outputs.shape[:2], pixels)[:, :, some], 1, 2).reshape(
            -1, outputs.shape[1]
        )
        counts = classes != IGNORED
        return logits[counts], classes[counts].astype(np.int64)

    def judged(self, answers: Array) -> Array:
        """The class of each pixel, uint8 [n, H, W]."""
        classes: Array = answers.argmax(axis=1).astype(np.uint8)
        return classes

    def decisions(self, answers: Floats) -> tuple[npt.NDArray[np.bool_], Array | None]:
        return best_of(answers)

    def score(self, answers: Floats, targets: Array) -> dict[str, float | None]:
        found = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        step = max(1, PIXELS_AT_ONCE // int(np.prod(answers.shape[1:])))
        for start in range(0, len(answers), step):
            rows = slice(start, start + step)
            found += confusion(answers[rows].argmax(axis=1), targets[rows], len(self.classes))
        return {"mean_iou": rounded(mean_iou(found))}  # of counts

    def doubts(self, answers: Floats, targets: Array) -> tuple[Floats64, list[str]]:
        counts = targets != IGNORED
        given = np.where(counts, targets, 0)[:, None].astype(np.int64)
        of_given = np.take_along_axis(answers, given, axis=1)[:, 0].astype(np.float64)
        right = np.where(counts, of_given, 0.0).sum(axis=(1, 2)) / np.maximum(1, counts.sum(axis=(1, 2)))
        return np.where(counts.any(axis=(1, 2)), 1.0 - right, 0.0), [self.shown(answer, 3) for answer in answers]

    @property
    def answer_shape(self) -> tuple[int, ...]:
        return (len(self.classes), *self.shape)

    def ranked(self, answer: Floats, top: int) -> tuple[tuple[str, float], ...]:
        """The classes with the most pixels, and their shares of them."""
        counts = np.bincount(answer.argmax(axis=0).ravel(), minlength=len(self.classes))
        order = np.argsort(-counts, kind="stable")[:top]
        return tuple((self.classes[k], float(counts[k] / counts.sum())) for k in order.tolist() if counts[k])

    def shown(self, answer: Floats, top: int) -> str:
        return "   ".join(f"{label} {share:.1%} of the pixels" for label, share in self.ranked(answer, top))

    def columns(self, top: int = 1) -> dict[str, Column]:
        return {f"share of {name}": "share" for name in self.classes}

    def cells(self, answers: Floats, top: int = 1) -> list[list[Any]]:
        masks = answers.argmax(axis=1).reshape(len(answers), -1)
        counts = np.stack([np.bincount(each, minlength=len(self.classes)) for each in masks])
        found: list[list[Any]] = (counts / masks.shape[1]).T.tolist()
        return found

    @property
    def answer(self) -> str:
        return f"the probability of each of {len(self.classes)} classes for every pixel"

    @property
    def answer_layout(self) -> str:
        axes = ", ".join(map(str, self.answer_shape))
        return f"[N, {axes}], in the order of the labels: argmax over axis 1 is the mask."

    @property
    def checked(self) -> str:
        return ". Each pixel's class is the same (two probabilities within 1e-5 of each other count as a tie)."

    @property
    def limits(self) -> str:
        return f", each pixel one of the {len(self.classes)} labels"


def _parts(targets: Array) -> Sequence[Array]:
    """Masks a few at a time: what is computed of them is larger than they are."""
    step = max(1, PIXELS_AT_ONCE // max(1, int(np.prod(targets.shape[1:]))))
    return [targets[start : start + step] for start in range(0, len(targets), step)]
