"""Rows that are kept are the same each time, in memory and on disk."""

from __future__ import annotations

import numpy as np
import pytest

from samebits.calibration import rows
from samebits.calibration.rows import KeptRows


@pytest.mark.parametrize("in_memory", [1 << 20, 100])
def test_they_are_read_as_they_were_kept(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_IN_MEMORY", in_memory)
    random = np.random.default_rng(0)
    parts = [(random.normal(size=(n, 7)), random.integers(0, 7, n)) for n in (5, 0, 1, 9)]
    kept = KeptRows()
    for logits, classes in parts:
        kept.append(logits[:, ::-1], classes)
    for _ in range(2):
        found = list(kept)
        assert [len(classes) for _, classes in found] == [5, 1, 9]  # without the empty one
        for (logits, classes), (wanted, of) in zip(found, [parts[k] for k in (0, 2, 3)], strict=True):
            assert np.array_equal(logits, wanted[:, ::-1])
            assert np.array_equal(classes, of)
