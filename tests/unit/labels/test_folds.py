"""Folds: what belongs together stays together, each class is in each fold, and a fold is prepared data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from samebits.base.errors import UserError
from samebits.data.loading.prepared import open_split, read_info
from samebits.labels.folds import assign_folds, read_samples, write_fold


def test_groups_stay_together_whatever_their_order() -> None:
    units = [f"g{k // 5}" for k in range(100)]

    def dealt(units: list[str]) -> list[int]:
        labels = np.array([int(unit[1:]) % 2 for unit in units])
        return assign_folds(units, labels, 4).tolist()  # type: ignore[no-any-return]

    folds = dealt(units)
    assert all(len({fold for fold, unit in zip(folds, units, strict=True) if unit == each}) == 1 for each in units)
    assert np.bincount(folds).tolist() == [25] * 4
    order = np.random.default_rng(0).permutation(20)
    moved = [f"g{order[k // 5]}" for k in range(100)]
    assert dict(zip(moved, dealt(moved), strict=True)) == dict(zip(units, folds, strict=True))


def test_each_fold_has_its_part_of_each_class() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    folds = assign_folds([f"{k}" for k in range(100)], labels, 4)
    for label, n in ((0, 22), (1, 2)):
        assert np.bincount(folds[labels == label]).min() >= n


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(UserError, match="and the training split has 3") as caught:
        assign_folds(list("abcabc"), None, 4)
    assert "--folds 3" in caught.value.fix


def test_a_fold_is_prepared_data(few_mnist: Path, tmp_path: Path) -> None:
    samples, whole = read_samples(few_mnist, "train"), open_split(few_mnist, "train", in_memory=True)
    held_out = assign_folds(samples.units, whole.targets, 3) == 1
    write_fold(few_mnist, tmp_path / "fold", held_out, 0.5)
    info = read_info(tmp_path / "fold")
    assert info.counts == {
        "train": int((~held_out).sum()),
        "validation": read_info(few_mnist).counts["validation"],
        "test": int(held_out.sum()),
    }
    judged = open_split(tmp_path / "fold", "test", in_memory=True)
    rows = np.flatnonzero(held_out)
    assert (judged.rows(np.arange(len(judged))) == whole.rows(rows)).all()
    assert read_samples(tmp_path / "fold", "test").ids == [samples.ids[row] for row in rows]
    assert "group" not in pq.read_schema(few_mnist / "manifest.parquet").names
