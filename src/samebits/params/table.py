"""`data.table`: how a table is read (`data.format: table`, CSV or Parquet)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from samebits.params.section import Section

Column = Annotated[str, Field(min_length=1)]


class TableParams(Section):
    """Columns of a table, by their names in its first row. All but the ones named here are inputs.

    Attributes:
        target: the column to predict; null: the last one.
        target_kind: `number`, `class`, or `auto`: a number if the column is numeric with more than two values.
        drop: columns that are no inputs.
        categories: numeric columns that are categories all the same, such as an hour or a postal code.
        dates: columns that are dates though they do not look like it; each date becomes year, month, day, weekday,
            day of the year and, where there is one, the time of day.
        date_format: how dates are written, as in `%d/%m/%Y`; null: recognised (ISO 8601, 31.12.2025, 2025/12/31).
        group: for `data.split: group`, the column whose equal values stay together; it is no input.
        time: for `data.split: time`, the column to sort by; a number or a date.
        split: a column that says `train`, `validation` or `test` of each row; it is no input.
        separator: between the columns of a CSV; `auto` finds it.
        decimal: decimal mark, `.` or `,`; the other one may then group thousands. `auto` finds it.
        encoding: of a CSV, as Python names it (`latin-1`, `cp1252`); a byte order mark goes before it.
        missing: texts that stand for a missing value.
        allow_leaks: train even if columns give the target away.
        edges: most intervals between quantiles that are fitted for a number.
    """

    target: Column | None = None
    target_kind: Literal["auto", "number", "class"] = "auto"
    drop: list[Column] = Field(default=[])
    categories: list[Column] = Field(default=[])
    dates: list[Column] = Field(default=[])
    date_format: str | None = Field(default=None, min_length=2)
    group: Column | None = None
    time: Column | None = None
    split: Column | None = None
    separator: str = Field(default="auto", pattern=r"^(auto|[^\"\r\nA-Za-z0-9])$")
    decimal: Literal["auto", ".", ","] = "auto"
    encoding: str = Field(default="utf-8", min_length=1)
    missing: list[str] = Field(default=["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "?"])
    allow_leaks: bool = False
    edges: int = Field(default=48, ge=2, le=1024)
