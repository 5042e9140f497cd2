"""A project on an installed wheel: made, run, shared, and brought to the next release. Wheels come from a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from samebits import __version__
from samebits.base.files import sha256_file
from tests.helpers.tables import csv_text, rows
from tests.helpers.workspace import AUTHOR, ROOT, set_params, stage_environment, tracked_files

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

NEXT = "9.9.9"


class Person:
    """Somebody with an environment of an installed wheel; all other packages are those of this one."""

    def __init__(self, folder: Path, index: Path) -> None:
        self.folder, self.index, self.bin = folder, index, folder / "venv" / "bin"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        packages = next((folder / "venv").glob("lib/python*/site-packages"))
        (packages / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
        (self.bin / "dvc").write_text(f'#!/bin/sh\nexec "{self.bin}/python" -m dvc "$@"\n')
        (self.bin / "dvc").chmod(0o755)

    def install(self, version: str) -> None:
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-index", "--no-deps"]
        # Compiled, as pip does it.
        places = ["--find-links", self.index, "--python", self.bin / "python", "--reinstall", "--compile-bytecode"]
        subprocess.run([*uv, *places, f"samebits=={version}"], check=True)

    def run(self, *command: str, cwd: Path, code: int = 0) -> str:
        environ = {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}", "GIT_CONFIG_GLOBAL": os.devnull, **AUTHOR}
        done = subprocess.run(command, cwd=cwd, env=stage_environment(**environ), capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


def build(folder: Path, index: Path) -> None:
    code = f"from setuptools.build_meta import build_wheel; build_wheel({str(index)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder with the wheel of the code here, and one of a release to come: other baselines, another README."""
    source, index = tmp_path / "source", tmp_path / "index"
    for file in tracked_files():
        if file.is_relative_to(ROOT / "tests"):
            continue
        copy = source / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    build(source, index)
    package = source / "src" / "samebits"
    with (package / "evaluation" / "baseline.py").open("a") as file:
        file.write("# another\n")
    (package / "__init__.py").write_text(f'__version__ = "{NEXT}"\n')
    readme = package / "template" / "files" / "README.md"
    readme.write_text("New.\n" + readme.read_text())
    shutil.rmtree(source / "build")
    build(source, index)
    return index


def test_a_project_from_its_first_commit_to_the_next_release(tmp_path: Path, index: Path) -> None:
    ann = Person(tmp_path, index)
    ann.install(__version__)
    (tmp_path / "houses.csv").write_text(csv_text(rows(120)))
    ann.run("samebits", "new", "mine", "--data", "houses.csv", cwd=tmp_path)
    mine, copy = tmp_path / "mine", tmp_path / "copy"
    quick = {"train": {"epochs": 1, "threads": 1}, "evaluate": {"bootstrap": 100}}
    quick |= {"export": {"formats": ["onnx"], "batch_sizes": [7, 33]}}
    set_params(mine, quick)
    ann.run("dvc", "repro", cwd=mine)
    assert "3 passed" in ann.run("python", "-m", "pytest", "-q", "tests", cwd=mine)
    assert "prediction" in ann.run("samebits", "predict", str(tmp_path / "houses.csv"), cwd=mine)
    with (mine / "README.md").open("a") as file:
        file.write("Ours.\n")
    (tmp_path / "store").mkdir()
    ann.run("dvc", "remote", "add", "-d", "store", str(tmp_path / "store"), cwd=mine)
    ann.run("git", "add", "-A", cwd=mine)
    ann.run("git", "commit", "-q", "-m", "results", cwd=mine)
    ann.run("dvc", "push", cwd=mine)

    ann.run("git", "clone", "-q", str(mine), str(copy), cwd=tmp_path)
    ann.run("dvc", "pull", cwd=copy)
    model = "models/export/model.onnx"
    assert sha256_file(copy / model) == sha256_file(mine / model)
    assert "up to date" in ann.run("dvc", "status", cwd=copy)

    ann.install(NEXT)
    said = ann.run("python", "stages/prepare.py", cwd=copy, code=2)
    assert f"prepare: error: samebits {NEXT} is installed (packages.yaml: {__version__})" in said
    assert "samebits update" in said
    said = ann.run("samebits", "update", cwd=copy)
    assert "merged with your edits: README.md" in said
    text = (copy / "README.md").read_text()
    assert text.startswith("New.\n")
    assert text.endswith("Ours.\n")
    assert f"samebits=={NEXT}" in (copy / "requirements.txt").read_text()
    runs = said.split("only if what it reads changes:\n")[1]
    assert [line.split(":")[0].strip() for line in runs.splitlines() if line.startswith("  ")] == ["evaluate", "export"]
    said = ann.run("dvc", "repro", cwd=copy)
    assert said.count("Running stage") == 1
    assert "Running stage 'evaluate'" in said
