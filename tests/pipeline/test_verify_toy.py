"""`samebits verify`, `restore` and `trace` on a pipeline of two tiny stages, with real git and real DVC."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.provenance.restore.find import find
from samebits.provenance.restore.restore import restore
from samebits.provenance.restore.trace import trace_file
from samebits.provenance.verify import pipeline
from tests.helpers.repository import Repository
from tests.helpers.shared import shared
from tests.helpers.workspace import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PIPELINE = """
stages:
  train:
    cmd: python stages/train.py
    deps: [stages/train.py]
    params: [seed]
    outs: [models/checkpoint, reports/train/curves.csv]
  judge:
    cmd: python stages/judge.py
    deps: [stages/judge.py, models/checkpoint]
    metrics: [metrics.json: {cache: false}]
"""

TRAIN = """
import os
from pathlib import Path
import numpy as np
from ruamel.yaml import YAML
from safetensors.numpy import save_file
seed = YAML().load(Path("params.yaml"))["seed"] + int(os.environ.get("TOY_SHIFT", "0"))
for folder in ("models/checkpoint", "reports/train"):
    Path(folder).mkdir(parents=True, exist_ok=True)
weights = {"a": np.ones(3, dtype=np.float32), "b": np.full(2, seed, dtype=np.float32)}
save_file(weights, "models/checkpoint/model.safetensors")
Path("reports/train/curves.csv").write_text(f"step,train/loss\\n1,2.5\\n2,{seed}.25\\n")
print("toy: trained")
"""

JUDGE = """
import hashlib, json
from pathlib import Path
weights = Path("models/checkpoint/model.safetensors").read_bytes()
Path("metrics.json").write_text(json.dumps({"accuracy": len(weights), "digest": hashlib.sha256(weights).hexdigest()}))
"""


def verify(project: Project, stages: list[str], *, say: Callable[[str], None]) -> bool:
    """As the command does it: what came out is said last. Whether all of it has the same bits."""
    found = pipeline.verify(project, stages, say=say)
    say(found.text())
    return found.same


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Two commits: the code, then the results of `dvc repro`."""

    def make(folder: Path) -> None:
        repository = Repository(folder)
        files = {"dvc.yaml": PIPELINE, "params.yaml": "seed: 1\n", "stages/train.py": TRAIN, "stages/judge.py": JUDGE,
                 ".gitignore": "/.samebits\n/mlruns\n__pycache__/\n", ".dvcignore": ".samebits\n"}  # fmt: skip
        for name, text in files.items():
            (repository.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (repository.folder / name).write_text(text)
        repository.git("init", "-q", "-b", "main")
        assert repository.dvc("init", "-q").returncode == 0
        repository.git("add", "-A")
        repository.git("commit", "-q", "-m", "code")
        done = repository.dvc("repro")
        assert done.returncode == 0, done.stdout + done.stderr
        repository.git("add", "-A")
        repository.git("commit", "-q", "-m", "results")

    return Repository(shared(tmp_path_factory, "toy", make))


@pytest.fixture
def repository(toy: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    shutil.copytree(toy.folder, tmp_path / "project", symlinks=True)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return Repository(tmp_path / "project")


@pytest.fixture
def project(repository: Repository) -> Project:
    return Project(repository.folder, repository.folder)


def test_the_same_bits(project: Project, repository: Repository, capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    assert verify(project, [], say=said.append)
    text = "\n".join(said)
    assert "all 3 outputs have the same bits" in text
    assert "toy: trained" in capfd.readouterr().out, "the stage ran; no cache stood in for it"
    assert not list((project.state / "verify").iterdir())
    assert not repository.git("status", "--short")


def test_another_environment_than_the_commits_is_refused(project: Project, repository: Repository) -> None:
    """What came out would say nothing about the commit's promise."""
    text = (repository.folder / "dvc.yaml").read_text()
    (repository.folder / "dvc.yaml").write_text(text.replace("[seed]", "[seed, packages.yaml: [numpy]]"))
    (repository.folder / "packages.yaml").write_text('numpy: "1.0"\n')
    assert repository.dvc("commit", "--force").returncode == 0
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "of another environment")
    with pytest.raises(UserError, match=r"packages.yaml: 1.0") as raised:
        verify(project, [], say=lambda _: None)
    assert "samebits restore" in raised.value.fix


def test_other_bits_are_told_tensor_by_tensor(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_SHIFT", "1")
    said: list[str] = []
    assert not verify(project, [], say=said.append)
    text = "\n".join(said)
    assert "3 of 3 outputs differ; the first: train, models/checkpoint" in text
    assert (
        "models/checkpoint/model.safetensors: 1 of 2 tensors differ; the first is b, by up to 1 (relative 0.5)" in text
    )
    assert "reports/train/curves.csv: the curves diverge at step 2: train/loss 1.25 -> 2.25" in text
    assert "metrics.json: digest was " in text
    assert "is not on record here" in text


def test_a_stage_alone_reads_the_locked_input(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_SHIFT", "1")
    assert verify(project, ["judge"], say=lambda _: None), "train did not run, so that its other bits do not count"


def test_parameters_that_are_not_the_locks_are_named(project: Project, repository: Repository) -> None:
    (project.workspace / "params.yaml").write_text("seed: 2\n")
    repository.git("commit", "-qam", "another seed")
    said: list[str] = []
    assert not verify(project, ["train"], say=said.append)
    assert "params.yaml: seed" in "\n".join(said)


def test_an_output_that_is_not_written_is_different(project: Project, repository: Repository) -> None:
    (project.workspace / "stages/judge.py").write_text("")
    repository.git("commit", "-qam", "no metrics")
    said: list[str] = []
    assert not verify(project, ["judge"], say=said.append)
    assert "not written" in "\n".join(said)


def _edit(project: Project, name: str) -> None:
    (project.workspace / name).write_text("x")


BAD_TREES = {
    "params.yaml": "the working tree differs from its commit: params.yaml",
    "stages/judge.py": "the working tree differs from its commit: stages/judge.py",
    "dvc.lock": "no lock file that DVC wrote|dvc.lock is not committed",
}


@pytest.mark.parametrize("name", BAD_TREES)
def test_a_tree_that_is_not_its_commit_is_refused(name: str, project: Project) -> None:
    if name == "dvc.lock":
        lock = project.workspace / name
        lock.write_text(lock.read_text() + "\n# edited\n")
    else:
        _edit(project, name)
    with pytest.raises(UserError, match=BAD_TREES[name]) as error:
        verify(project, [], say=print)
    assert error.value.fix


def test_a_tree_without_its_lock_or_with_a_moved_file_is_refused(project: Project) -> None:
    (project.workspace / "stages/judge.py").rename(project.workspace / "stages/new.py")
    with pytest.raises(UserError, match=r"the working tree differs from its commit: stages/judge\.py"):
        verify(project, [], say=print)
    (project.workspace / "stages/new.py").rename(project.workspace / "stages/judge.py")
    (project.workspace / "dvc.lock").unlink()
    with pytest.raises(UserError, match=r"there is no dvc\.lock") as error:
        verify(project, [], say=print)
    assert error.value.fix


@pytest.mark.parametrize("arguments", [("--stage", "trian"), ("--steps", "0"), ("--stage", "train")])
def test_what_cannot_be_verified_is_2(arguments: tuple[str, ...], repository: Repository) -> None:
    (repository.folder / "params.yaml").write_text("seed: 3\n")
    source = str(ROOT / "src")
    done = repository.run(sys.executable, "-m", "samebits.cli.main", "verify", *arguments, PYTHONPATH=source)
    assert done.returncode == 2, done.stdout
    assert "fix:" in done.stderr or "--steps: must be 1 or more" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_output_that_was_edited_is_found_by_a_stage_alone(project: Project, repository: Repository) -> None:
    """Metrics that the committed code does not make, as a hand-edited or foreign file would be."""
    metrics = project.workspace / "metrics.json"
    metrics.write_text(metrics.read_text().replace('"accuracy": ', '"accuracy": 1'))
    lock = (project.workspace / "dvc.lock").read_text()
    committed = repository.dvc("commit", "--force", "judge")
    assert committed.returncode == 0, committed.stderr
    assert (project.workspace / "dvc.lock").read_text() != lock
    repository.git("commit", "-qam", "embellished")
    said: list[str] = []
    assert not verify(project, ["judge"], say=said.append)
    text = "\n".join(said)
    assert "1 of 1 outputs differ" in text
    assert "metrics.json: accuracy was 1" in text


def test_a_new_file_counts_only_where_a_stage_would_read_it(project: Project) -> None:
    _edit(project, "notes.txt")
    assert verify(project, ["judge"], say=lambda _: None)


def test_a_failing_stage_and_a_missing_input_are_user_errors(project: Project, repository: Repository) -> None:
    shutil.rmtree(project.workspace / ".dvc" / "cache")
    with pytest.raises(UserError, match=r"models/checkpoint \(md5 \w+\.dir\)") as error:
        verify(project, ["judge"], say=print)
    assert "dvc pull" in error.value.fix
    _edit(project, "stages/train.py")
    repository.git("commit", "-qam", "broken")
    with pytest.raises(UserError, match="train ended with exit code 1"):
        verify(project, ["train"], say=print)
    assert not list((project.state / "verify").iterdir())


def test_outside_of_git_and_before_the_first_commit(tmp_path: Path) -> None:
    bare = Project(tmp_path, tmp_path)
    with pytest.raises(UserError, match="in no git repository"):
        verify(bare, [], say=print)
    Repository(tmp_path).git("init", "-q")
    with pytest.raises(UserError, match="has no commit yet"):
        verify(bare, [], say=print)


def test_a_commit_is_restored_and_verified(project: Project, repository: Repository, tmp_path: Path) -> None:
    there = tmp_path / "there"
    assert restore(project, "main", there, check=True, say=print)
    made = there / "models/checkpoint/model.safetensors"
    assert made.read_bytes() == (project.workspace / "models/checkpoint/model.safetensors").read_bytes()
    assert not Repository(there).git("status", "--short")
    assert str(there) in repository.git("worktree", "list")


def test_an_experiment_and_its_removal(project: Project, repository: Repository, tmp_path: Path) -> None:
    done = repository.dvc("exp", "run", "--temp", "-n", "tried", "-S", "seed=7")
    assert done.returncode == 0, done.stderr
    assert restore(project, "tried", tmp_path / "there", say=print)
    assert (tmp_path / "there" / "params.yaml").read_text() == "seed: 7\n"
    assert ",7.25" in (tmp_path / "there" / "reports/train/curves.csv").read_text()
    assert repository.dvc("exp", "remove", "tried").returncode == 0
    with pytest.raises(UserError, match="'tried' is no run id, experiment"):
        find(project, "tried")


def test_a_commit_that_a_rebase_dropped(project: Project, repository: Repository, tmp_path: Path) -> None:
    old = repository.git("rev-parse", "HEAD").strip()
    repository.git("commit", "-q", "--amend", "-m", "rebased")
    assert restore(project, old, tmp_path / "there", say=print)
    text = trace_file(project, project.workspace / "models/checkpoint/model.safetensors").text()
    assert old[:12] in text
    repository.git("worktree", "remove", "--force", str(tmp_path / "there"))
    repository.git("reflog", "expire", "--expire=now", "--all")
    repository.git("gc", "-q", "--prune=now")
    with pytest.raises(UserError, match=f"commit {old} is not in this repository") as error:
        restore(project, old, tmp_path / "gone", say=print)
    assert f"git fetch REMOTE {old}" in error.value.fix
    assert not (tmp_path / "gone").exists()


def test_missing_objects_are_named_and_made_again(project: Project, tmp_path: Path) -> None:
    md5 = dvc_md5(project.workspace / "models/checkpoint")
    shutil.rmtree(project.workspace / ".dvc" / "cache")
    with pytest.raises(UserError, match="code and parameters are restored in") as error:
        restore(project, "HEAD", tmp_path / "there", say=print)
    assert f"models/checkpoint (md5 {md5})" in error.value.problem
    assert "dvc push" in error.value.fix
    assert (tmp_path / "there" / "stages/train.py").is_file()
    assert restore(project, "HEAD", tmp_path / "again", check=True, say=print)


def test_data_and_model_come_from_the_remote(project: Project, repository: Repository, tmp_path: Path) -> None:
    """As on another machine: nothing in the cache, all of it on the remote."""
    assert repository.dvc("remote", "add", "-d", "store", str(tmp_path / "store")).returncode == 0
    assert repository.dvc("push").returncode == 0
    repository.git("commit", "-qam", "a remote")
    for name in (".dvc/cache", "models/checkpoint"):
        shutil.rmtree(project.workspace / name)
    said: list[str] = []
    assert restore(project, "HEAD", tmp_path / "there", check=True, say=said.append)
    assert (tmp_path / "there/models/checkpoint/model.safetensors").is_file()
    assert "data and model as recorded: models/checkpoint" in "\n".join(said)
    shutil.rmtree(project.workspace / ".dvc" / "cache")
    assert verify(project, ["judge"], say=lambda _: None), "the input of a stage comes from there, too"
    shutil.rmtree(project.workspace / ".dvc" / "cache")
    shutil.rmtree(tmp_path / "store")
    with pytest.raises(UserError, match="neither in DVC's cache nor on its remote"):
        verify(project, ["judge"], say=print)


def test_data_kept_by_dvc_add_below_a_dependency_are_brought(
    project: Project, repository: Repository, tmp_path: Path
) -> None:
    """`data/raw` is in every clone, the table that `dvc add` keeps in it is not."""
    own = project.workspace / "data" / "raw"
    own.mkdir(parents=True)
    (own / "README.md").write_text("your data\n")
    (own / "own.csv").write_text("a,b\n1,2\n")
    assert repository.dvc("add", "data/raw/own.csv").returncode == 0
    for file, old, new in (
        ("dvc.yaml", "deps: [stages/train.py]", "deps: [stages/train.py, data/raw]"),
        ("stages/train.py", "seed =", "assert Path('data/raw/own.csv').is_file()\nseed ="),
    ):
        path = project.workspace / file
        path.write_text(path.read_text().replace(old, new))
    assert repository.dvc("repro").returncode == 0
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "own data")
    assert "own.csv" not in repository.git("ls-files", "data/raw").split()
    assert verify(project, [], say=lambda _: None)
    assert restore(project, "HEAD", tmp_path / "there", say=print)
    assert (tmp_path / "there/data/raw/own.csv").read_text() == "a,b\n1,2\n"
    assert restore(project, "HEAD", tmp_path / "checked", check=True, say=print)
    shutil.rmtree(project.workspace / ".dvc" / "cache")
    with pytest.raises(UserError, match=r"neither in DVC's cache nor on its remote:\n  data/raw/own\.csv \(md5 "):
        verify(project, ["train"], say=print)


@pytest.mark.parametrize("name", ["nothing", "0" * 32, "0" * 40, "--force", "HEAD~9"])
def test_a_name_that_nothing_has(name: str, project: Project, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        restore(project, name, tmp_path / "there", say=print)
    assert error.value.fix
    assert not (tmp_path / "there").exists()


def test_a_folder_that_is_in_use(project: Project, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(UserError, match="is not empty"):
        restore(project, "HEAD", tmp_path, say=print)
    assert (tmp_path / "mine").read_text() == "keep"


def test_trace_in_and_outside_of_the_project(project: Project, repository: Repository, tmp_path: Path) -> None:
    inside = project.workspace / "models/checkpoint/model.safetensors"
    shutil.copy(inside, tmp_path / "copied.safetensors")
    head = repository.git("rev-parse", "HEAD").strip()
    for file in (inside, tmp_path / "copied.safetensors"):
        text = trace_file(project, file).text()
        assert f"{head[:12]} " in text
        assert "(main) results" in text
        assert f"samebits restore {head[:12]}" in text


def test_trace_of_what_nobody_knows(project: Project, tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3, dtype=np.float32)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    (tmp_path / "text.txt").write_text("x")
    cases = {"other.safetensors": "is unknown here", "broken.onnx": r"cannot be read as \.onnx",
             "text.txt": "is no model file", "absent.onnx": "does not exist", "": "is a folder"}  # fmt: skip
    for name, expected in cases.items():
        with pytest.raises(UserError, match=expected) as error:
            trace_file(project, tmp_path / name)
        assert error.value.fix
    (tmp_path / "config.json").write_text(json.dumps({"data_digest": "abc", "epoch": 3}))
    (tmp_path / "other.safetensors").rename(tmp_path / "model.safetensors")
    assert "config.json.data_digest: abc" in trace_file(project, tmp_path / "model.safetensors").text()
