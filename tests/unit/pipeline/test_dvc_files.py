"""Data that .dvc files keep below, at and around the dependencies of a stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.pipeline.dvc_files import added_data


def dvc_file(path: Path, name: str, md5: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"outs:\n- md5: {md5}\n  size: 3\n  hash: md5\n  path: {name}\n")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    dvc_file(tmp_path / "data/raw/own.csv.dvc", "own.csv", "a1")
    dvc_file(tmp_path / "data/raw/deep/pictures.dvc", "pictures", "b2.dir")
    dvc_file(tmp_path / "data/whole.dvc", "whole", "c3.dir")
    dvc_file(tmp_path / "elsewhere/other.dvc", "other", "d4")
    (tmp_path / "data/raw/.dvc").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("dep", "found"),
    [
        ("data/raw", {"data/raw/own.csv": "a1", "data/raw/deep/pictures": "b2.dir"}),
        ("data/raw/own.csv", {"data/raw/own.csv": "a1"}),
        ("data/whole", {"data/whole": "c3.dir"}),
        ("data/whole/part/file", {"data/whole": "c3.dir"}),
        ("src", {}),
    ],
)
def test_data_of_a_dependency(dep: str, found: dict[str, str], workspace: Path) -> None:
    assert added_data(workspace, [dep]) == found


@pytest.mark.parametrize("text", ["outs: 1\n", "outs: [{path: x}]\n", "outs: [{path: ../../../x, md5: a}]\n"])
def test_a_damaged_file_is_a_user_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/own.dvc").write_text(text)
    with pytest.raises(UserError, match=r"own\.dvc"):
        added_data(tmp_path, ["data"])
