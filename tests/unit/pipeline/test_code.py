"""The code of a stage, and a digest that follows its code and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.pipeline.code import code_digest, code_files

DVC = """
stages:
  train:
    cmd: python stages/train.py
    deps: [stages/train.py, src/samebits/models, src/samebits/page.html.j2, src/samebits/card.yaml, data/prepared]
"""
FILES = {
    "dvc.yaml": DVC,
    "stages/train.py": "1",
    "src/samebits/models/a.py": "2",
    "src/samebits/models/deep/b.py": "3",
    "src/samebits/models/notes.txt": "4",
    "src/samebits/page.html.j2": "5",
    "src/samebits/card.yaml": "6",
    "src/samebits/unlisted.py": "7",
    "data/prepared/script.py": "8",
    "data/prepared/x.npy": "9",
}
CODE = ["src/samebits/models/a.py", "src/samebits/models/deep/b.py", "src/samebits/page.html.j2", "stages/train.py"]


def fill(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return fill(tmp_path)


def test_code_is_python_and_templates_never_data(workspace: Path) -> None:
    assert [path.relative_to(workspace).as_posix() for path in code_files(workspace, "train")] == CODE


@pytest.mark.parametrize("name", sorted(set(FILES) - {"dvc.yaml"}))
def test_the_digest_changes_with_code_and_with_nothing_else(workspace: Path, name: str) -> None:
    before = code_digest(workspace, "train")
    (workspace / name).write_text("edited")
    assert (code_digest(workspace, "train") != before) is (name in CODE)


def test_a_new_or_renamed_module_changes_the_digest(workspace: Path) -> None:
    before = code_digest(workspace, "train")
    models = workspace / "src/samebits/models"
    (models / "c.py").write_text("")
    added = code_digest(workspace, "train")
    (models / "c.py").rename(models / "d.py")
    assert len({before, added, code_digest(workspace, "train")}) == 3


def test_the_digest_is_the_same_in_another_folder(workspace: Path) -> None:
    assert code_digest(fill(workspace / "elsewhere"), "train") == code_digest(workspace, "train")


def test_a_missing_file_is_named_with_the_fix(workspace: Path) -> None:
    (workspace / "stages/train.py").unlink()
    with pytest.raises(UserError, match=r"stages/train\.py is listed in dvc\.yaml and does not exist") as error:
        code_digest(workspace, "train")
    assert "git add -N" in error.value.fix
