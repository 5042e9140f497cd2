"""Semantic segmentation from files to predicted masks: prepare, train, evaluate, export, predict."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.in_process import run_stages
from tests.helpers.mask_files import mask_project, write_masks


def test_shapes(tmp_path: Path, capsys) -> None:
    write_masks(tmp_path / "data/raw/shapes")
    project = mask_project(tmp_path, train={"epochs": 8}, augment={"flip": True, "rotate": 10.0})
    lines = run_stages(project)
    print("\n".join(lines))
    print((project.reports / "evaluation/metrics.json").read_text())
    import shutil

    shutil.copy(project.reports / "evaluation/report/report.html", "/tmp/h/masks_report.html")
    shutil.copytree(project.exported, "/tmp/h/masks_export", dirs_exist_ok=True)
