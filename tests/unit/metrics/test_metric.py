"""Outputs that are not finite are named by their sample."""

from __future__ import annotations

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.metrics.metric import require_finite


def test_of_a_part_of_a_split_the_sample_of_the_split_is_named() -> None:
    outputs = np.array([[0.0, 1.0], [np.nan, 0.0], [np.inf, 0.0]])
    with pytest.raises(UserError, match="2 of 3 test samples is not finite, first for test sample 1"):
        require_finite(outputs)
    with pytest.raises(UserError, match="output for test sample 40 is not finite"):
        require_finite(outputs, np.array([7, 40, 3]))
    require_finite(outputs[:1], np.array([7]))
