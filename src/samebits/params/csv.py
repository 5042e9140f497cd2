"""`data.csv`: how a CSV file is read, for tables, texts and lists of images."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from samebits.params.section import Section, matching

_SEPARATOR = 'one character, no letter, digit, quote or line end; a tab is "\\t" in double quotes'


class CsvParams(Section):
    """How a CSV file is written.

    Attributes:
        separator: between columns; null: whichever of comma, semicolon, tab and bar fits the first lines.
        quotes: whether `"` encloses fields, in which separators and line ends are text. false: it is text itself, as in
            many TSV files.
        columns: names of the columns, where the file has no first line of names.
    """

    separator: Annotated[str, matching(r"[^\"\r\nA-Za-z0-9]", _SEPARATOR)] | None = None
    quotes: bool = True
    columns: list[Annotated[str, Field(min_length=1)]] = Field(default=[])
