"""Boosted trees on the very split of the `bikeshare` recipe: what its network has to beat.

    samebits use bikeshare && dvc repro prepare && python bench/bikeshare.py

Reads `data/prepared/`. The trees' settings are chosen on the validation split; the test split is scored once each, by
trees fitted on train alone and on train and validation. Needs scikit-learn (`pip install -e '.[dev]'`).
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from samebits.data.loading.prepared import open_split
from samebits.signature.table import CategoryColumn

PREPARED = Path(__file__).resolve().parents[1] / "data" / "prepared"
SEEDS = range(3)
GRID: list[dict[str, Any]] = [
    {},
    {"max_iter": 500, "learning_rate": 0.05},
    {"max_iter": 1000, "learning_rate": 0.03},
    {"max_iter": 1000, "learning_rate": 0.05, "max_leaf_nodes": 15, "l2_regularization": 1.0},
    {"max_iter": 2000, "learning_rate": 0.03, "max_leaf_nodes": 15, "min_samples_leaf": 10},
]


def main() -> None:
    splits = {name: open_split(PREPARED, name, in_memory=True) for name in ("train", "validation", "test")}
    rows = {name: split.samples(np.arange(len(split))) for name, split in splits.items()}
    columns = splits["train"].info.signature.table.columns
    categories = [at for at, column in enumerate(columns) if isinstance(column, CategoryColumn)]
    both = tuple(np.concatenate([rows["train"][k], rows["validation"][k]]) for k in (0, 1))

    def trees(settings: dict[str, Any], seed: int, data: Any) -> HistGradientBoostingRegressor:
        model = HistGradientBoostingRegressor(random_state=seed, categorical_features=categories, **settings)
        return model.fit(*data)

    chosen = max(GRID, key=lambda settings: trees(settings, 0, rows["train"]).score(*rows["validation"]))
    for name, settings in (("defaults", {}), ("chosen on validation", chosen)):
        for which, data in (("train", rows["train"]), ("train and validation", both)):
            scores = [trees(settings, seed, data).score(*rows["test"]) for seed in SEEDS]
            print(f"trees, {name} {settings}, fitted on {which}: test R² {statistics.mean(scores):.4f}, "
                  f"{min(scores):.4f} to {max(scores):.4f}, n = {len(scores)}")  # fmt: skip


if __name__ == "__main__":
    main()
