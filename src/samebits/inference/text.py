"""Classify texts with an exported model, by ONNX Runtime and `tokenizers` alone: no torch, no project.

Two files are enough, side by side: `model.onnx` and `tokenizer.json` of the export stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.data.readers.decoding import LONGEST, NotText, clean, decode, read_lines
from samebits.inference.answer import Answer, Answers, answer_of
from samebits.inference.request import Request
from samebits.inference.session import Opened, Session, open_model, open_tokenizer
from samebits.inference.tags import find_spans, shown
from samebits.inference.text_rows import DEFAULT_COLUMN, has_rows, read_rows
from samebits.signature.kind import TargetKind
from samebits.signature.tags import TagsTarget

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BATCH = 32


NOUN = "texts"
OPTIONS = frozenset({"text", "lines", "top"})


def answer(request: Request, opened: Opened) -> Answers:
    """Answers for texts: see `predict_texts`."""
    found = predict_texts(
        request.model,
        texts=request.text,
        files=request.files,
        lines=request.lines,
        top=request.classes,
        opened=opened,
    )
    return Answers(found)


@dataclass(frozen=True)
class TextModel:
    """An exported classifier of texts.

    Attributes:
        length: tokens that it sees of a text.
        column: that held the texts of its training data.
        pad: the token that fills short rows up.
    """

    session: Session
    tokenizer: Tokenizer
    target: TargetKind
    length: int
    column: str = DEFAULT_COLUMN
    pad: int = 0

    def classify(self, texts: Sequence[tuple[str, str]], top: int) -> Iterator[Answer]:
        """Answers for (name, text) in order.

        Raises:
            UserError: for a text that is none, or is empty; all of them are named.
        """
        cleaned, bad = [], []
        for name, text in texts:
            try:
                cleaned.append((name, clean(text)))
                if not cleaned[-1][1]:
                    bad.append(f"{name}: it is empty")
            except NotText as error:
                bad.append(f"{name}: {error}")
        if bad:
            raise UserError(
                f"{len(bad)} of {len(texts)} texts cannot be used:\n    " + "\n    ".join(bad), "leave them out"
            )
        if isinstance(self.target, TagsTarget):
            # As they were given, for the places of the words; the tokeniser cleans them.
            for name, text in texts:
                spans = find_spans(text, self.session, self.tokenizer, self.target, self.pad)
                yield Answer(name, shown(spans, self.target), spans=tuple(spans))
            return
        for start in range(0, len(cleaned), _BATCH):
            yield from self._batch(cleaned[start : start + _BATCH], top)

    def _batch(self, texts: Sequence[tuple[str, str]], top: int) -> Iterator[Answer]:
        encoded = self.tokenizer.encode_batch([text for _, text in texts])
        tokens = np.array([each.ids for each in encoded], dtype=np.int32)
        answers = self.session.answers(tokens, self.target)
        for (name, _), encoding, answer in zip(texts, encoded, answers, strict=True):
            rest = sum(part.special_tokens_mask.count(0) for part in encoding.overflowing)
            notes = (f"only its first {self.length} tokens were read, {rest:,} more were cut",) if rest else ()
            yield answer_of(name, answer, self.target, top, notes)


def predict_texts(
    model: Path,
    *,
    texts: Sequence[str] = (),
    files: Sequence[Path] = (),
    lines: Path | None = None,
    top: int = 3,
    opened: Opened | None = None,
) -> list[Answer]:
    """Classify texts.

    Args:
        model: an .onnx file of the export stage, with tokenizer.json beside it.
        texts: as they are.
        files: a text each, in any encoding; of a CSV, JSON Lines or Parquet file, a text per row.
        lines: a file with a text a line; empty lines are passed over.
        top: how many classes to give.
        opened: the model, where it is open already.

    Raises:
        UserError: a missing or unusable model, or any text that cannot be read.
    """
    if top < 1:
        raise UserError(f"top is {top}", "ask for at least one class")
    opened_model = open_text_model(model, opened)
    found = [(_shown(text), text) for text in texts]
    for path in files:
        found += read_rows(path, opened_model.column) if has_rows(path) else [(str(path), _read(path))]
    found += list(_lines(lines)) if lines is not None else []
    if not found:
        raise UserError("no text was given", "name files, or give --text or --lines")
    return list(opened_model.classify(found, top))


def open_text_model(path: Path, opened: Opened | None = None) -> TextModel:
    """An exported classifier and the tokeniser beside it.

    Raises:
        UserError: a missing or damaged file, a model of another kind, a tokeniser that is not the model's.
    """
    session, metadata = opened or open_model(path)
    target, inputs = metadata["target"], metadata["preprocessing"]
    if inputs.get("kind") != "tokens" or target.generates:
        raise UserError(f"{path} is no model that judges texts", "name one, or give it what it takes")
    session.require_inputs({"tokens": ("int32", 2)})
    column = inputs.get("column") or DEFAULT_COLUMN
    return TextModel(
        session, open_tokenizer(path, inputs), target, int(inputs["length"]), column, inputs.get("pad") or 0
    )


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
    try:
        if path.stat().st_size > LONGEST:
            raise UserError(f"{path} has more than {LONGEST >> 20} MiB", "give a text, not a data set")
        return decode(path.read_bytes())[0]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "look at the path") from None
    except NotText as error:
        raise UserError(f"{path}: {error}", "give a text file") from None


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        for number, line in read_lines(path, str(path), None, Counter()):
            if isinstance(line, NotText):
                raise UserError(f"{path}, line {number}: {line}", "fix or remove the line")
            if line.strip():
                yield f"{path}:{number}", line
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "look at the path") from None


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"
