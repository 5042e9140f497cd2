"""Statistics of texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from samebits.drift import measure
from samebits.drift.measure import Counts, Measure, number
from samebits.signature.kind import Array
from samebits.signature.tokens import TokenInputs

_COMMON = 0.99
"""Share of the training split's tokens that the common ones make up."""


class Kind(measure.Kind[TokenInputs]):
    """Length in tokens; the share of them that is rare in the training split, and how surprising they are there: the
    mean of -log2 of each token's share, which rises with another language, topic or spelling. Of tokens [n, L], padded
    at the end."""

    def token_counts(self, rows: Array) -> Counts:
        counted = rows[self._counted(rows)].astype(np.int64)
        return np.bincount(counted, minlength=self.inputs.vocabulary).astype(np.int64)

    def measure(self, rows: Array, token_counts: Sequence[int]) -> dict[str, Measure]:
        counted = self._counted(rows)
        lengths = counted.sum(axis=1)
        counts = np.asarray(token_counts or [0] * self.inputs.vocabulary, dtype=np.float64)
        order = np.argsort(-counts, kind="stable")
        before = counts[order].cumsum() - counts[order]
        rare = np.ones(len(counts), dtype=np.bool_)
        rare[order[before < _COMMON * counts.sum()]] = False
        # Half a token more each: what was never seen is rare, not impossible.
        bits = -np.log2((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))
        some = np.maximum(lengths, 1)
        return {
            "length in tokens": number(lengths),
            "rare tokens": number((rare[rows] & counted).sum(axis=1) / some),
            "bits per token": number(np.where(counted, bits[rows], 0.0).sum(axis=1) / some),
        }

    def _counted(self, rows: Array) -> npt.NDArray[np.bool_]:
        """Where a row is no padding."""
        full = np.full(len(rows), rows.shape[1]) if self.inputs.pad is None else self.inputs.lengths(rows)
        found: npt.NDArray[np.bool_] = np.arange(rows.shape[1]) < full[:, None]
        return found
