"""A tokeniser fitted to made-up texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from samebits.data.readers.text.tokenizer import Fitted, PretrainedTokenizer, fit_tokenizer
from samebits.params.text import TextParams

TEXTS = [f"the quick brown Fox number {k} jumps över the lazy dog" for k in range(50)]


def fit(texts: list[str] = TEXTS, pretrained: PretrainedTokenizer | None = None, **settings: Any) -> Fitted:
    def stream() -> Iterator[str]:
        return iter(texts)

    return fit_tokenizer(TextParams(vocabulary=400, length=settings.pop("length", 16), **settings), pretrained, stream)
