"""`samebits verify` on a real repository: the commit again in a clean copy, each output compared."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from samebits.base.files import read_json, write_json
from samebits.pipeline.context import FACTS
from tests.conftest import set_params
from tests.pipeline.conftest import Repository

pytestmark = [pytest.mark.pipeline, pytest.mark.slow, pytest.mark.timeout(900)]


def samebits(repository: Repository, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # `-P`-like: the repository's own code runs, as the installed command would.
    source = str(repository.folder / "src")
    return repository.run(sys.executable, "-m", "samebits.cli.main", *arguments, **{"PYTHONPATH": source} | environment)


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


def test_every_output_of_the_commit_is_the_same(committed: Repository) -> None:
    runs = len(committed.runs())
    done = samebits(committed, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    found = rows(done.stdout)
    assert {stage for stage, _ in found} == {"prepare", "train", "evaluate", "export"}
    assert ("train", "models/checkpoint") in found
    assert ("train", "reports/train/metrics.json") in found
    assert set(found.values()) == {"same"}
    # What it says was done was done, in the copy, and nothing of it is left or recorded.
    assert "train: kept epoch 1" in done.stdout
    assert not list((committed.folder / ".samebits" / "verify").iterdir())
    assert len(committed.runs()) == runs
    assert not committed.git("status", "--short")


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
    assert "the curves part at step 1: train/loss" in done.stdout
    assert "threads: 64 -> 1" in done.stdout
    assert "torch: 1.0 -> " in done.stdout


def test_an_output_that_was_edited_is_found_by_a_stage_alone(repository: Repository) -> None:
    """Weights that the committed code does not make, as a hand-edited or foreign file would be."""
    lock = repository.folder / "dvc.lock"
    metrics = repository.folder / "reports" / "evaluation" / "metrics.json"
    metrics.write_text(metrics.read_text().replace("0.", "0.1", 1))
    old = lock.read_text()
    committed = repository.dvc("commit", "--force", "evaluate")
    assert committed.returncode == 0, committed.stderr
    assert lock.read_text() != old
    repository.git("commit", "-qam", "embellished")
    done = samebits(repository, "verify", "--stage", "evaluate")
    assert done.returncode == 1, done.stdout + done.stderr
    wrong = [output for (_, output), word in rows(done.stdout).items() if word != "same"]
    assert wrong == ["reports/evaluation/metrics.json"]
    assert " was 0.1" in done.stdout


def test_a_missing_input_is_named_with_its_fix(repository: Repository) -> None:
    shutil.rmtree(repository.folder / ".dvc" / "cache")
    done = samebits(repository, "verify", "--stage", "train")
    assert done.returncode == 2
    assert "data/prepared (md5 " in done.stderr
    assert "dvc pull" in done.stderr


def test_bad_input_is_2(repository: Repository) -> None:
    cases = {
        "there is no dvc.lock": lambda: (repository.folder / "dvc.lock").unlink(),
        "params.yaml": lambda: set_params(repository.folder, {"seed": 3}),
        "src/samebits/new.py": lambda: (repository.folder / "src/samebits/base/files.py").rename(
            repository.folder / "src/samebits/new.py"
        ),
    }
    for expected, spoil in cases.items():
        spoil()
        environment = {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}
        done = samebits(repository, "verify", **environment)
        assert done.returncode == 2, done.stdout
        assert expected in done.stderr or "src/samebits/base/files.py" in done.stderr
        assert "fix:" in done.stderr
        assert "Traceback" not in done.stderr
        repository.git("checkout", "-q", ".")
    assert samebits(repository, "verify", "--stage", "trian").returncode == 2
    assert samebits(repository, "verify", "--steps", "0").returncode == 2
