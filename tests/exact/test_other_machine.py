"""Equal bytes of every output that is made from the same bytes, whatever machine makes it.

A new output that holds a measurement, or more digits than machines agree on, fails here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helpers.other_machine import KINDS, here_and_elsewhere


def different(first: Path, second: Path) -> set[str]:
    """Files below both folders that only one has, or whose bytes differ."""
    files = {path.relative_to(folder) for folder in (first, second) for path in folder.rglob("*") if path.is_file()}
    assert files
    pairs = {file.as_posix(): [folder / file for folder in (first, second)] for file in files}
    return {
        name
        for name, (one, other) in pairs.items()
        if not (one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes())
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_outputs_elsewhere(kind: str, tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    here_and_elsewhere("prepare", kind, here / "project", elsewhere / "project")
    assert different(here / "project/data/prepared", elsewhere / "project/data/prepared") == set()
    # The same checkpoint, as `dvc pull` brings it: what training makes is training's to keep equal.
    shutil.copytree(here, elsewhere, dirs_exist_ok=True)
    here_and_elsewhere("judge", kind, here / "project", elsewhere / "project")
    assert different(here, elsewhere) - {"project/.samebits/measured.json"} == set()
