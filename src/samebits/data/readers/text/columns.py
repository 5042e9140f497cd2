"""Files of the CoNLL kind: a word a line with its tag in a column, an empty line between sentences.

Columns stand between tabs, or blanks where a line has no tab. By default the first is the word and the last its tag;
`data.text.text` and `data.text.label` can number others, from 1. In CoNLL-U (ten columns, comments, words that are
numbered) they are called FORM and UPOS, or by any other of its names. `-DOCSTART-` and `# newdoc` begin a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.data.readers.decoding import NotText
from samebits.params.text import TextParams

CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")

_COMMENT = re.compile(r"#\s.*[=:]|#\s*(newdoc|newpar)\b")
"""Before the first word of a sentence: `#` alone may be a word."""
_NUMBER = re.compile(r"\d+([-.]\d+)?")
_DOCUMENT = "-DOCSTART-"


@dataclass
class Sentence:
    """Words and tags as they are written.

    Attributes:
        line: of its first word.
        document: number of the document, from 1; 0 where the file does not say it.
        reason: why it cannot be used; empty if it can.
    """

    line: int
    document: int = 0
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    reason: str = ""


def read_sentences(lines: Iterable[tuple[int, str | NotText]], settings: TextParams, shown: str) -> Iterator[Sentence]:
    """The sentences of a file.

    Args:
        lines: as of `read_lines`.
        shown: what the file is called.

    Raises:
        UserError: for a column that the file has not.
    """
    columns: _Columns | None = None
    sentence: Sentence | None = None
    document = 0
    for number, line in lines:
        text = line if isinstance(line, str) else "?"
        if not text.strip():
            if sentence is not None:
                yield sentence
            sentence = None
            continue
        if isinstance(line, NotText):
            sentence = sentence or Sentence(number, document)
            sentence.reason = sentence.reason or f"line {number}: {line}"
            continue
        is_comment = _COMMENT.match(text) and sentence is None
        if is_comment or (columns is not None and columns.numbered and text.startswith("#")):
            document += "newdoc" in text
            continue
        cells = _cells(text)
        if cells[0] == _DOCUMENT:
            if sentence is not None:
                yield sentence
            sentence, document = None, document + 1
            continue
        if columns is None:
            columns = _Columns.of(cells, settings, shown, number)
        sentence = sentence or Sentence(number, document)
        if len(cells) != columns.count:
            sentence.reason = sentence.reason or (
                f"line {number} has {_many(len(cells))}, the first line of the file {columns.count}"
            )
        elif not columns.numbered or ("-" not in cells[0] and "." not in cells[0]):
            # Ranges (1-2) and empty nodes (1.1) of CoNLL-U are no words of their own.
            sentence.words.append(cells[columns.word])
            sentence.tags.append(cells[columns.tag])
    if sentence is not None:
        yield sentence


def _cells(line: str) -> list[str]:
    line = line.rstrip("\r\n")
    return [cell.strip() for cell in line.rstrip("\t").split("\t")] if "\t" in line else line.split()


def _many(columns: int) -> str:
    return f"{columns} column{'s' if columns > 1 else ''}"


@dataclass(frozen=True)
class _Columns:
    """Which columns are read.

    Attributes:
        count: of a line.
        word, tag: places from 0.
        numbered: whether the file is CoNLL-U.
    """

    count: int
    word: int
    tag: int
    numbered: bool

    @classmethod
    def of(cls, cells: list[str], settings: TextParams, shown: str, line: int) -> _Columns:
        """By the first line with a word."""
        numbered = len(cells) == len(CONLLU) and _NUMBER.fullmatch(cells[0]) is not None
        if len(cells) < 2:
            raise UserError(
                f"{shown}, line {line} has one column ({cells[0][:40]!r}): a word, and no tag",
                "write a word and its tag in each line, with a tab or a blank between, and an empty line after a "
                "sentence",
            )
        word = _place(settings.text, "text", "FORM" if numbered else "1", cells, numbered, shown)
        tag = _place(settings.label, "label", "UPOS" if numbered else f"{len(cells)}", cells, numbered, shown)
        if word == tag:
            raise UserError(
                f"data.text.text and data.text.label both name column {word + 1} of {shown}", "name two columns"
            )
        return cls(len(cells), word, tag, numbered)


def _place(given: str, default: str, otherwise: str, cells: list[str], numbered: bool, shown: str) -> int:
    name = otherwise if given == default else given
    if numbered and name.upper() in CONLLU:
        return CONLLU.index(name.upper())
    if name.isascii() and name.isdigit() and 1 <= int(name) <= len(cells):
        return int(name) - 1
    near = nearest(name.upper(), list(CONLLU)) if numbered else None
    raise UserError(
        f"data.text.{default} is {given!r}, and {shown} has the columns "
        + (", ".join(CONLLU) if numbered else f"1 to {len(cells)}"),
        f"did you mean {near}?" if near else f'number the column, as {default}: "{len(cells)}"',
    )
