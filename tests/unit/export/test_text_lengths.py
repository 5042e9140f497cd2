"""Little is computed for the padding of texts: a batch is as long as its own longest text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from samebits.data.loading.prepared import Split, open_split
from samebits.data.loading.sequential import by_length, sequential
from samebits.export.parity import answers, measure_parity, sampled_rows
from tests.helpers.text_project import make_text_context


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return open_split(make_text_context(tmp_path).project.prepared, "train", in_memory=True)


class Counting:
    """A model whose answer does not depend on padding; it remembers the shapes that it was given."""

    def __init__(self, split: Split) -> None:
        self.pad = split.info.signature.tokens.pad
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        self.shapes.append(samples.shape)
        used = samples != self.pad
        return np.stack([used.sum(axis=1), (samples * used).sum(axis=1)], axis=1).astype(np.float32)

    @property
    def computed(self) -> int:
        return sum(rows * length for rows, length in self.shapes)


def test_each_batch_of_the_parity_check_is_as_long_as_its_longest_text(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samebits.export.parity.SAMPLED", 10)
    exact = Counting(split)
    expected = exact(split.rows(np.arange(len(split))))
    for size in (1, 7):
        model = Counting(split)
        measure_parity("x", model, expected, split, batch_sizes=[size], tolerance=0.0, check=lambda: None)
        # Some as they lie there, whose lengths differ; and all of them with little padding.
        wanted = [
            int(split.lengths()[rows[at : at + size]].max())
            for rows in (sampled_rows(len(split), size), by_length(split))
            for at in range(0, len(rows), size)
        ]
        assert [shape[1] for shape in model.shapes] == wanted


def test_answers_of_a_whole_split_are_computed_by_length(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.export.parity._ANSWERED", 10)
    model = Counting(split)
    found = answers(model, split)
    assert np.array_equal(found, Counting(split)(split.rows(np.arange(len(split)))))
    lengths = [shape[1] for shape in model.shapes]
    assert lengths == sorted(lengths)
    in_order = Counting(split)
    for batch in sequential(split, 10):
        in_order(batch.inputs.numpy())
    assert model.computed < 0.8 * in_order.computed
    assert np.array_equal(np.sort(by_length(split)), np.arange(len(split)))
