"""Samples as a person sees them, for galleries and tables of worst cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samebits.evaluation.sample_text import row_text, token_text
from samebits.evaluation.subject import Subject
from samebits.signature.signature import TOKENIZER

_LETTERS = 700
"""Shown of a text."""


@dataclass(frozen=True)
class Shown:
    """A sample: an image, uint8 [C, H, W], or a text."""

    image: npt.NDArray[np.uint8] | None = None
    text: str = ""


def show_samples(subject: Subject, indices: npt.NDArray[np.int64]) -> list[Shown]:
    """Samples of the split by row."""
    rows = subject.split.rows(indices)
    inputs = subject.info.signature.inputs
    if inputs.kind == "image":
        return [Shown(image=row) for row in rows]
    if inputs.kind == "table":
        columns = [column.model_dump() for column in inputs.columns]
        return [Shown(text=row_text(columns, row)) for row in rows]
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(subject.prepared / TOKENIZER))
    return [Shown(text=token_text(tokenizer, row, inputs.pad, _LETTERS)) for row in rows]
