"""Hashes of files and folders, held against DVC's own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from dvc.repo import Repo

from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_hashes import dvc_md5, existing_md5

FILES = {
    "data/b/x": "1", "data/b.txt": "2", "data/a": "", "data/b/é": "3",
    "data/__pycache__/a.pyc": "5", "data/b/__pycache__/x": "6", "data/notes.swp": "7",
    ".dvcignore": "__pycache__\n*.swp\n",
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_hashes_are_those_of_dvc(project: Path) -> None:
    with Repo.init(str(project), no_scm=True) as repo:
        repo.add([str(project / "data")])
    (out,) = read_yaml(project / "data.dvc")["outs"]
    assert dvc_md5(project / "data") == out["md5"]
    assert out["nfiles"] == 4, "what .dvcignore names does not count"
    assert dvc_md5(project / "data" / "b.txt") == "c81e728d9d4c2f636f067f89cc14862c"


def test_a_path_may_go_up_and_down_again(project: Path) -> None:
    assert dvc_md5(project / "data" / "b" / ".." / ".." / "data") == dvc_md5(project / "data")


def test_without_dvc_dvcignore_holds_too(project: Path) -> None:
    before = dvc_md5(project / "data")
    (project / "data" / "__pycache__" / "b.pyc").write_text("8")
    assert dvc_md5(project / "data") == before
    (project / "data" / "new").write_text("9")
    assert dvc_md5(project / "data") != before


def test_what_is_not_there_has_no_hash(tmp_path: Path) -> None:
    assert existing_md5(tmp_path / "absent") == ""


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(9))
    old = time.time() - 60
    os.utime(file, (old, old))
    before = dvc_md5(file)
    assert dvc_md5(file) == before
    with file.open("r+b") as stream:
        stream.write(b"1")
    assert dvc_md5(file) != before
