"""`data.table`: how a table is read (`data.format: table`, CSV or Parquet)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator

from samebits.params.section import Section

Column = Annotated[str, Field(min_length=1)]

MISSING = ["", "NA", "N/A", "#N/A", "<NA>", "n/a", "NaN", "nan", "NaT", "NULL", "null", "None", "?"]


class TableParams(Section):
    """Columns of a table, by their names in its first row. All but the ones named here are inputs.

    Attributes:
        target: the column to predict; null: the last one. Several, as a list, are labels (columns of 0 and 1, or of yes
            and no) or a vector (of numbers).
        drop: columns that are no inputs.
        categories: numeric columns that are categories all the same, such as an hour or a postal code.
        dates: columns that are dates though they do not look like it; each date becomes year, month, day, weekday,
            day of the year and, where there is one, the time of day.
        date_format: how dates are written, as in `%d/%m/%Y`; null: recognised (ISO 8601, 31.12.2025, 2025/12/31).
        decimal: decimal mark, `.` or `,`; the other one may then group thousands. `auto` finds it.
        missing: texts that stand for a missing value.
        allow_leaks: train even if columns give the target away.
        edges: most intervals between quantiles that are fitted for a number.
    """

    target: Column | list[Column] | None = None
    drop: list[Column] = Field(default=[])
    categories: list[Column] = Field(default=[])
    dates: list[Column] = Field(default=[])
    date_format: str | None = Field(default=None, min_length=2, max_length=64)
    decimal: Literal["auto", ".", ","] = "auto"
    missing: list[str] = Field(default=MISSING)
    allow_leaks: bool = False
    edges: int = Field(default=48, ge=2, le=1024)

    @field_validator("target")
    @classmethod
    def _named_once(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list) and (not value or len({*value}) < len(value)):
            raise ValueError("must be different columns" if value else "must name a column")
        return value

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict; none where it is the last one."""
        return (self.target,) if isinstance(self.target, str) else tuple(self.target or ())

    @field_validator("date_format")
    @classmethod
    def _can_be_read(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                if "%" not in value:
                    raise ValueError
                datetime.strptime(datetime(2001, 2, 3, tzinfo=UTC).strftime(value), value)
            except (ValueError, re.error):  # re.error: the same part twice
                raise ValueError("is no format of dates that can be read, such as '%d/%m/%Y'") from None
        return value
