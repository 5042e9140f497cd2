"""A tag for each word of a text, or for each step of an array."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from samebits.base.decimals import rounded
from samebits.base.errors import UserError
from samebits.metrics.entities import IGNORED, OUTSIDE, Scheme, are_entities, f1, strangers, to_iob2, words_only
from samebits.signature.kind import Array, Column, Floats, Floats64, InputKind, ReadingCode
from samebits.signature.of_classes import OfClasses, best_of, contradiction, log_shares, shares_problem
from samebits.signature.tokens import TOKENIZER, TokenInputs

MOST_TAGS = 10_000
_SHOWN = 3
"""Doubtful words of a text, at most."""


class TagsTarget(OfClasses):
    """One of K tags for each word; stored as int16 [L] at the first token of each word, -100 at the others: the rest
    of a word, special tokens, padding. Models give logits [N, L, K].

    Tags of entities are IOB2.

    Attributes:
        classes: the tags.
        length: positions of a sample, L.
    """

    kind: Literal["tags"] = "tags"
    classes: list[str] = Field(min_length=2, max_length=MOST_TAGS)
    length: int = Field(ge=1)
    evaluator: ClassVar[str] = "tags"
    output_name: ClassVar[str] = "probabilities"
    meaning: ClassVar[str] = "of each token the softmax probabilities, in the order of labels; of a word, its first one"
    stored_dtype: ClassVar[str | None] = "<i2"
    decided: ClassVar[str] = "tag for a word"
    noun: ClassVar[str] = "tagger"
    scores: ClassVar[dict[str, str]] = {
        "entity_f1": "entity F1 | {:.2%}",
        "tag_accuracy": "accuracy of the tags | {:.2%}",
    }
    counted: ClassVar[str] = "words"
    per_position: ClassVar[bool] = True
    doubted: ClassVar[str] = (
        "half of one plus the probability of the best other tag minus that of the given one, of the most doubtful word"
    )
    needs_all_classes: ClassVar[bool] = False

    @classmethod
    def accept(cls, value: Any) -> Any:
        """A list of tags, or an array [L] of their indices, -100 where a step does not count."""
        if isinstance(value, list | tuple) and value and all(isinstance(tag, str) and tag.strip() for tag in value):
            return tuple(tag.strip() for tag in value)
        array = np.asarray(value) if isinstance(value, list | tuple | np.ndarray) else np.empty(0)
        if array.ndim != 1 or array.dtype.kind not in "biu" or not array.size:
            raise ValueError(
                f"its target is of type {type(value).__name__}: tags are a list of names, or indices, one for each step"
            )
        if array[array != IGNORED].min(initial=0) < 0 or array.max() >= MOST_TAGS:
            raise ValueError(
                f"its tags are {array.min()} to {array.max()}: give indices from 0, and {IGNORED} for what does not "
                "count"
            )
        return array.astype(np.int16)

    @classmethod
    def gather(cls, values: Sequence[Any]) -> tuple[Array, tuple[str, ...]]:
        """Tags as int16 [n, longest], -100 after the last one; those of entities become IOB2."""
        named = bool(values) and isinstance(values[0], tuple)
        if any(isinstance(each, tuple) != named for each in values):
            raise UserError("some samples have tags by name and some by index", "give all of them in one way")
        if named:
            counts = Counter(tag for each in values for tag in each)
            if slips := strangers(counts):
                shown = ", ".join(f"{tag!r} ({counts[tag]:,} words)" for tag in slips[:3])
                raise UserError(
                    f"most tags mark entities (B-X, I-X, O), and these do not: {shown}",
                    "correct them; if they are the headings of columns, take that line out",
                )
            marks = are_entities(counts)
            rows = [to_iob2(each) for each in values] if marks else values
            found = {tag for each in rows for tag in each}
            # What stands outside first, then the tags of each type together.
            names = sorted(found, key=lambda tag: (tag != OUTSIDE, tag[2:] if marks else tag, tag))
            places = {name: place for place, name in enumerate(names)}
            values = [np.array([places[tag] for tag in each], dtype=np.int16) for each in rows]
        else:
            names = [str(k) for k in range(1 + max((int(each.max()) for each in values), default=0))]
        if values and not 2 <= len(names) <= MOST_TAGS:
            raise UserError(
                f"the words have {len(names):,} different tags ({', '.join(names[:3])}): there is nothing to learn"
                if len(names) < 2
                else f"the words have {len(names):,} different tags, such as {names[1]!r}: {MOST_TAGS:,} are the most",
                "look at which column or key holds the tags (data.text.label)",
            )
        targets = np.full((len(values), max(map(len, values), default=1)), IGNORED, dtype=np.int16)
        for row, each in zip(targets, values, strict=True):
            row[: len(each)] = each
        return targets, tuple(names)

    @classmethod
    def fit(cls, targets: Array, classes: Sequence[str], name: str) -> Self:
        return cls(classes=list(classes), length=targets.shape[1])

    @classmethod
    def class_counts(cls, targets: Array, classes: int) -> list[int]:
        """Words of each tag."""
        return [int(n) for n in np.bincount(targets[targets != IGNORED].astype(np.int64), minlength=classes)]

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return (self.length,)

    def output_shape(self, inputs: InputKind) -> tuple[int, ...]:
        return (self.length, len(self.classes))

    def problem(self, targets: Array) -> str:
        wrong = (targets != IGNORED) & ((targets < 0) | (targets >= len(self.classes)))
        return f"a tag is none of the {len(self.classes)} classes" if wrong.any() else ""

    def in_manifest(self, targets: Array) -> list[Any]:
        """How many words are of each tag, and the beginning of the tags' SHA-256, by which others differ."""
        rows = []
        for tags in targets:
            counts = np.bincount(tags[tags != IGNORED], minlength=len(self.classes))
            present = "; ".join(f"{self.classes[k]} {counts[k]}" for k in np.flatnonzero(counts).tolist())
            rows.append(f"{present} ({hashlib.sha256(tags.tobytes()).hexdigest()[:12]})")
        return rows

    def used(self, targets: Array, inputs: Array) -> Array:
        return targets[:, : inputs.shape[-1]]

    def answers_shape(self, samples: Array) -> tuple[int, ...]:
        return (len(samples), samples.shape[-1], len(self.classes))

    def without_unread(self, answers: Floats, targets: Array) -> Floats:
        """Zeros where no word begins: nobody reads what is said there."""
        counts = targets[:, : answers.shape[1]] != IGNORED
        return np.where(counts[:, :, None], answers, np.float32(0.0))

    def answers_problem(self, answers: Array) -> str:
        return shares_problem(np.moveaxis(answers, 2, 1))

    def outputs_of(self, answers: Floats64) -> Floats64:
        return log_shares(answers)

    def temperature_rows(self, outputs: Floats64, targets: Array) -> tuple[Floats64, npt.NDArray[np.int64]]:
        """A row for each word."""
        tags = targets[:, : outputs.shape[1]]
        counts = tags != IGNORED
        return outputs[counts], tags[counts].astype(np.int64)

    def judged(self, answers: Array) -> Array:
        """The tag at each position, int16 [n, length], -100 beyond the longest of these samples."""
        tags = np.full((len(answers), self.length), IGNORED, dtype=np.int16)
        tags[:, : answers.shape[1]] = answers.argmax(axis=2)
        return tags

    def decisions(self, answers: Floats) -> tuple[npt.NDArray[np.bool_], Array | None]:
        """-1 where no word begins."""
        clear, best = best_of(answers, axis=2)
        empty = ~answers.any(axis=2)
        return clear | empty, np.where(empty, -1, best)

    def score(self, answers: Floats, targets: Array) -> dict[str, float | None]:
        counts = targets != IGNORED
        said = answers.argmax(axis=2)
        right = int((said == targets)[counts].sum())
        found = {"tag_accuracy": rounded(right / max(1, int(counts.sum())))}  # of counts, as is F1
        scheme = Scheme.of(self.classes)
        if not scheme.types:
            return found
        true, tags = words_only(targets, said)
        return {"entity_f1": rounded(f1(*(int(each.sum()) for each in scheme.counts(tags, true)))), **found}

    def ranked(self, answer: Floats, top: int) -> tuple[tuple[str, float], ...]:
        """None: each word or step has its own."""
        return ()

    def shown(self, answer: Floats, top: int) -> str:
        """The tag of each step, with a blank between."""
        return " ".join(self.classes[k] for k in answer.argmax(axis=1).tolist())

    def columns(self, top: int = 1) -> dict[str, Column]:
        return {"tags": "text"}

    def cells(self, answers: Floats, top: int = 1) -> list[list[Any]]:
        return [[self.shown(each, top) for each in answers]]

    def doubts(self, answers: Floats, targets: Array) -> tuple[Floats64, list[str]]:
        counts = targets != IGNORED
        found = contradiction(answers.astype(np.float64), np.where(counts, targets, 0))
        found = np.where(counts, found, 0.0)
        said = answers.argmax(axis=2)
        numbers = counts.cumsum(axis=1)  # of the words, from 1
        texts = []
        for row, doubts in enumerate(found):
            worst = np.argsort(-doubts, kind="stable")[:_SHOWN]
            wrong = sorted(place for place in worst.tolist() if doubts[place] > 0.5) or worst[:1].tolist()
            texts.append(
                "; ".join(
                    f"word {numbers[row, place]}: {self.classes[said[row, place]]} (given: "
                    f"{self.classes[targets[row, place]]})"
                    for place in wrong
                )
            )
        return found.max(axis=1), texts

    def reading_code(self, inputs: InputKind) -> ReadingCode:
        if not isinstance(inputs, TokenInputs):
            return inputs.reading_code()
        return ReadingCode(
            ["import numpy", "from tokenizers import Tokenizer"],
            [
                'texts = [["Ada", "lives", "in", "Bern", "."], ["Words", "come", "one", "by", "one"]]',
                f'rows = Tokenizer.from_file("{TOKENIZER}").encode_batch(texts, is_pretokenized=True)',
                "tokens = numpy.array([row.ids for row in rows], dtype=numpy.int32)",
            ],
        )

    def answer_code(self, inputs: InputKind) -> list[str]:
        if not isinstance(inputs, TokenInputs):
            return []
        return [
            'labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])',
            "for words, row, best in zip(texts, rows, probabilities.argmax(axis=2)):",
            "    first = {}  # the first token of each word",
            "    for place, word in enumerate(row.word_ids):",
            "        if word is not None:",
            "            first.setdefault(word, place)",
            "    print([(words[word], labels[best[place]]) for word, place in first.items()])",
        ]

    @property
    def answer(self) -> str:
        return f"the probability of each of {len(self.classes)} tags for every word"

    @property
    def answer_layout(self) -> str:
        return (
            f"[N, L, {len(self.classes)}], in the order of the labels: argmax over axis 2 is the tag of each token, "
            "and that of a word is its first token's."
        )

    @property
    def checked(self) -> str:
        return ", at the first token of each word. The tags are the same (two within 1e-5 of each other are a tie)."

    @property
    def limits(self) -> str:
        return f", each word one of the {len(self.classes)} tags"
