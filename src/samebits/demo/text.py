"""Texts: typed, pasted or dropped."""

from __future__ import annotations

import math
from typing import Any

from samebits.base.decimals import printed_number
from samebits.demo import form
from samebits.demo.form import Effects, Variants
from samebits.inference.items import Item
from samebits.inference.tags import words_of
from samebits.inference.text import Kind
from samebits.signature.kind import Array

_MOST = 200
"""Parts that a text is taken apart into; words of a longer one are left out several at a time."""
_LETTERS = 20_000
"""Of a text that is taken apart; what follows is passed over."""


class Form(form.Form):
    """A field for a text."""

    widget = "text"
    method = "Each word is left out in turn (of a long text, several that follow each other)."
    kind: Kind

    @property
    def described(self) -> str:
        return f"texts of up to {self.inputs['length']:,} tokens"

    @property
    def fields(self) -> dict[str, Any]:
        return {"length": self.inputs["length"]}

    @property
    def explains(self) -> bool:
        """Not where each word has an answer of its own."""
        return not self.kind.target.per_position

    def decode(self, tokens: list[int]) -> str:
        return str(self.kind.tokenizer.decode(tokens))

    def variants(self, item: Item, sample: Array) -> Variants:
        text = str(item.value)[:_LETTERS]
        words = words_of(text)
        size = max(1, math.ceil(len(words) / _MOST))
        runs = [(part[0][0], part[-1][1]) for part in (words[k : k + size] for k in range(0, len(words), size))]
        shorter = [Item("", text[:begin] + text[end:]) for begin, end in runs]
        ready = self.kind.ready([Item("", text), *shorter])
        at = {place: row for row, place in enumerate(ready.places)}
        # A text of one word is empty without it, and no model is asked about that.
        parts = [[at[place]] if place in at else [] for place in range(1, 1 + len(runs))]

        def told(effects: Effects) -> dict[str, Any]:
            pieces: list[tuple[str, float | None]] = []
            end = 0
            for (begin, stop), effect in zip(runs, effects, strict=True):
                pieces += [(text[end:begin], None), (text[begin:stop], printed_number(effect))]
                end = stop
            return {"words": [each for each in [*pieces, (text[end:], None)] if each[0]]}

        return Variants(ready.samples, parts, told)
