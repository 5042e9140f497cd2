"""Tagged words as rows of tokens: the first token of each word carries its tag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from samebits.base.errors import listed
from samebits.data.readers.reader import Encoded, Int64
from samebits.data.readers.text.labelled import RawTexts
from samebits.data.readers.text.tokenizer import encode_texts, fit_tokenizer
from samebits.metrics.entities import IGNORED, OUTSIDE, are_entities
from samebits.signature.signature import Signature
from samebits.signature.tokens import TOKENIZER

if TYPE_CHECKING:
    from tokenizers import Encoding

_CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class RawTagged(RawTexts):
    """Texts with a tag for each word; the store has a word a line.

    Attributes:
        targets: of each text its tags, int16 [n, most words of a text], -100 after the last.
        facts: `words` that were read, those `cut` off because no more fit in a row, `begun`: entities that began
            with another tag than `B`.
    """

    facts: Mapping[str, int] = field(default_factory=dict)

    def encode(self, splits: Mapping[str, Int64]) -> Encoded:
        """Train the tokeniser on the training split (or take the given one), tokenise all, and give the first token of
        each word its tag.

        Raises:
            UserError: for a tokeniser that cannot be used.
        """
        assert self.targets is not None
        tags, training = self.targets, self.rows[splits["train"]].tolist()
        fitted = fit_tokenizer(
            self.settings,
            self.tokenizer,
            lambda: (text.replace("\n", " ") for text in self.store.texts(training)),
            of_words=True,
        )
        aligned = np.full((len(self), fitted.length), IGNORED, dtype=np.int16)
        lost: Counter[str] = Counter(cut=self.facts["cut"])

        def align(row: int, encoding: Encoding) -> None:
            words = np.array([-1 if word is None else word for word in encoding.word_ids])
            numbers, first = np.unique(words, return_index=True)
            numbers, first = numbers[numbers >= 0], first[numbers >= 0]
            aligned[row, first] = tags[row, numbers]
            total, seen = int((tags[row] != IGNORED).sum()), int(numbers[-1]) + 1 if len(numbers) else 0
            cut = total - seen if encoding.overflowing else 0
            lost.update(cut=cut, unseen=total - len(numbers) - cut)

        encoded = encode_texts(
            fitted,
            len(self),
            lambda: (text.split("\n") for text in self.store.texts(self.rows.tolist())),
            self.scratch / "tokens.npy",
            _CHUNK,
            align,
        )
        stored = replace(self, targets=aligned)
        words = {"words": self.facts["words"], "words_cut": lost["cut"], "words_without_tokens": lost["unseen"]}
        return Encoded(
            signature=Signature(inputs=fitted.inputs(self.column), target=stored.fitted_target(splits["train"])),
            splits={name: stored.subset(rows, encoded.read) for name, rows in splits.items()},
            files={TOKENIZER: fitted.json},
            audit={"texts": encoded.audit() | words | {"encodings": dict(sorted(self.encodings.items()))}},
            remarks=(
                *self._encoding_remarks(),
                *self._tag_remarks(),
                *encoded.remarks(self.settings.length),
                *_lost_remarks(words, self.settings.length),
            ),
        )

    def _tag_remarks(self) -> Iterator[str]:
        if not are_entities(self.classes):
            yield "the tags mark no entities (B-X, I-X, O): they are taken as they are"
            return
        types = sorted({tag[2:] for tag in self.classes if tag != OUTSIDE})
        yield f"tags of {len(types)} type{'s' if len(types) > 1 else ''} of entities: {listed(types, 20)}"
        if self.facts["begun"]:
            begun = self.facts["begun"]
            yield f"{begun:,} entities did not begin with B- (IOB1, IOBES, BILOU or a slip): stored as IOB2"


def _lost_remarks(words: Mapping[str, int], length: int) -> Iterator[str]:
    total = max(1, words["words"])
    if n := words["words_cut"]:
        yield (
            f"{n:,} of {total:,} words ({n / total:.1%}) are cut off, with their tags: data.text.length is {length}; "
            "shorter sentences or a larger one keep them"
        )
    if n := words["words_without_tokens"]:
        yield f"{n:,} of {total:,} words have no token, so that their tags are neither learnt nor judged"
