"""What the code asks of a kind of inputs. Each kind answers in its class, and nowhere else.

A kind is written into `dataset.json`, the checkpoint and every exported file, so it holds values alone. Code that needs
torch, Pillow or a plotting library lies in modules that have the kind's name: `preprocess/KIND.py`,
`inference/KIND.py` and `evaluation/KIND.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from samebits.params.section import Section

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
Decode = Callable[[list[int]], str]
Column = Literal["text", "share", "number"]
"""What a column of answers holds; a share is a probability or another number from 0 to 1."""


@dataclass(frozen=True)
class Preview:
    """A stored sample for people: an image, uint8 or uint16 [C, H, W], or a text."""

    image: Array | None = None
    text: str = ""


@dataclass(frozen=True)
class ReadingCode:
    """Lines of a model card that make the model's input of files.

    Attributes:
        imports: the first lines of the block.
        read: lines that leave the input in a variable of its name.
        metadata: whether they need the file's metadata, as `inputs`.
        documented: a function of the kind's `reader` whose documentation says how a file is read; empty for none.
    """

    imports: Sequence[str]
    read: Sequence[str]
    metadata: bool = False
    documented: str = ""


class InputKind(Section):
    """A kind of inputs.

    Attributes:
        input_name: of the input in exported files.
        models: for the message to someone whose model takes another kind.
        predict: a command for the summary.
        predictor: the module of `samebits.inference` that answers `samebits predict` (`inference/request.py`).
        batch: for people, what a model gets.
        pictures: whether a preview is an image.
        augments: whether `augment` changes the samples, and mixup mixes them.
        reader: a file beside exported models that reads files as the training data were read (`export/usage.py`); None
            where something else does that.
    """

    input_name: ClassVar[str]
    models: ClassVar[str]
    predict: ClassVar[str]
    predictor: ClassVar[str]
    batch: ClassVar[str]
    pictures: ClassVar[bool] = False
    augments: ClassVar[bool] = False
    reader: ClassVar[str | None] = None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one sample as it is stored."""
        raise NotImplementedError

    @property
    def row_dtype(self) -> str:
        """numpy's name of the type of a stored sample, little-endian."""
        raise NotImplementedError

    @property
    def served_dtype(self) -> str:
        """numpy's name of the type of the input in exported files: torch computes little in uint16."""
        return "int32" if self.row_dtype == "<u2" else np.dtype(self.row_dtype).name

    @property
    def described(self) -> str:
        """One phrase: `grey images of 28 × 28 pixels`."""
        raise NotImplementedError

    @property
    def served(self) -> str:
        """What an exported file takes: `grey images of 28 × 28 pixels as raw pixels`."""
        raise NotImplementedError

    @property
    def layout(self) -> str:
        """Axes of the input in exported files: `[N, 1, 28, 28]`."""
        return f"[N, {', '.join(map(str, self.row_shape))}]"

    @property
    def axes(self) -> dict[int, str]:
        """Axes of the input that may have any length, with their names."""
        return {0: "batch"}

    @property
    def largest(self) -> dict[str, int]:
        """The largest length of such axes other than `batch`."""
        return {}

    @property
    def files(self) -> dict[str, str]:
        """Files that travel beside a model of such inputs: name -> SHA-256."""
        return {}

    @property
    def fill(self) -> tuple[int, ...]:
        """What augmentation writes where there is no pixel, of each channel."""
        return ()

    @property
    def column_groups(self) -> dict[str, list[int]]:
        """Of inputs that have columns: the name of each to its places in a row."""
        return {}

    def used(self, rows: Array) -> Array:
        """Stored rows without what fills them up: [n, L] as long as the longest."""
        return rows

    def problem(self, row: Array) -> str:
        """Why a stored row of the right shape and type cannot be right; empty if it can."""
        return ""

    def unpadded(self, row: Array) -> Array:
        """One stored row without what fills it up, a view."""
        return row

    def lengths(self, rows: Array) -> npt.NDArray[np.int64]:
        """What the length buckets sort by, int64 [n]."""
        return np.ones(len(rows), dtype=np.int64)

    def two_samples(self) -> Array:
        """Two stored samples of zeros, to try a model out with."""
        return np.zeros((2, *self.row_shape), dtype=self.row_dtype)

    def previews(self, rows: Array, decode: Decode) -> list[Preview]:
        """Stored samples for people. `decode`: of texts, tokens to the text."""
        raise NotImplementedError

    def reading_code(self) -> ReadingCode:
        """How a model card shows that files become inputs."""
        raise NotImplementedError

    def card_sections(self) -> list[str]:
        """More Markdown lines for the model card."""
        return []
