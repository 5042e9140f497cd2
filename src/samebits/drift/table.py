"""Statistics of the rows of a table: its columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samebits.drift import measure
from samebits.drift.measure import Measure, number
from samebits.signature.kind import Array
from samebits.signature.table import CategoryColumn, TableInputs

UNKNOWN = "(missing or unknown)"


class Kind(measure.Kind[TableInputs]):
    """Each column as it is, of float32 [n, columns]."""

    def measure(self, rows: Array, token_counts: Sequence[int]) -> dict[str, Measure]:
        found = {}
        for place, column in enumerate(self.inputs.columns):
            if isinstance(column, CategoryColumn):
                found[column.name] = Measure(rows[:, place].astype(np.int64), (UNKNOWN, *column.values))
            else:
                found[column.name] = number(rows[:, place])
        return found
