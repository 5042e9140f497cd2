"""Texts as token numbers."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from samebits.signature.kind import Array, Decode, InputKind, Preview, ReadingCode
from samebits.signature.sample_text import token_text

TOKENIZER = "tokenizer.json"
"""Beside the shards, the checkpoint and the exported files of texts."""

_LETTERS = 700
"""Of a text in a preview, at most."""


class TokenInputs(InputKind):
    """Texts as token numbers, stored as uint16 or int32 [length], shorter ones padded at the end.

    Attributes:
        length: tokens of the longest row; for a language model, of the context.
        vocabulary: number of different tokens.
        pad: the token that fills short rows up, or null where rows are all full.
        bytes_per_token: UTF-8 bytes of the text behind one token, the mean over the test split; for bits per byte.
        tokenizer_sha256: of `tokenizer.json`, which lies beside whatever holds this.
        column: the column or key that held the texts, where the data had such.
    """

    kind: Literal["tokens"] = "tokens"
    length: int = Field(ge=1)
    vocabulary: int = Field(ge=2)
    pad: int | None = None
    bytes_per_token: float | None = None
    tokenizer_sha256: str
    column: str | None = Field(default=None, exclude_if=lambda value: value is None)
    input_name: ClassVar[str] = "tokens"
    models: ClassVar[str] = "bert or embedding_bag for classes, gpt for a language model"
    predict: ClassVar[str] = "samebits predict --text TEXT"
    predictor: ClassVar[str] = "text"
    batch: ClassVar[str] = "tokens, int64 [N, L]"

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def row_dtype(self) -> str:
        return "<u2" if self.vocabulary <= 1 << 16 else "<i4"

    @property
    def described(self) -> str:
        if self.pad is None:
            return f"rows of {self.length:,} + 1 tokens, vocabulary {self.vocabulary:,}"
        return f"texts of up to {self.length:,} tokens, vocabulary {self.vocabulary:,}"

    @property
    def served(self) -> str:
        return f"texts as up to {self.length:,} tokens of `{TOKENIZER}`"

    @property
    def layout(self) -> str:
        return f"[N, L ≤ {self.length}]"

    @property
    def axes(self) -> dict[int, str]:
        return {0: "batch", 1: "length"}

    @property
    def largest(self) -> dict[str, int]:
        return {"length": self.length}

    @property
    def files(self) -> dict[str, str]:
        return {TOKENIZER: self.tokenizer_sha256}

    def used(self, rows: Array) -> Array:
        if self.pad is None:
            return rows
        filled = np.flatnonzero((rows != self.pad).any(axis=0))
        return rows[:, : int(filled[-1]) + 1 if len(filled) else 1]

    def problem(self, row: Array) -> str:
        last = int(row.max(initial=0))
        return (
            f"token {last} is none of the {self.vocabulary}"
            if last >= self.vocabulary or row.min(initial=0) < 0
            else ""
        )

    def unpadded(self, row: Array) -> Array:
        return row[: int(self.lengths(row[None])[0])]

    def lengths(self, rows: Array) -> npt.NDArray[np.int64]:
        if self.pad is None:
            return super().lengths(rows)
        filled = rows != self.pad
        return np.where(filled.any(axis=1), rows.shape[1] - filled[:, ::-1].argmax(axis=1), 0).astype(np.int64)

    def two_samples(self) -> Array:
        # Of the first token that is no padding.
        return np.full((2, self.length), int(self.pad == 0), dtype=self.row_dtype)

    def previews(self, rows: Array, decode: Decode) -> list[Preview]:
        return [Preview(text=token_text(decode, row, self.pad, _LETTERS)) for row in rows]

    def reading_code(self) -> ReadingCode:
        return ReadingCode(
            ["from pathlib import Path", "import numpy", "from tokenizers import Tokenizer"],
            [
                'texts = [Path(name).read_text(encoding="utf-8") for name in ("first.txt", "second.txt")]',
                f'rows = Tokenizer.from_file("{TOKENIZER}").encode_batch(texts)',
                "tokens = numpy.array([row.ids for row in rows], dtype=numpy.int32)",
            ],
        )
