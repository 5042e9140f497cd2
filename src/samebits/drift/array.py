"""Statistics of arrays, for each place of the first axis (a channel, a sensor)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from samebits.drift import measure
from samebits.drift.measure import Measure, number
from samebits.signature.array import ArrayInputs
from samebits.signature.kind import Array

_MOST_PLACES = 64


class Kind(measure.Kind[ArrayInputs]):
    """Mean, standard deviation, smallest and largest value of each place of [n, *shape]; where a place has one number,
    the number. Of more than 64 places, those of the whole array."""

    def measure(self, rows: Array, token_counts: Sequence[int]) -> dict[str, Measure]:
        shape = self.inputs.shape
        places = shape[0] if shape[0] <= _MOST_PLACES else 1
        values = rows.reshape(len(rows), places, int(np.prod(shape)) // places).astype(np.float64)
        if values.shape[2] == 1:
            return {f"[{place}]": number(values[:, place, 0]) for place in range(places)}
        statistics = {"mean": values.mean(axis=2), "std": values.std(axis=2)}
        statistics |= {"min": values.min(axis=2), "max": values.max(axis=2)}
        return {
            f"[{place}] {name}" if places > 1 else name: number(column[:, place])
            for place in range(places)
            for name, column in statistics.items()
        }
