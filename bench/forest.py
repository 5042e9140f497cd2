"""What a random forest on pixels reaches on the prepared images, on the very split that a network has.

    samebits use image_folder && dvc repro prepare && python bench/forest.py

For several sizes (means of blocks of pixels), 500 trees; prints accuracy and macro F1 on validation and test. The size
is to be chosen on validation.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score

from samebits.data.loading.prepared import open_split

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = (1, 2, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    splits = {name: open_split(ROOT / "data" / "prepared", name, in_memory=True) for name in
              ("train", "validation", "test")}  # fmt: skip
    pixels = {name: split.samples(np.arange(len(split)))[0] for name, split in splits.items()}
    print(", ".join(f"{len(split):,} {name}" for name, split in splits.items()))
    for block in BLOCKS:
        rows = {name: flat(images, block) for name, images in pixels.items()}
        for seed in seeds:
            forest = RandomForestClassifier(500, random_state=seed, n_jobs=-1).fit(
                rows["train"], splits["train"].labels
            )
            said = {name: forest.predict(rows[name]) for name in ("validation", "test")}
            scores = ", ".join(
                f"{name} {np.mean(given == splits[name].labels):.4f} (macro F1 "
                f"{f1_score(splits[name].labels, given, average='macro'):.4f})"
                for name, given in said.items()
            )
            print(f"{pixels['train'].shape[2] // block} pixels, seed {seed}: {scores}", flush=True)


def flat(images: npt.NDArray[np.uint8], block: int) -> npt.NDArray[Any]:
    """Rows of features: the means of blocks of `block` x `block` pixels."""
    count, channels, height, width = images.shape
    blocks = images.reshape(count, channels, height // block, block, width // block, block)
    return blocks.mean(axis=(3, 5), dtype=np.float32).reshape(count, -1)


if __name__ == "__main__":
    main()
