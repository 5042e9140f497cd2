"""Semantic segmentation from files to predicted masks: prepare, train, evaluate, export, predict."""

from __future__ import annotations

from pathlib import Path

from samebits.data.loading.prepared import open_split
from tests.helpers.in_process import run_stages
from tests.helpers.mask_files import mask_project, write_masks


def test_shapes(tmp_path: Path) -> None:
    write_masks(tmp_path / "data/raw/shapes")
    project = mask_project(tmp_path, train={"epochs": 4})
    lines = run_stages(project, "prepare", "train")
    print(lines)
    split = open_split(project.prepared, "train", in_memory=True)
    print(split.info.signature.target, split.targets.shape)
    print((project.reports / "train/metrics.json").read_text())
