"""`samebits golden` and `samebits verify --steps N` on a real repository, whose parameters follow a recipe."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from samebits.base.files import read_json, write_json
from samebits.params.yaml_file import read_yaml
from tests.helpers.repository import Repository, samebits, samebits_each
from tests.helpers.workspace import set_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def traced(committed: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The committed repository with a recipe that says what its params.yaml says, and a golden trace of it."""
    folder = tmp_path_factory.mktemp("golden") / "project"
    shutil.copytree(committed.folder, folder, symlinks=True)
    repository = Repository(folder)
    kept = ("seed", "reproducibility", "runtime")
    recipe = {key: value for key, value in read_yaml(folder / "params.yaml").items() if key not in kept}
    write_json(folder / "recipes" / "quick.yaml", recipe)  # JSON is YAML
    shutil.rmtree(folder / "golden")
    done = samebits(repository, "golden", "quick")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "50 losses" in done.stdout
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "golden")
    return repository


def trace_file(repository: Repository) -> Path:
    (file,) = (repository.folder / "golden" / "quick").iterdir()
    return file


def test_the_commit_follows_its_trace(traced: Repository) -> None:
    """And the trace that was made in a copy of the tree is the one of the prepared data that dvc.lock names."""
    done = samebits(traced, "verify", "--steps", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"golden/quick/{trace_file(traced).name}: 20 of 20 losses have the same bits" in done.stdout
    assert not traced.git("status", "--short")
    assert not list((traced.folder / ".samebits" / "verify").iterdir())


def test_where_the_losses_part_is_told(traced: Repository, tmp_path: Path) -> None:
    shutil.copytree(traced.folder, tmp_path / "project", symlinks=True)
    repository = Repository(tmp_path / "project")
    trace = read_json(trace_file(repository))
    trace["losses"][2] = (float.fromhex(trace["losses"][2]) * (1 + 2**-22)).hex()
    trace["facts"]["onednn_isa"] = "another one"
    write_json(trace_file(repository), trace)
    repository.git("commit", "-qam", "another machine's")
    done = samebits(repository, "verify", "--steps", "5")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the losses diverge at step 3 of 5" in done.stdout
    assert "onednn_isa: another one -> " in done.stdout
    assert samebits(repository, "verify", "--steps", "2").returncode == 0, "up to there they are the same"


def test_what_no_trace_can_answer_is_2(traced: Repository, tmp_path: Path) -> None:
    shutil.copytree(traced.folder, tmp_path / "project", symlinks=True)
    repository = Repository(tmp_path / "project")

    def refused(*cases: tuple[str, list[str]], commit: str = "") -> None:
        if commit:
            repository.git("add", "-A")
            repository.git("commit", "-q", "-m", commit)
        asked = samebits_each(repository, *(arguments for _, arguments in cases))
        for (expected, _), done in zip(cases, asked, strict=True):
            assert done.returncode == 2, done.stdout
            assert expected in done.stderr
            assert "fix:" in done.stderr
            assert "Traceback" not in done.stderr

    verify = ["verify", "--steps", "5"]
    refused(
        ("golden traces of quick have 50 steps, not 51", ["verify", "--steps", "51"]),
        ("there is no recipe 'quik'", ["golden", "quik"]),
        ("name recipes, or --all of them", ["golden"]),
        ("name recipes, or --all of them", ["golden", "quick", "--all"]),
    )
    set_params(repository.folder, {"seed": 3})
    refused(("the working tree differs from its commit: params.yaml", verify))
    refused(("params.yaml follows none of the recipes", verify), commit="another seed")
    set_params(repository.folder, {"seed": 0})
    trace_file(repository).write_text("{}")
    refused(("is no golden trace", verify), commit="damaged")
    trace_file(repository).unlink()
    refused(("there is no golden trace of quick for any kind of hardware", verify), commit="none")
