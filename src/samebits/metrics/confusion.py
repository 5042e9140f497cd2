"""Which class was taken for which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samebits.metrics.scores import Ints


@dataclass(frozen=True)
class Confusion:
    """How often which class was taken for which. Memory grows with the pairs that occur, not with the square of K.

    Attributes:
        classes: K.
        true, predicted, counts: [P], int64, of each pair, in the order of a matrix [K, K].
    """

    classes: int
    true: Ints
    predicted: Ints
    counts: Ints

    @classmethod
    def of_samples(cls, classes: int, labels: Ints, predicted: Ints) -> Confusion:
        """Of the samples of a split, [N] true and [N] predicted classes."""
        cells, counts = np.unique(labels * classes + predicted, return_counts=True)
        return cls(classes, cells // classes, cells % classes, counts.astype(np.int64))

    @classmethod
    def of_matrix(cls, matrix: Ints) -> Confusion:
        """Of counts, [K, K]: rows are true classes, columns predicted ones."""
        true, predicted = np.nonzero(matrix)
        return cls(len(matrix), true, predicted, matrix[true, predicted])

    @property
    def support(self) -> Ints:
        """Of each class, how often it is true, [K]."""
        return self._sums(self.true, self.counts)

    @property
    def said(self) -> Ints:
        """Of each class, how often it is predicted, [K]."""
        return self._sums(self.predicted, self.counts)

    @property
    def hits(self) -> Ints:
        """Of each class, how often it is both, [K]."""
        return self._sums(self.true, np.where(self.true == self.predicted, self.counts, 0))

    def among(self, shown: Ints) -> Ints:
        """The matrix of some classes, [S, S]."""
        place = np.full(self.classes, -1)
        place[shown] = np.arange(len(shown))
        rows, columns = place[self.true], place[self.predicted]
        there = (rows >= 0) & (columns >= 0)
        matrix = np.zeros((len(shown), len(shown)), dtype=np.int64)
        matrix[rows[there], columns[there]] = self.counts[there]
        return matrix

    def _sums(self, classes: Ints, counts: Ints) -> Ints:
        # Sums below 2**53 are exact in float64.
        return np.bincount(classes, weights=counts, minlength=self.classes).astype(np.int64)
