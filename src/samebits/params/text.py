"""`data.text`: how texts become tokens."""

from __future__ import annotations

from pydantic import Field

from samebits.params.section import Section


class TextParams(Section):
    """Texts, for classes and for language models.

    Attributes:
        text: column or key of the text, in tables and JSONL.
        label: column or key of the class.
        tokenizer: null: a byte-level BPE trained on the training split; else a `tokenizer.json` below data/raw, or
            a card that has one.
        vocabulary: tokens of a tokenizer that is trained here: 256 bytes and the separator, the rest learnt.
        length: tokens of a text, longer ones are cut; for a language model, of the context.
        lowercase: lower-case texts before they are cut into tokens, for a tokenizer that is trained here.
    """

    text: str = Field(default="text", min_length=1)
    label: str = Field(default="label", min_length=1)
    tokenizer: str | None = Field(default=None, min_length=1)
    vocabulary: int = Field(default=4096, ge=257, le=1 << 20)
    length: int = Field(default=256, ge=2, le=1 << 17)
    lowercase: bool = False
