"""What the code asks of a kind of target, as `kind` does of a kind of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from samebits.params.section import Section
from samebits.signature.kind import Array, Column, Floats, Floats64, InputKind, ReadingCode


class TargetKind(Section):
    """A kind of target.

    Attributes:
        in_label_column: whether a column of labels can hold it, so that `data.target_kind` may name it.
        evaluator: the module of `samebits.evaluation` that judges it.
        output_name: of the answers in exported files.
        meaning: of the answers, for the metadata of exported files.
        stored_dtype: numpy's name of the type of a stored target; None where the rows of the inputs hold it.
        decided: what a sample gets by its answer, for messages.
        predict, predictor: as of the inputs, where they are not theirs.
        mixes: whether mixup can mix it.
        moves: whether it moves with the image: augmentation does to it what it does to the places of pixels.
        counted: what `class_counts` counts.
        generates: whether a model of it is exported with a cache, to write one step after the other.
        per_position: whether a model of it answers for each token of a text, or step of an array.
        needs_all_classes: whether every class must have a training sample; else it is reported which have none.
        one_class: whether an answer is the probabilities of the classes of which one is true, for the whole sample.
        doubted: what `doubts` measures, for people; empty where labels cannot be ranked by it.
    """

    in_label_column: ClassVar[bool] = False
    evaluator: ClassVar[str]
    output_name: ClassVar[str]
    meaning: ClassVar[str]
    stored_dtype: ClassVar[str | None]
    decided: ClassVar[str] = "answer"
    predict: ClassVar[str] = ""
    predictor: ClassVar[str] = ""
    mixes: ClassVar[bool] = False
    moves: ClassVar[bool] = False
    counted: ClassVar[str] = "samples"
    generates: ClassVar[bool] = False
    per_position: ClassVar[bool] = False
    needs_all_classes: ClassVar[bool] = True
    one_class: ClassVar[bool] = False
    doubted: ClassVar[str] = ""

    @classmethod
    def parse(cls, text: str) -> Any:
        """What a cell of the label column says.

        Raises:
            ValueError: with the reason why it is no such target.
        """
        raise NotImplementedError

    @classmethod
    def accept(cls, value: Any) -> Any:
        """What a Dataset of the user's own gives as a target, as `gather` takes it.

        Args:
            value: a text, a number, a collection, or an array of one or more axes.

        Raises:
            ValueError: with the reason why it is no such target.
        """
        return cls.parse(str(value).strip())

    @classmethod
    def gather(cls, values: Sequence[Any]) -> tuple[Array, tuple[str, ...]]:
        """Parsed cells as they are stored, [n, ...], and the names of the classes, if they are of classes.

        Raises:
            UserError: if there is nothing to learn in them.
        """
        raise NotImplementedError

    @classmethod
    def fit(cls, targets: Array, classes: Sequence[str], name: str) -> Self:
        """The kind with what is known of it from the training split's targets, [n, ...].

        Args:
            name: of the column.
        """
        raise NotImplementedError

    @classmethod
    def class_counts(cls, targets: Array, classes: int) -> list[int]:
        """Samples of each class; empty where the target is no class."""
        return []

    @classmethod
    def label_text(cls, target: Any, classes: Sequence[str]) -> str:
        """One stored target as a cell of a file of corrections; empty where none can hold it."""
        return ""

    @classmethod
    def corrected(cls, text: str, classes: Sequence[str]) -> Any:
        """What such a cell says, as it is stored.

        Raises:
            ValueError: with the reason why it is no such target.
        """
        raise ValueError("such a label is corrected in the data themselves; here a sample can be dropped")

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape of one stored target."""
        return ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the outputs; none where the target is no class."""
        return ()

    def width(self, inputs: InputKind) -> int:
        """Numbers that a model gives for one sample, or for each of its positions."""
        raise NotImplementedError

    def output_shape(self, inputs: InputKind) -> tuple[int, ...]:
        """Shape of a model's raw outputs for one sample of full length."""
        return (self.width(inputs),)

    def problem(self, targets: Array) -> str:
        """Why stored targets cannot be right; empty if they can."""
        raise NotImplementedError

    def answers_problem(self, answers: Array) -> str:
        """Why answers of a task of the user's own, [n, ...], cannot be right; empty if they can."""
        return "" if np.isfinite(answers).all() else "an answer is not finite"

    def outputs_of(self, answers: Floats64) -> Floats64:
        """The outputs that a built-in task makes these answers of, [n, ...]."""
        raise NotImplementedError

    def temperature_rows(self, outputs: Floats64, targets: Array) -> tuple[Floats64, npt.NDArray[np.int64]] | None:
        """What a temperature is fitted to: logits [m, K] and the true classes [m], of outputs [n, ...] and stored
        targets; None where outputs are no logits of what a model is trusted with."""
        return None

    def errors(self, outputs: Floats64, targets: Array) -> Floats64 | None:
        """How far predicted numbers are off, in their units, [n, numbers]; None where nothing is measured."""
        return None

    def judged(self, answers: Array) -> Array:
        """What a metric of the user's own gets of the answers, [n, ...]."""
        return answers

    def from_rows(self, rows: Array) -> tuple[Array, Array]:
        """Inputs and targets of stored rows that hold both."""
        raise NotImplementedError

    def in_manifest(self, targets: Array) -> list[Any]:
        """Stored targets for the manifest: numbers, or of those with axes of their own, texts."""
        if targets.ndim == 1:
            return list(targets.astype(np.float64))
        return [" ".join(map(str, row.ravel())) for row in targets]

    def used(self, targets: Array, inputs: Array) -> Array:
        """Stored targets of samples whose inputs were cut to what is used of them."""
        return targets

    # What follows is of the answers of an exported file, float32 [n, ...].

    def answers_shape(self, samples: Array) -> tuple[int, ...]:
        """Shape of the answers for samples as they are served."""
        return (len(samples), *self.answer_shape)

    def without_unread(self, answers: Floats, targets: Array) -> Floats:
        """Answers without those that nobody reads, which are 0 then."""
        return answers

    @property
    def unit(self) -> float | Floats:
        """What a difference of two answers is a share of; of answers with axes of their own, for each place."""
        return 1.0

    def decisions(self, answers: Floats) -> tuple[npt.NDArray[np.bool_], Array | None]:
        """Whether rounding cannot change what is decided, and what that is, both [n, ...].

        None: nothing is decided; -1: there is nothing to decide on.
        """
        return np.ones(len(answers), dtype=np.bool_), None

    def score(self, answers: Floats, targets: Array) -> dict[str, float | None]:
        """How good answers are, as one number under the metric's name."""
        raise NotImplementedError

    def doubts(self, answers: Floats, targets: Array) -> tuple[Floats64, list[str]]:
        """How far answers contradict the stored targets of the same samples, [n], the higher the further; and what
        they say instead. Where targets are of classes, it is above one half if the model says something else."""
        raise NotImplementedError

    def overlay(self, image: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A picture, [1 or 3, H, W], with the stored target over it, if it has a place there."""
        return image

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Shape of the answer for one sample, where its length is not that of the sample."""
        return ()

    def ranked(self, answer: Floats, top: int) -> tuple[tuple[str, float], ...]:
        """The best labels of one sample's answer with their probabilities; empty where there are none."""
        return ()

    def shown(self, answer: Floats, top: int) -> str:
        """One sample's answer for people."""
        raise NotImplementedError

    def columns(self, top: int = 1) -> dict[str, Column]:
        """The columns in which a table has the answers, and what they hold.

        Args:
            top: how many classes to give, where only some are.
        """
        return {"prediction": "number"}

    def cells(self, answers: Floats, top: int = 1) -> list[list[Any]]:
        """Answers [n, ...] as the cells of such columns: texts or floats, n in each column."""
        return [answers.tolist()]

    # For the model card.

    noun: ClassVar[str] = "model"
    scores: ClassVar[dict[str, str]] = {}
    """Names that `score` uses -> how each is shown, in two cells."""

    def reading_code(self, inputs: InputKind) -> ReadingCode:
        """How a model card shows that files become inputs."""
        return inputs.reading_code()

    def answer_code(self, inputs: InputKind) -> list[str]:
        """More lines that say what the answers mean; they have `session` and what `reading_code` leaves."""
        return []

    @property
    def answer(self) -> str:
        """What a model of it gives: `the probability of each of 10 classes`."""
        return self.meaning

    @property
    def answer_layout(self) -> str:
        """Axes of the answers and what stands where: `[N, 10], in the order of the labels.`"""
        return f"[N]: {self.meaning}."

    @property
    def checked(self) -> str:
        """How the answers of exported files were compared, after `... are within 1e-5 of the checkpoint's`."""
        return ""

    @property
    def limits(self) -> str:
        """What kind of answer it also gives to anything that it does not know; begins with `, ` or is empty."""
        return ""
