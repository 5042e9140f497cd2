"""`samebits verify` on a real repository: the commit again in a clean copy, each output compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from samebits.base.files import read_json, write_json
from samebits.pipeline.context import FACTS
from tests.helpers.repository import Repository, samebits
from tests.helpers.workspace import set_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def repository(committed: Repository, tmp_path: Path) -> Repository:
    """A copy of the finished and committed repository that a test may spoil."""
    shutil.copytree(committed.folder, tmp_path / "project", symlinks=True)
    return Repository(tmp_path / "project")


def rows(text: str) -> dict[tuple[str, str], str]:
    """(stage, output) to the word in the table."""
    lines = [line.split(maxsplit=2) for line in text.splitlines()]
    begin = lines.index(["stage", "output", "bits"]) + 1
    return {(line[0], line[1]): line[2] for line in lines[begin : lines.index([], begin)]}


def test_every_output_of_the_commit_is_the_same(repository: Repository) -> None:
    runs = len(repository.runs())
    done = samebits(repository, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(done.stdout)
    assert {stage for stage, _ in found} == {"prepare", "train", "evaluate", "export"}
    assert ("train", "models/checkpoint") in found
    assert ("train", "reports/train/metrics.json") in found
    assert set(found.values()) == {"same"}
    # What it says was done was done, in the copy, and nothing of it is left or recorded.
    assert "train: kept epoch 1" in done.stdout
    assert not list((repository.folder / ".samebits" / "verify").iterdir())
    assert len(repository.runs()) == runs
    assert not repository.git("status", "--short")


def test_other_bits_are_found_and_explained(repository: Repository) -> None:
    """Another seed than dvc.lock's, committed without a run; and facts of another machine on record."""
    set_params(repository.folder, {"seed": 1})
    file = repository.folder / FACTS
    facts = read_json(file)
    facts["stages"]["train"]["facts"] |= {"threads": "64", "torch": "1.0"}
    write_json(file, facts)
    repository.git("commit", "-qam", "another seed")
    done = samebits(repository, "verify", "--stage", "train")
    assert done.returncode == 1, done.stdout + done.stderr
    found = rows(done.stdout)
    assert found[("train", "models/checkpoint")] == "different"
    assert "params.yaml: seed" in done.stdout, "what explains the difference is named"
    assert "tensors differ; the first is " in done.stdout
    assert "the curves diverge at step 1: train/loss" in done.stdout
    assert "threads: 64 -> 1" in done.stdout
    assert "torch: 1.0 -> " in done.stdout
