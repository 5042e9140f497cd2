"""What the tutorial and the notebooks tell a person to do works, as it is printed there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.helpers.repository import Repository, make_repository
from tests.helpers.workspace import ROOT
from tools import notebooks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def project(tmp_path: Path, mnist_cut: Path) -> Repository:
    """A clone with the repository's own parameters, and MNIST's cut in place of MNIST."""
    return make_repository(tmp_path / "project", card=mnist_cut / "mnist.yaml")


@pytest.mark.parametrize("page", ["images", "text", "table"])
def test_the_tutorial_with_data_of_ones_own(page: str, project: Repository) -> None:
    text = (ROOT / "docs" / "tutorial" / f"{page}.md").read_text(encoding="utf-8")
    said = ""
    for commands in re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        done = project.run("bash", "-eu", "-c", commands)
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        said += done.stdout
    for shown in re.findall(r"^```text\n(data\.source: .*?)^```$", text, re.DOTALL | re.MULTILINE):
        assert shown in said


@pytest.mark.parametrize("source", notebooks.sources(), ids=lambda source: source.stem)
def test_a_notebook_runs(source: Path, project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in project.environment().items():
        monkeypatch.setenv(name, value)
    for name in os.environ.keys() - project.environment().keys():
        monkeypatch.delenv(name)
    made = notebooks.execute(source, project.folder)
    text, pictures = notebooks.page(source.stem, made)
    assert "error:" not in text
    assert pictures
