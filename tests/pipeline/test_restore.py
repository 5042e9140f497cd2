"""`samebits restore` and `samebits trace` in real git repositories: dirty, rebased, temporary, removed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from samebits.base.files import read_json, sha256_file
from samebits.pipeline.dvc_hashes import dvc_md5
from tests.helpers.repository import Repository, samebits, samebits_each
from tests.helpers.workspace import set_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EDITED = "src/samebits/metrics/classification.py"


@pytest.fixture(scope="module")
def history(committed: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The committed repository, then: a dirty run (edited code, new file, other parameters), and a temporary one."""
    folder = tmp_path_factory.mktemp("history") / "project"
    shutil.copytree(committed.folder, folder, symlinks=True)
    repository = Repository(folder)
    code = folder / EDITED
    code.write_text(code.read_text() + "\n# an edit that was never committed\n")
    (folder / "notes.txt").write_text("new, and not ignored\n")
    set_params(folder, {"evaluate": {"top_k": 2}})
    done = repository.dvc("repro")
    assert done.returncode == 0, done.stdout + done.stderr
    repository.git("stash", "-q", "--include-untracked")
    repository.git("stash", "drop", "-q")
    assert repository.dvc("checkout", "--force").returncode == 0
    temporary = repository.dvc("exp", "run", "--temp", "-n", "in-temp", "-S", "evaluate.top_k=4")
    assert temporary.returncode == 0, temporary.stderr
    return repository


def run_named(repository: Repository, **wanted: str) -> str:
    """The id of the newest run whose tags or parameters have these values (`__` for a dot)."""
    for run in repository.runs():
        facts = run["params"] | run["tags"]
        if all(facts.get(key.replace("__", ".")) == value for key, value in wanted.items()):
            return str(run["id"])
    raise AssertionError(f"no run has {wanted}")


def test_a_commit(history: Repository, tmp_path: Path) -> None:
    done = samebits(history, "restore", "HEAD", "--into", str(tmp_path / "there"))
    assert done.returncode == 0, done.stdout + done.stderr
    there = tmp_path / "there"
    assert (there / "dvc.lock").read_bytes() == (history.folder / "dvc.lock").read_bytes()
    for name in ("data/prepared", "models/checkpoint", "models/export"):
        assert dvc_md5(there / name) == dvc_md5(history.folder / name)
    assert not Repository(there).git("status", "--short")
    shown = Repository(there).dvc("status")
    assert "up to date" in shown.stdout, shown.stdout + shown.stderr


