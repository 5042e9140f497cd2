"""Two branches whose lines of dvc.lock git would join to a run that nobody made, with real git and real DVC."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from samebits.pipeline.dvc_lock import never_ran
from tests.helpers.shared import shared
from tests.helpers.tiny import TinyRepository, make_tiny
from tests.helpers.workspace import set_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def branches(tmp_path_factory: pytest.TempPathFactory) -> TinyRepository:
    """`code` edits the code, which makes the same outputs; `params`, checked out, has another learning rate."""

    def make(folder: Path) -> None:
        repository = make_tiny(folder, tracking=False)
        run(repository, "base")
        repository.git("checkout", "-q", "-b", "code")
        with (repository.folder / "tiny.py").open("a") as file:
            file.write("# a note\n")
        run(repository, "code")
        repository.git("checkout", "-q", "-b", "params", "main")
        set_params(repository.folder, {"train": {"optimizer": {"lr": 0.02}}})
        run(repository, "params")

    return TinyRepository(shared(tmp_path_factory, "branches", make))


def run(repository: TinyRepository, message: str) -> str:
    done = repository.dvc("repro")
    assert done.returncode == 0, done.stdout + done.stderr
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", message)
    return done.stdout


@pytest.fixture
def repository(branches: TinyRepository, tmp_path: Path) -> TinyRepository:
    shutil.copytree(branches.folder, tmp_path / "project", symlinks=True)
    return TinyRepository(tmp_path / "project")


def samebits(repository: TinyRepository, *arguments: str) -> tuple[int, str]:
    done = repository.run(sys.executable, "-m", "samebits.cli.main", *arguments)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("command", ["merge code", "rebase code", "cherry-pick code"])
def test_git_reports_a_conflict(command: str, repository: TinyRepository) -> None:
    done = repository.run("git", *command.split())
    assert done.returncode != 0
    assert {"UU dvc.lock", "UU reports/provenance/train.json"} <= set(repository.git("status", "--short").splitlines())
    head = repository.git("show", "HEAD:dvc.lock")
    assert (repository.folder / "dvc.lock").read_text() == head, "no line of the other branch is in it"


@pytest.mark.parametrize("side", ["HEAD", "MERGE_HEAD"])
def test_the_steps_of_the_docs_end_a_conflict(side: str, repository: TinyRepository) -> None:
    repository.run("git", "merge", "code")
    for line in (f"git checkout {side} -- dvc.lock reports", "dvc checkout", "dvc repro"):
        done = repository.run(*shlex.split(line))
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Running stage 'train'" in done.stdout
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "merged")
    assert never_ran(repository.folder) == {}


def join_lines(repository: TinyRepository, command: str) -> None:
    """What git does without the project's .gitattributes."""
    (repository.folder / ".git" / "info" / "attributes").write_text("dvc.lock merge\nreports/** merge\n")
    done = repository.run("git", *command.split())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    ["merge -q -X ours code", "merge -q -X theirs code", "cherry-pick -X ours code", "rebase -q -X ours code"],
)
def test_a_pair_that_never_ran_is_seen(command: str, repository: TinyRepository) -> None:
    join_lines(repository, command)
    assert list(never_ran(repository.folder)) == ["train"]


def test_every_command_names_the_pair_and_its_fix_fixes_it(repository: TinyRepository, tmp_path: Path) -> None:
    join_lines(repository, "merge -q -X ours code")
    (tmp_path / "store").mkdir()
    repository.dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    run(repository, "the merge's own record, which DVC takes from its cache")
    assert "up to date" in repository.dvc("status").stdout
    assert never_ran(repository.folder) == {"train": "its run had another tiny.py"}
    code, said = samebits(repository, "verify")
    assert code == 0, "the edit changes no bit, which nobody knew before"
    assert "pairs what never ran together: train: its run had another tiny.py" in said
    code, said = samebits(repository, "share")
    assert code == 2
    assert "train: its run had another tiny.py" in said
    code, said = samebits(repository, "doctor")
    assert code == 1
    assert "error    lock       dvc.lock pairs code and results that never ran together" in said
    fix = "dvc repro --force --single-item train"
    assert fix in said
    done = repository.run(*fix.split())
    assert "Running stage 'train'" in done.stdout
    run(repository, "fixed")
    assert never_ran(repository.folder) == {}
    code, said = samebits(repository, "share")
    assert code == 0, said


def test_what_the_run_cache_restores_is_a_pair_that_ran(repository: TinyRepository) -> None:
    set_params(repository.folder, {"train": {"optimizer": {"lr": 0.25}}})
    assert "is cached - skipping run" in run(repository, "back")
    assert never_ran(repository.folder) == {}


def test_an_experiment_is_applied_whole(repository: TinyRepository) -> None:
    done = repository.dvc("exp", "run", "-n", "tried", "-S", "train.optimizer.lr=0.05")
    assert done.returncode == 0, done.stderr
    repository.git("checkout", "-q", "-f", "code")
    done = repository.dvc("exp", "apply", "tried")
    assert done.returncode == 0, done.stderr
    assert never_ran(repository.folder) == {}
    repository.git("checkout", "-q", "code", "tiny.py")
    assert "changed deps" in repository.dvc("status").stdout, "DVC sees the other code by itself"


def test_dvc_commit_makes_a_pair_that_never_ran(repository: TinyRepository) -> None:
    with (repository.folder / "tiny.py").open("a") as file:
        file.write("# another note\n")
    assert repository.dvc("commit", "--force").returncode == 0
    assert never_ran(repository.folder) == {"train": "its run had another tiny.py"}


def test_a_failed_run_is_not_shared(repository: TinyRepository) -> None:
    set_params(repository.folder, {"train": {"optimizer": {"lr": 11.0}}})
    assert repository.dvc("repro").returncode != 0
    code, said = samebits(repository, "share")
    assert code == 2
    assert "which a stage that did not finish was to write" in said
