"""`train.epochs` raised after a training: as a user does it, with DVC, in another clone, and as an experiment."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.base.files import sha256_file
from tests.helpers.repository import Repository
from tests.helpers.workspace import outputs, set_params

pytestmark = pytest.mark.slow

KEPT = "models/training_state"
PARAMS = {
    "train": {"epochs": 1, "keep_state": True, "schedule": {"name": "constant", "warmup_steps": 20}},
    "runtime": {"tracking": {"enabled": False}},
}
GOES_ON = "train: going on from step 118 (epoch 1 of 1) of the finished training of 1 epoch in dvc.lock"


def trained(repository: Repository, *command: str) -> tuple[str, dict[str, str]]:
    """What a DVC command said, and the hashes of what `train` wrote."""
    done = repository.dvc(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = {path.name: sha256_file(path) for path in (repository.folder / KEPT).iterdir()}
    return done.stdout, outputs(repository.folder) | kept


def cloned(source: Repository, folder: Path) -> Repository:
    subprocess.run(["git", "clone", "-q", str(source.folder), str(folder)], check=True)
    # As `dvc repro prepare` would make it.
    shutil.copytree(source.folder / "data" / "prepared", folder / "data" / "prepared")
    return Repository(folder)


def test_more_epochs_go_on_from_the_kept_state_everywhere(
    new_repository: Callable[[Path], Repository], tmp_path: Path
) -> None:
    ann = new_repository(tmp_path / "ann")
    set_params(ann.folder, PARAMS)
    store = tmp_path / "store"
    store.mkdir()
    assert ann.dvc("remote", "add", "-q", "-d", "store", str(store)).returncode == 0
    trained(ann, "repro", "train")
    ann.git("add", "-A")
    ann.git("commit", "-q", "-m", "one epoch")
    assert ann.dvc("push").returncode == 0
    more = {"train": {"epochs": 2}}

    # Straight, by somebody whom the state does not reach.
    eve = cloned(ann, tmp_path / "eve")
    set_params(eve.folder, more | {"runtime": {"resume": "never"}})
    said, straight = trained(eve, "repro", "train")
    assert "going on" not in said

    # In a clone: pulled before, or fetched when it is needed.
    for name, pull in (("bob", True), ("tom", False)):
        other = cloned(ann, tmp_path / name)
        set_params(other.folder, more)
        assert not pull or other.dvc("pull", KEPT).returncode == 0
        said, found = trained(other, "repro", "train")
        assert GOES_ON in said
        assert found == straight

    # As an experiment in a folder of its own.
    done = ann.dvc("exp", "run", "--temp", "-S", "train.epochs=2", "train")
    assert GOES_ON in done.stdout, done.stdout + done.stderr
    lock = ann.git("show", ann.git("for-each-ref", "--format=%(objectname)", "refs/exps/*/*/*").strip() + ":dvc.lock")
    assert lock == (eve.folder / "dvc.lock").read_text()
