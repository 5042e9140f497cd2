"""Tags of the words of a text by an exported model, with the places where they stand.

A word is a run of letters and digits, marks that stand on them, and single `.`, `'`, `-` or `_` inside it (U.S, don't);
every other character that is no white space is a word of its own. Each line is read for itself, and one that does not
fit into a row in parts, so that no word is without a tag.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samebits.metrics.entities import OUTSIDE, are_entities
from samebits.signature.tags import TagsTarget

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from samebits.inference.session import Session

_BATCH = 32
_INSIDE = ".'’-_"
"""Characters that may stand between two letters of a word."""


@dataclass(frozen=True)
class Span:
    """A word or an entity.

    Attributes:
        begin, end: characters of the text, the end not included.
        text: what stands there.
        label: its tag, or the entity's type.
        probability: of its tag; of an entity, the lowest of its words.
    """

    begin: int
    end: int
    text: str
    label: str
    probability: float


def find_spans(text: str, session: Session, tokenizer: Tokenizer, target: TagsTarget, pad: int) -> list[Span]:
    """The entities of a text; of tags that mark none, every word.

    Raises:
        UserError: if the model cannot be run on it.
    """
    places = [line for line in _lines(text) if line]
    tagged: list[list[Span]] = []
    for start in range(0, len(places), _BATCH):
        part = places[start : start + _BATCH]
        encoded = tokenizer.encode_batch([[text[a:b] for a, b in line] for line in part], is_pretokenized=True)
        for line, encoding in zip(part, encoded, strict=True):
            found: dict[int, tuple[str, float]] = {}
            for tokens, words in _rows([encoding, *encoding.overflowing]):
                answer = session.answers(np.array([tokens or [pad]], dtype=np.int32), target)[0]
                for at, word in enumerate(words):
                    if word is not None and word not in found:
                        best = int(answer[at].argmax())
                        found[word] = target.classes[best], float(answer[at, best])
            tagged.append([Span(*line[word], text[slice(*line[word])], *found[word]) for word in sorted(found)])
    if not are_entities(target.classes):
        return [word for line in tagged for word in line]
    return [entity for line in tagged for entity in _entities(line, text)]


def shown(spans: Sequence[Span], target: TagsTarget) -> str:
    """A line for each."""
    kind = "entit" if are_entities(target.classes) else "word"
    many = {"entit": ("y", "ies"), "word": ("", "s")}[kind][len(spans) != 1]
    lines = [f"{len(spans):,} {kind}{many}"]
    wide = max((len(each.label) for each in spans), default=0)
    for each in spans:
        place = f"{each.begin}-{each.end}"
        lines.append(f"  {place:>11}  {each.label:<{wide}}  {' '.join(each.text.split())}  {each.probability:.1%}")
    return "\n".join(lines)


def words_of(text: str) -> list[tuple[int, int]]:
    """Where the words of a text stand, as (begin, end)."""
    words: list[tuple[int, int]] = []
    begin: int | None = None
    for at, character in enumerate(text):
        if _is_letter(character):
            begin = at if begin is None else begin
            continue
        if begin is not None and character in _INSIDE and at + 1 < len(text) and _is_letter(text[at + 1]):
            continue
        if begin is not None:
            words.append((begin, at))
            begin = None
        if not character.isspace():
            words.append((at, at + 1))
    if begin is not None:
        words.append((begin, len(text)))
    return words


def _is_letter(character: str) -> bool:
    # Marks: vowel signs of Indian languages; format characters: joiners within words.
    return character.isalnum() or unicodedata.category(character) in ("Mn", "Mc", "Cf")


def _lines(text: str) -> Iterator[list[tuple[int, int]]]:
    at = 0
    for line in text.split("\n"):
        yield [(at + begin, at + end) for begin, end in words_of(line)]
        at += len(line) + 1


def _rows(parts: Sequence[Any]) -> Iterator[tuple[list[int], list[int | None]]]:
    """Tokens of each part of a line without padding, and the word of each."""
    for part in parts:
        used = sum(part.attention_mask)
        # Padding stands at the end.
        yield part.ids[:used], part.word_ids[:used]


def _entities(words: Sequence[Span], text: str) -> Iterator[Span]:
    """As conlleval reads tags: one that goes on with no entity begins one."""
    begun: Span | None = None
    for word in words:
        kind = "" if word.label == OUTSIDE else word.label[2:]
        if begun is not None and (word.label[0] == "B" or kind != begun.label):
            yield begun
            begun = None
        if not kind:
            continue
        if begun is None:
            begun = Span(word.begin, word.end, word.text, kind, word.probability)
        else:
            lowest = min(begun.probability, word.probability)
            begun = Span(begun.begin, word.end, text[begun.begin : word.end], kind, lowest)
    if begun is not None:
        yield begun
