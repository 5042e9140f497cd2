"""Answers for texts by an exported model, by ONNX Runtime and `tokenizers` alone: no torch, no project.

Two files are enough, side by side: `model.onnx` and `tokenizer.json` of the export stage.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.data.readers.decoding import LONGEST, NotText, clean, decode
from samebits.inference import predictor
from samebits.inference.answer import Answer
from samebits.inference.items import Given, Item
from samebits.inference.session import open_tokenizer
from samebits.inference.tags import find_spans, shown, words_of
from samebits.signature.tags import TagsTarget

SUFFIXES = (".txt", ".text", ".md", ".eml", ".html", ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""Of the files in a folder that hold texts."""

DEFAULT_COLUMN = "text"
"""Of a model whose training data had no columns."""

_BATCH = 32


class Kind(predictor.Kind):
    """Answers for texts: those of the command line, of lines, of the rows of a table, of files in any encoding.

    A model that tags words answers with what it found, and where.
    """

    noun = "texts"
    options = frozenset({"text", "lines", "column"})

    def open_model(self) -> None:
        path, inputs = self.request.model, self.inputs
        if inputs.get("kind") != "tokens" or self.target.generates:
            raise UserError(f"{path} is no model that judges texts", "name one, or give it what it takes")
        self.session.require_inputs({"tokens": ("int32", 2)})
        self.tokenizer = open_tokenizer(path, inputs)
        self.length = int(inputs["length"])

    @property
    def batch(self) -> int:
        return _BATCH

    def takes(self, name: str) -> bool:
        return Path(name).suffix.lower() in SUFFIXES

    def wanted(self) -> list[str]:
        return [self.request.column or self.inputs.get("column") or DEFAULT_COLUMN]

    def of_row(self, row: Mapping[str, Any], name: str, given: Given) -> Item:
        (column,) = self.wanted()
        if not isinstance(row[column], str):
            return Item(name, error=f"{column!r} is {'empty' if row[column] is None else 'no text'}")
        return Item(name, row[column])

    def of_line(self, line: str, name: str) -> Item:
        return Item(name, line)

    def of_value(self, value: Any, name: str) -> Item:
        """Of a text; or of the bytes of a file that holds one, in any encoding."""
        if isinstance(value, bytes):
            try:
                return Item(name, decode(value)[0])
            except NotText as error:
                return Item(name, error=str(error))
        return (
            Item(name, value) if isinstance(value, str) else Item(name, error=f"it is {type(value).__name__}, no text")
        )

    def example(self) -> str:
        return "An example."

    def items(self) -> Iterator[Item]:
        for text in self.request.text:
            yield Item(_shown(text), text)
        yield from super().items()
        if self.request.lines is not None:
            try:
                yield from self.lines(self.request.lines, str(self.request.lines))
            except OSError as error:
                raise UserError(f"{self.request.lines} cannot be read: {error.strerror}", "look at the path") from None

    def ready(self, items: Sequence[Item]) -> predictor.Ready:
        texts, errors = self._texts(items)
        if isinstance(self.target, TagsTarget):
            # As they were given, for the places of the words; the tokeniser cleans them.
            return predictor.Ready([given for given, _ in texts.values()], list(texts), [()] * len(texts), errors)
        encoded = self.tokenizer.encode_batch([cleaned for _, cleaned in texts.values()])
        tokens = np.array([each.ids for each in encoded], dtype=np.int32)
        notes: list[tuple[str, ...]] = []
        for encoding in encoded:
            rest = sum(part.special_tokens_mask.count(0) for part in encoding.overflowing)
            notes.append((f"only its first {self.length} tokens were read, {rest:,} more were cut",) if rest else ())
        return predictor.Ready(tokens, list(texts), notes, errors)

    def given(self, samples: Any) -> tuple[Sequence[Any], Sequence[bool]]:
        if not isinstance(self.target, TagsTarget):
            return super().given(samples)
        pad = self.inputs.get("pad") or 0
        found = [find_spans(text, self.session, self.tokenizer, self.target, pad) for text in samples]
        return found, [True] * len(found)

    def rows(self, samples: Any) -> npt.NDArray[np.int32]:
        if not isinstance(self.target, TagsTarget):
            return super().rows(samples)
        lines = [
            [line[a:b] for a, b in words] for text in samples for line in text.split("\n") if (words := words_of(line))
        ]
        encoded = self.tokenizer.encode_batch(lines, is_pretokenized=True)
        rows = np.full((len(encoded), self.length), self.inputs.get("pad") or 0, dtype=np.int32)
        for row, each in zip(rows, encoded, strict=True):
            row[: sum(each.attention_mask)] = each.ids[: sum(each.attention_mask)]
        return rows

    def answer(self, item: Item, answer: Any, notes: Sequence[str], ood_score: float | None) -> Answer:
        if not isinstance(self.target, TagsTarget):
            return super().answer(item, answer, notes, ood_score)
        tags = json.dumps([asdict(span) for span in answer], ensure_ascii=False)
        return Answer(item.name, shown(answer, self.target), spans=tuple(answer), more={"tags": tags})

    def _texts(self, items: Sequence[Item]) -> tuple[dict[int, tuple[str, str]], dict[int, str]]:
        """Texts as they were given and clean, and why others are none, each by the place of its item."""
        texts, errors = {}, {}
        for place, item in enumerate(items):
            try:
                given = item.value if isinstance(item.value, str) else _read(item.value)
                texts[place] = given, clean(given)
                if not texts[place][1]:
                    del texts[place]
                    errors[place] = "it is empty"
            except NotText as error:
                errors[place] = str(error)
            except OSError as error:
                errors[place] = f"it cannot be read: {error.strerror}"
        return texts, errors


def input_of(model: Path, preprocessing: dict[str, Any]) -> Callable[[Any], npt.NDArray[np.int32]]:
    """From a text to its tokens, int32 [L]; the function raises UserError for what is no text."""
    tokenizer = open_tokenizer(model, preprocessing)

    def take(value: Any) -> npt.NDArray[np.int32]:
        try:
            text = clean(value) if isinstance(value, str) else ""
        except NotText as error:
            raise UserError(f"the text: {error}", "give another one") from None
        if not text:
            raise UserError(f"{value!r:.60} is no text, or an empty one", "give a text")
        return np.array(tokenizer.encode(text).ids, dtype=np.int32)

    return take


def _read(path: Path) -> str:
    """Raises NotText, OSError."""
    if path.stat().st_size > LONGEST:
        raise NotText(f"it has more than {LONGEST >> 20} MiB: give a text, not a data set")
    return decode(path.read_bytes())[0]


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"
