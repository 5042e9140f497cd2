"""Samples as a person sees them, for galleries and tables of worst cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samebits.data.loading.prepared import Array
from samebits.evaluation.subject import Subject
from samebits.signature.signature import TOKENIZER, CategoryColumn, TableInputs, TokenInputs

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
        return [Shown(text=_row_text(inputs, row)) for row in rows]
    return [Shown(text=text) for text in _texts(subject, inputs, rows)]


def _texts(subject: Subject, inputs: TokenInputs, rows: Array) -> list[str]:
    """Tokens as text, without special ones; a text that was cut to the model's length ends with an ellipsis."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(subject.prepared / TOKENIZER))
    texts = []
    for row in rows:
        used = row if inputs.pad is None else row[row != inputs.pad]
        text = tokenizer.decode(used.tolist(), skip_special_tokens=True).strip()
        full = len(used) == inputs.length or len(text) > _LETTERS
        texts.append(text[:_LETTERS] + (" …" if full else ""))
    return texts


def _row_text(inputs: TableInputs, row: Array) -> str:
    cells = []
    for column, value in zip(inputs.columns, row.tolist(), strict=True):
        if isinstance(column, CategoryColumn):
            shown = column.values[int(value) - 1] if value >= 1 else "unknown"
        else:
            shown = "missing" if np.isnan(value) else f"{value:g}"
        cells.append(f"{column.name} {shown}")
    return ", ".join(cells)