def test_a_dirty_run_with_its_uncommitted_changes(history: Repository, tmp_path: Path) -> None:
    run_id = run_named(history, git__dirty="true")
    there = tmp_path / "there"
    done = samebits(history, "restore", run_id, "--into", str(there), "--verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "an edit that was never committed" in (there / EDITED).read_text()
    assert (there / "notes.txt").read_text() == "new, and not ignored\n"
    assert "top_k: 2" in (there / "params.yaml").read_text()
    assert "outputs have the same bits" in done.stdout
    assert "the code of" not in done.stdout, "the restored code has the hash that the run recorded"


def test_a_temporary_experiment_by_name_and_by_run(history: Repository, tmp_path: Path) -> None:
    by_name = samebits(history, "restore", "in-temp", "--into", str(tmp_path / "name"))
    assert by_name.returncode == 0, by_name.stdout + by_name.stderr
    assert "experiment in-temp" in by_name.stdout
    run_id = run_named(history, dvc__exp_name="in-temp")
    by_run = samebits(history, "restore", run_id, "--into", str(tmp_path / "run"))
    assert by_run.returncode == 0, by_run.stdout + by_run.stderr
    for there in (tmp_path / "name", tmp_path / "run"):
        assert "top_k: 4" in (there / "params.yaml").read_text()
        assert read_json(there / "models/checkpoint/config.json")
    outputs = "reports/evaluation/report/predictions.csv"
    assert (tmp_path / "name" / outputs).read_bytes() == (tmp_path / "run" / outputs).read_bytes()


def test_an_experiment_that_was_removed_is_found_by_its_run(history: Repository, tmp_path: Path) -> None:
    shutil.copytree(history.folder, tmp_path / "project", symlinks=True)
    repository = Repository(tmp_path / "project")
    assert repository.dvc("exp", "remove", "in-temp").returncode == 0
    done = samebits(repository, "restore", "in-temp", "--into", str(tmp_path / "there"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "run in-temp (" in done.stdout
    assert "top_k: 4" in (tmp_path / "there" / "params.yaml").read_text()


def test_a_rebased_commit_is_found_until_git_collects_it(history: Repository, tmp_path: Path) -> None:
    shutil.copytree(history.folder, tmp_path / "project", symlinks=True)
    repository = Repository(tmp_path / "project")
    old = repository.git("rev-parse", "HEAD").strip()
    run_id = run_named(repository, dvc__exp_name="in-temp")
    model = tmp_path / "model.onnx"
    shutil.copy(repository.folder / "models/export/model.onnx", model)
    repository.git("commit", "-q", "--amend", "-m", "rebased")
    assert repository.dvc("exp", "remove", "--all-commits").returncode == 0
    done = samebits(repository, "restore", run_id, "--into", str(tmp_path / "there"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on no branch any more" in samebits(repository, "trace", str(model)).stdout

    repository.git("worktree", "remove", "--force", str(tmp_path / "there"))
    # The copy also knows the worktrees that other tests made of the original: they would keep the commit.
    shutil.rmtree(repository.folder / ".git" / "worktrees", ignore_errors=True)
    repository.git("reflog", "expire", "--expire=now", "--all")
    for name in repository.git("for-each-ref", "--format=%(refname)", "refs/exps").split():
        repository.git("update-ref", "-d", name)
    (repository.folder / ".git" / "ORIG_HEAD").unlink(missing_ok=True)
    repository.git("gc", "-q", "--prune=now")
    into = ["--into", str(tmp_path / "gone")]
    for gone in samebits_each(repository, ["restore", run_id, *into], ["restore", old, *into]):
        assert gone.returncode == 2, gone.stdout
        assert f"commit {old}" in gone.stderr
        assert f"git fetch REMOTE {old}" in gone.stderr
        assert not (tmp_path / "gone").exists()


BAD = {
    "nothing-of-that-name": "is no run id, experiment, commit or name of a run",
    "0" * 32: "is no run id, experiment",
    "0" * 40: "is not in this repository",
    "--force": "is no run id",
}


def test_a_name_that_nothing_has_is_2(history: Repository, tmp_path: Path) -> None:
    there = str(tmp_path / "there")
    asked = samebits_each(history, *(["restore", "--into", there, "--", name] for name in BAD))
    for name, done in zip(BAD, asked, strict=True):
        assert done.returncode == 2, done.stdout
        assert BAD[name] in done.stderr
        assert "fix:" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "there").exists()


MODELS = ["models/export/model.onnx", "models/export/model.pt2", "models/checkpoint/model.safetensors"]


def test_a_model_file_tells_where_it_comes_from(history: Repository, tmp_path: Path) -> None:
    files = []
    for name in MODELS:
        elsewhere = tmp_path / f"copied{Path(name).suffix}"
        shutil.copy(history.folder / name, elsewhere)
        files += [history.folder / name, elsewhere]
    info = read_json(history.folder / "data/prepared/dataset.json")
    first = history.git("rev-list", "--max-parents=0", "HEAD").strip()
    for file, done in zip(files, samebits_each(history, *(["trace", str(file)] for file in files)), strict=True):
        assert done.returncode == 0, done.stderr
        assert f"sha256 {sha256_file(file)}" in done.stdout
        assert f"code: {first[:12]}" in done.stdout, "the run that made it ran on the first commit"
        assert history.git("rev-parse", "HEAD").strip()[:12] in done.stdout, "whose dvc.lock the second one has"
        assert info["digest"] in done.stdout
        assert "train.epochs 1" in done.stdout
        assert "samebits restore" in done.stdout
