"""`data.text`: how labelled texts are read and turned into tokens."""

from __future__ import annotations

from pydantic import Field

from samebits.params.section import Section, Sha256


class TextParams(Section):
    """Texts with a label each.

    Attributes:
        text: the column (CSV) or key (JSONL) that holds the text.
        label: the one that holds the class.
        tokenizer: `bpe`, trained on the training split alone; or a given one: the card of some weights (`minilm`), or
            a `tokenizer.json` below data/raw.
        tokenizer_sha256: of a `tokenizer.json` of your own, which pins it; the message names it.
        vocabulary: the most tokens of a trained tokenizer.
        length: tokens a text is cut to.
        lowercase: make letters small first.
    """

    text: str = Field(default="text", min_length=1)
    label: str = Field(default="label", min_length=1)
    tokenizer: str = Field(default="bpe", min_length=1)
    tokenizer_sha256: Sha256 | None = None
    vocabulary: int = Field(default=8000, ge=300, le=1 << 20)
    length: int = Field(default=128, ge=4, le=1 << 16)
    lowercase: bool = False
