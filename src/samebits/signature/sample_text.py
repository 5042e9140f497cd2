"""Stored samples that are no pictures as text for people: in the report, in the page of `data diff`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def row_text(columns: Sequence[Mapping[str, Any]], row: npt.NDArray[Any]) -> str:
    """A row of a table, [columns], by name: `age 41, job clerk`.

    Args:
        columns: of the signature: `kind`, `name` and, of categories, `values`.
    """
    cells = []
    for column, value in zip(columns, row.tolist(), strict=True):
        if column["kind"] == "category":
            shown = column["values"][int(value) - 1] if value >= 1 else "unknown"
        else:
            shown = "missing" if np.isnan(value) else f"{value:g}"
        cells.append(f"{column['name']} {shown}")
    return ", ".join(cells)


def token_text(decode: Callable[[list[int]], str], row: npt.NDArray[Any], pad: int | None, longest: int) -> str:
    """Tokens, [L], as their text without special ones; one that was cut, to the row or to `longest` letters, ends with
    an ellipsis.

    Args:
        decode: tokens to their text, without special ones.
        pad: the token that fills short rows up; None: rows are all full.
    """
    used = row if pad is None else row[row != pad]
    text = decode(used.tolist()).strip()
    cut = len(used) == len(row) or len(text) > longest
    return text[:longest] + (" …" if cut else "")
