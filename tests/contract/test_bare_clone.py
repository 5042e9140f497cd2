"""A clone without the folders that only their own tests need passes its tests: those are skipped, with the reason."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.absent import FOLDERS
from tests.helpers.workspace import ROOT, stage_environment, tracked_files

READERS = [f"tests/contract/test_{name}.py" for name in ("bench_pages", "readme", "recipes")]
READERS += ["tests/contract/test_packaging.py::test_what_the_tests_and_tools_import_is_declared"]
"""Those that read the folders most."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tests_pass_without_recipes_benchmarks_and_sweeps(tmp_path: Path) -> None:
    """`make test-full` takes all contract tests, and the unit tests."""
    clone = tmp_path / "clone"
    for path in tracked_files():
        name = path.relative_to(ROOT)
        if name.parts[0] not in FOLDERS:
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, clone / name)
    subprocess.run(["git", "init", "--quiet", clone], check=True)
    chosen = ["tests/contract", "tests/unit", "-n", "2"] if "TEST_FULL" in os.environ else READERS
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        cwd=clone,
        env=stage_environment(PYTHONPATH=str(clone / "src"), PYTEST_ADDOPTS=""),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
    assert "is not in this clone" in ran.stdout
    assert " passed" in ran.stdout
