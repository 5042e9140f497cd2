"""`reference.json`: counts of the training data that others are counted against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.base.files import json_bytes, write_json
from samebits.drift.measure import Measure, number
from samebits.drift.reference import NumberStatistic, Reference, load_reference, statistics

VALUES = np.random.default_rng(0).lognormal(size=5000)


def test_parts_of_the_training_data_are_about_equal_and_read_back_the_same() -> None:
    (made,) = statistics([{"x": number(VALUES)}])
    read = NumberStatistic.model_validate_json(json_bytes(made.model_dump()))
    assert read == made
    assert len(read.edges) == 66
    assert read.counted(VALUES.astype(np.float32)).tolist() == read.all_counts.tolist()
    assert (read.counts[0], read.counts[1], read.counts[-1], read.missing) == (0, 1, 0, 0)
    assert max(read.counts) < 2 * 5000 / 64
    outside = read.counted(np.array([-1.0, 1e9, np.nan], dtype=np.float32))
    assert outside[[0, -2, -1]].tolist() == [1, 1, 1]


def test_many_equal_values_and_none_at_all() -> None:
    (same,) = statistics([{"x": number(np.array([1.0] * 99 + [2.0]))}])
    assert same.counts == [0, 99, 1, 0]
    almost = same.counted(np.array([0.5, 0.9999999, 1.0, 1.5, 2.0, 2.5], dtype=np.float32))
    assert almost.tolist() == [2, 1, 2, 1, 0]
    (none,) = statistics([{"x": number(np.array([np.nan, np.nan]))}])
    assert (none.edges, none.counts, none.missing) == ([], [0], 2)


def test_categories_that_training_did_not_have_are_others() -> None:
    (made,) = statistics([{"x": Measure(np.array([0, 0, 1]), ("a", "b"))}])
    assert made.counted(np.array([1, 5, 2])).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), ({"weights_sha256": "x"}, "weights_sha256"), ({"format_version": 9}, "format_version")],
)
def test_a_reference_that_cannot_be_used_is_one_message(
    content: dict[str, object] | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "reference.json"
    if content is not None:
        write_json(path, Reference(weights_sha256="0" * 64, data_digest="").model_dump() | content)
    with pytest.raises(UserError, match=message) as raised:
        load_reference(path)
    assert "dvc repro" in raised.value.fix
