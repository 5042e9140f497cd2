"""The next token."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from samebits.base.errors import UserError
from samebits.signature.kind import Array, InputKind
from samebits.signature.target_kind import TargetKind
from samebits.signature.tokens import TokenInputs


class NextTokenTarget(TargetKind):
    """The token that follows each token of the inputs. Stored rows hold one token more than the context. Models give
    scores [N, L, V]."""

    kind: Literal["next_token"] = "next_token"
    evaluator: ClassVar[str] = "language_model"
    output_name: ClassVar[str] = "logits"
    meaning: ClassVar[str] = "scores of the next token, before softmax"
    stored_dtype: ClassVar[str | None] = None
    predict: ClassVar[str] = "samebits generate PROMPT"
    generates: ClassVar[bool] = True
    scores: ClassVar[dict[str, str]] = {
        "bits_per_byte": "bits per byte | {:.4f}",
        "perplexity": "perplexity | {:.2f}",
    }

    def width(self, inputs: InputKind) -> int:
        if not isinstance(inputs, TokenInputs):
            raise UserError("a next token can be predicted from tokens alone", "make the data again: dvc repro")
        return inputs.vocabulary

    def output_shape(self, inputs: InputKind) -> tuple[int, ...]:
        return (*inputs.row_shape, self.width(inputs))

    def from_rows(self, rows: Array) -> tuple[Array, Array]:
        return rows[:, :-1], rows[:, 1:].astype(np.int64)

    @property
    def answer_layout(self) -> str:
        return f"[N, L, V]: {self.meaning}."

    @property
    def checked(self) -> str:
        return ", each read in one of these batches; 200 greedy tokens are the same with the cache and without."
