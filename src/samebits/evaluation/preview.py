"""Samples as a person sees them, for galleries and tables of worst cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.evaluation.inputs import EvaluationInputs
from samebits.evaluation.sample_text import row_text, token_text
from samebits.signature.signature import TOKENIZER

_LETTERS = 700
"""Of a text, at most."""


@dataclass(frozen=True)
class Preview:
    """A sample: an image, uint8 or uint16 [C, H, W], or a text."""

    image: npt.NDArray[Any] | None = None
    text: str = ""


def previews(evaluated: EvaluationInputs, indices: npt.NDArray[np.int64]) -> list[Preview]:
    """Samples of the split by row."""
    rows = evaluated.split.rows(indices)
    inputs = evaluated.info.signature.inputs
    if inputs.kind == "image":
        return [Preview(image=row) for row in rows]
    if inputs.kind == "table":
        columns = [column.model_dump() for column in inputs.columns]
        return [Preview(text=row_text(columns, row)) for row in rows]
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(evaluated.prepared / TOKENIZER))
    return [Preview(text=token_text(tokenizer, row, inputs.pad, _LETTERS)) for row in rows]
