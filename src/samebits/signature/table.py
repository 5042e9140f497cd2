"""Rows of a table."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from samebits.params.section import Section
from samebits.signature.kind import Array, Decode, InputKind, Preview, ReadingCode
from samebits.signature.markdown import one_line
from samebits.signature.sample_text import row_text

DATE_PARTS = ("year", "month", "day", "weekday", "hour", "minute", "second", "day_of_year")
"""What a date is taken apart into; weekday counts from Monday = 0."""


class NumberColumn(Section):
    """A numeric column, or one part of a date. Missing values are NaN; they become `fill` and set an indicator.

    Attributes:
        name: of the column in the table; of a date, the date's column and the part (`when.hour`).
        mean, std: over the training split, missing values left out; std is 0 for a constant column.
        fill: what a missing value is taken for (the training split's median).
        missing: whether the training split has missing values, so that there is an indicator to learn from.
        edges: rising quantiles of the training split, the lowest and the highest value included.
        grouped: whether thousands are grouped in the numbers that it was made of.
        source: the date's column, where this is a part of one.
        part: which part.
        format: how the date is written, a strptime format; null: year first, as in ISO 8601.
    """

    kind: Literal["number"] = "number"
    name: str
    mean: float
    std: float = Field(ge=0.0)
    fill: float
    missing: bool = False
    edges: list[float] = Field(default=[])
    grouped: bool = False
    source: str | None = None
    part: Literal["year", "month", "day", "weekday", "hour", "minute", "second", "day_of_year"] | None = None
    format: str | None = None


class CategoryColumn(Section):
    """A column of categories, stored as codes: 0 for missing or unseen in training, k + 1 for `values[k]`."""

    kind: Literal["category"] = "category"
    name: str
    values: list[str]


class TableInputs(InputKind):
    """Rows of a table, float32 [columns]: numbers as they are (NaN where missing), categories as codes.

    Attributes:
        columns: in the order of a row.
        missing: texts that stand for a missing value.
        decimal: the decimal mark of numbers that are written as text.
        separator, quotes, encoding: of the CSV that it was made of, as in `data.csv` and `data.encoding`.
    """

    kind: Literal["table"] = "table"
    columns: list[Annotated[NumberColumn | CategoryColumn, Field(discriminator="kind")]] = Field(min_length=1)
    missing: list[str] = Field(default=[""])
    decimal: Literal[".", ","] = "."
    separator: str | None = None
    quotes: bool = True
    encoding: str | None = None

    input_name: ClassVar[str] = "rows"
    models: ClassVar[str] = "tabular"
    predict: ClassVar[str] = "samebits predict ROWS.csv"
    predictor: ClassVar[str] = "table"
    batch: ClassVar[str] = "rows, float [N, numbers + indicators + categories]"
    reader: ClassVar[str | None] = "cells.py"

    @property
    def numbers(self) -> list[tuple[int, NumberColumn]]:
        """Place in a row and column, of the numbers."""
        return [(at, column) for at, column in enumerate(self.columns) if isinstance(column, NumberColumn)]

    @property
    def categories(self) -> list[tuple[int, CategoryColumn]]:
        """Place in a row and column, of the categories."""
        return [(at, column) for at, column in enumerate(self.columns) if isinstance(column, CategoryColumn)]

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (len(self.columns),)

    @property
    def row_dtype(self) -> str:
        return "<f4"

    @property
    def described(self) -> str:
        return f"rows of {len(self.columns)} columns"

    @property
    def served(self) -> str:
        return f"rows of {len(self.columns)} columns (numbers as they are, categories as codes)"

    @property
    def column_groups(self) -> dict[str, list[int]]:
        """All parts of a date are one column."""
        together: dict[str, list[int]] = {}
        for at, column in enumerate(self.columns):
            source = column.source if isinstance(column, NumberColumn) else None
            together.setdefault(source or column.name, []).append(at)
        return together

    def previews(self, rows: Array, decode: Decode) -> list[Preview]:
        columns = [column.model_dump() for column in self.columns]
        return [Preview(text=row_text(columns, row)) for row in rows]

    def reading_code(self) -> ReadingCode:
        return ReadingCode(["import csv", "import json", "import cells", "import numpy"], list(_READ), metadata=True)

    def card_sections(self) -> list[str]:
        """What stands where in a row; `samebits predict ROWS.csv` makes rows of a CSV by it."""
        lines = ["## Columns", "", "| place | column | kind | |", "|---:|---|---|---|"]
        for place, column in enumerate(self.columns):
            if isinstance(column, CategoryColumn):
                values = ", ".join(map(one_line, column.values[:12])) + (", …" if len(column.values) > 12 else "")
                what = f"0 unknown or missing; then 1 to {len(column.values)}: {values}"
            else:
                gap = "; NaN where missing" if column.missing else ""
                what = f"mean {column.mean:.6g}, standard deviation {column.std:.6g}{gap}"
            lines.append(f"| {place} | {one_line(column.name)} | {column.kind} | {what} |")
        return [*lines, ""]


_READ = (
    "",
    "",
    "def value(text, column):",
    '    if column["kind"] == "category":',
    '        return column["values"].index(text) + 1 if text in column["values"] else 0',
    '    if text in inputs["missing"]:',
    "        return numpy.nan",
    '    if column["part"]:  # of a date',
    '        return cells.date_part(cells.moment(text, column["format"]), column["part"])',
    '    return cells.number(text, inputs["decimal"])',
    "",
    "",
    'with open("rows.csv", encoding="utf-8-sig", newline="") as file:',
    "    records = list(csv.DictReader(file))",
    'columns = [(column.get("source") or column["name"], column) for column in inputs["columns"]]',
    "cut = [[value(record[name].strip(), column) for name, column in columns] for record in records]",
    "rows = numpy.array(cut, dtype=numpy.float32)",
)
