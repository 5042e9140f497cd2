"""The benchmarks still run: a few steps of the parts that need no peer's environment, and a page of what they found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.workspace import ROOT, stage_environment

CODE = ("bench", "custom", "data/catalog", "recipes", "src", "stages")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_parts_without_peers_run_and_are_rendered(tmp_path: Path) -> None:
    # In a copy: it writes beside itself.
    for part in CODE:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml", "packages.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "data" / "raw").mkdir(exist_ok=True)
    result = subprocess.run(
        [sys.executable, "bench/performance.py", "--quick", "--rounds", "1", "--only", "peak,latency,overhead"],
        cwd=tmp_path,
        env=stage_environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    pages = sorted((tmp_path / ".bench" / "quick").rglob("*.md"))
    assert len(pages) == 2, "the goals, and a page for this processor"
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert "failed" not in text
    for heading in ("## Goals", "## Share of the peak", "## Answers", "## Cost of recording", "## Not measured here"):
        assert heading in text
