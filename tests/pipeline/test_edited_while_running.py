"""Code or parameters edited while a stage runs, under real DVC: the stage fails, and nothing is locked to them.

DVC hashes a stage's dependencies once more after its command and would lock the edit to outputs that it did not make
(dvc#11058). The last test shows that it still does, so that the guard is needed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.pipeline.dvc_lock import never_ran
from tests.helpers.tiny import TinyRepository, make_tiny
from tests.helpers.workspace import set_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAUSE_S = "1.0"

UNGUARDED = """
import time
from pathlib import Path
from samebits.pipeline.ran import inputs_now, write_record
inputs = inputs_now(Path.cwd(), "train")
Path("began").touch()
while not Path("go").exists():
    time.sleep(0.02)
Path("reports/train").mkdir(parents=True, exist_ok=True)
Path("reports/train/metrics.json").write_text("{}")
write_record(Path.cwd(), "train", inputs)
"""


@pytest.fixture
def repository(tmp_path: Path) -> TinyRepository:
    return make_tiny(tmp_path / "project", tracking=False)


def start(repository: TinyRepository, began: Callable[[], object]) -> subprocess.Popen[str]:
    """Start `dvc repro` and return when its stage works."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=repository.folder,
        env=repository.environment(TINY_PAUSE=PAUSE_S),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not began():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    return process


def edit_code(repository: TinyRepository) -> None:
    code = repository.folder / "tiny.py"
    code.write_text(code.read_text().replace("1 / (epoch + 1)", "2 / (epoch + 1)"))


def edit_params(repository: TinyRepository) -> None:
    set_params(repository.folder, {"train": {"optimizer": {"lr": 0.02}}})


EDITS = {
    "edited while the stage train ran, so that its outputs are of neither state: tiny.py": edit_code,
    "edited while the stage train ran, so that its outputs are of neither state: params.yaml: train": edit_params,
}


@pytest.mark.parametrize("message", EDITS)
def test_the_stage_fails_and_nothing_is_locked(message: str, repository: TinyRepository) -> None:
    lock = repository.folder / "dvc.lock"
    states = repository.folder / ".samebits" / "tiny"
    process = start(repository, lambda: states.is_dir() and list(states.iterdir()))
    EDITS[message](repository)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0, said
    assert message in said
    assert "run dvc repro again" in said
    assert not lock.exists(), "nothing is locked"
    assert not list((repository.folder / ".dvc" / "cache").rglob("runs/*/*/*")), "no run cache can answer for it"

    # The next run works by the edit, and locks it to what it made.
    for state in states.iterdir():
        state.unlink()
    again = repository.dvc("repro")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "Running stage 'train'" in again.stdout
    stage = read_yaml(lock)["stages"]["train"]
    assert {each["path"]: each["md5"] for each in stage["deps"]}["tiny.py"] == dvc_md5(repository.folder / "tiny.py")
    outs = {each["path"]: each["md5"] for each in stage["outs"]}
    assert outs["reports/train/metrics.json"] == dvc_md5(repository.folder / "reports/train/metrics.json")


def test_a_failed_run_leaves_the_lock_of_before(repository: TinyRepository) -> None:
    assert repository.dvc("repro").returncode == 0
    before = (repository.folder / "dvc.lock").read_bytes()
    set_params(repository.folder, {"train": {"epochs": 4}})
    states = repository.folder / ".samebits" / "tiny"
    process = start(repository, lambda: len(list(states.iterdir())) > 1)
    edit_code(repository)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0, said
    assert (repository.folder / "dvc.lock").read_bytes() == before


def test_dvc_alone_locks_code_to_outputs_that_it_did_not_make(repository: TinyRepository) -> None:
    """If this fails, DVC has fixed it, and the guard in `samebits.stage` may go."""
    script = repository.folder / "stages" / "train.py"
    script.write_text(UNGUARDED)
    process = start(repository, (repository.folder / "began").exists)
    script.write_text(UNGUARDED + "# edited\n")
    (repository.folder / "go").touch()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    deps = read_yaml(repository.folder / "dvc.lock")["stages"]["train"]["deps"]
    assert {each["path"]: each["md5"] for each in deps}["stages/train.py"] == dvc_md5(script)
    assert never_ran(repository.folder) == {"train": "its run had another stages/train.py"}, "the record knows"
