"""Training on several hosts: the bytes of one process, whoever joins, is slow, is cut off or dies."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from samebits.pipeline.dvc_hashes import dvc_md5
from tests.helpers.amount import FULL
from tests.helpers.disk import Disk
from tests.helpers.namespaces import Hosts, require_namespaces
from tests.helpers.shared import shared
from tests.helpers.workspace import make_workspace, outputs, run_stage, set_params, stage_environment

pytestmark = pytest.mark.slow

_RUNS = """
from pathlib import Path
from samebits.base.paths import Project
from samebits.tracking.upload.sync import sync
import mlflow
assert not sync(Project(Path.cwd(), Path.cwd())).problem
client = mlflow.MlflowClient("sqlite:///mlruns/mlflow.db")
runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
print([run.info.status for run in runs])
"""

ENDS = 30.0
"""Seconds within which every process ends, once one is lost."""


def clone(folder: Path, prepared: Path, epochs: int) -> Path:
    """A host's own copy of everything: 4 micro-batches per batch."""
    workspace = make_workspace(folder, prepared)
    settings = {"elastic": True, "micro_batch_size": 16, "epochs": epochs}
    set_params(workspace, {"train": settings, "model": {"dropout": 0.2}, "runtime": {"checkpoint_seconds": 0.05}})
    return workspace


@pytest.fixture(scope="module")
def one_process(few_mnist: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, str]]:
    """What one process writes, by the number of epochs."""

    def train(folder: Path) -> None:
        for epochs in (2, 12):
            done = run_stage(clone(folder / str(epochs), few_mnist, epochs), "train")
            assert done.returncode == 0, done.stdout + done.stderr

    folder = shared(tmp_path_factory, "one-host", train)
    return {epochs: outputs(folder / str(epochs)) for epochs in (2, 12)}


LOSS = "src/samebits/tasks/classification.py"


def write_below(workspace: Path, line: str) -> None:
    """Add a line to the code of the loss."""
    with (workspace / LOSS).open("a") as file:
        file.write(f"\n{line}\n")


class Attempt:
    """One start of a training on several hosts; `said` holds what each has printed."""

    def __init__(self, hosts: Hosts, folders: Sequence[Path], commands: Sequence[Sequence[str]]) -> None:
        self.logs = [folder / "said.txt" for folder in folders]
        self.processes: list[subprocess.Popen[str]] = []
        for index, (folder, command) in enumerate(zip(folders, commands, strict=True)):
            with self.logs[index].open("w") as log:
                self.processes.append(hosts.start(index, command, folder, stage_environment(), log))
        self.states = folders[0] / ".samebits" / "resume"

    @property
    def said(self) -> list[str]:
        return [log.read_text() for log in self.logs]

    def await_state(self, since: frozenset[str] = frozenset()) -> None:
        """Wait until the first host has saved another state."""
        while not set(self.saved()) - since:
            assert self.processes[0].poll() is None, self.said
            time.sleep(0.02)

    def saved(self) -> frozenset[str]:
        return frozenset(each.parent.name for each in self.states.glob("*/*[0-9]/complete.json"))

    def codes(self, seconds: float = 400) -> list[int]:
        """Exit codes; `seconds` are for all together."""
        until = time.monotonic() + seconds
        return [process.wait(max(0.1, until - time.monotonic())) for process in self.processes]


def torchrun(processes: Sequence[int]) -> list[list[str]]:
    """So many processes on each host."""
    run = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(len(processes))]
    at = ["--master-addr", "10.77.0.1", "--master-port", "29500"]
    return [
        [*run, "--nproc-per-node", str(count), "--node-rank", str(rank), *at, "stages/train.py"]
        for rank, count in enumerate(processes)
    ]


def desk(count: int) -> list[list[str]]:
    """The first trains, the others join."""
    join = [sys.executable, "-m", "samebits.cli.main", "worker", "--join", "10.77.0.1"]
    return [[sys.executable, "stages/train.py"], *([join] * (count - 1))]


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    require_namespaces()
    made = Hosts(3)
    yield made
    made.close()


@pytest.fixture
def disk() -> Iterator[Disk]:
    found = Disk.mount(64)
    if found is None:
        pytest.skip("no small disk can be mounted here")
    yield found
    found.unmount()


@pytest.fixture
def folders(few_mnist: Path, tmp_path: Path) -> list[Path]:
    """Two hosts' clones, for a training that takes a while."""
    found = [clone(tmp_path / name, few_mnist, 12) for name in ("a", "b")]
    set_params(found[0], {"runtime": {"hosts": 2}})
    return found


def test_torchrun_on_two_hosts_gives_the_bytes_of_one_process(
    one_process: dict[int, dict[str, str]], hosts: Hosts, few_mnist: Path, tmp_path: Path
) -> None:
    """Three processes, which is no number that divides the micro-batches."""
    folders = [clone(tmp_path / name, few_mnist, 2) for name in "ab"]
    attempt = Attempt(hosts, folders, torchrun([2, 1]))
    assert attempt.codes() == [0, 0], attempt.said
    assert outputs(folders[0]) == one_process[2]


def test_a_host_without_data_gets_them_from_the_first(
    one_process: dict[int, dict[str, str]], hosts: Hosts, few_mnist: Path, tmp_path: Path, disk: Disk
) -> None:
    """Its disk is full at first; the link is a slow one, too, but not so that it would take minutes."""
    folders = [clone(tmp_path / name, few_mnist, 2) for name in "ab"]
    set_params(folders[0], {"runtime": {"hosts": 2}})
    prepared = folders[1] / "data" / "prepared"
    shutil.rmtree(prepared)
    (disk.folder / "prepared").mkdir()
    prepared.symlink_to(disk.folder / "prepared")
    disk.fill()
    attempt = Attempt(hosts, folders, desk(2))
    assert attempt.codes() == [2, 2], attempt.said
    for said in attempt.said:
        assert said.count("error: process 1 of 2 on host desk-b: no space left on the disk of") == 1
        assert "Traceback" not in said
    disk.make_room()
    hosts.slow(1, 0.01, 0.0)
    again = Attempt(hosts, folders, desk(2))
    assert again.codes() == [0, 0], again.said
    assert "MiB) to host desk-b" in again.said[0]
    assert "train: the first machine sends" in again.said[1]
    assert outputs(folders[0]) == one_process[2]
    assert dvc_md5(prepared) == dvc_md5(few_mnist)


def test_a_host_that_is_killed_ends_the_training_and_the_next_attempt_goes_on(
    one_process: dict[int, dict[str, str]], hosts: Hosts, folders: list[Path]
) -> None:
    """The state lies on the first host's disk alone. A comment in the other one's code changes nothing."""
    write_below(folders[1], "# a comment")
    attempt = Attempt(hosts, folders, desk(2))
    attempt.await_state()
    hosts.kill(1)
    assert attempt.codes(ENDS)[0] == 2
    assert "process 1 of 2 on host desk-b is lost" in attempt.said[0]
    assert "Traceback" not in attempt.said[0]
    again = Attempt(hosts, folders, desk(2))
    assert again.codes() == [0, 0], again.said
    assert "resuming at step" in again.said[0]
    assert "joined: desk-b" in again.said[0]
    assert not list(folders[1].glob(".samebits/resume/*/*"))
    assert outputs(folders[0]) == one_process[12]


def test_a_host_that_is_cut_off_ends_the_training_on_both_sides(hosts: Hosts, folders: list[Path]) -> None:
    attempt = Attempt(hosts, folders, desk(2))
    attempt.await_state()
    hosts.cut(1)
    assert attempt.codes(ENDS) == [2, 2]
    first, other = attempt.said
    assert "process 1 of 2 on host desk-b is lost: nothing was heard for" in first
    assert "process 0 of 2 on host desk-a is lost: it has not answered for" in other
    assert attempt.saved()


def test_a_host_with_other_code_is_refused_on_both(hosts: Hosts, folders: list[Path]) -> None:
    write_below(folders[1], "SCALE = 2")
    attempt = Attempt(hosts, folders, desk(2))
    assert attempt.codes() == [2, 2], attempt.said
    for said in attempt.said:
        assert said.count("error: process 1 of 2 on host desk-b would compute other bits than process 0: code of") == 1
        assert f"code of {LOSS} is" in said
        assert "git pull" in said
    assert not attempt.saved()


def test_a_full_disk_of_the_first_host_ends_all(hosts: Hosts, folders: list[Path], disk: Disk) -> None:
    (folders[0] / ".samebits").symlink_to(disk.folder)
    attempt = Attempt(hosts, folders, desk(2))
    attempt.await_state()
    disk.fill()
    assert attempt.codes(ENDS) == [2, 2], attempt.said
    for said in attempt.said:
        assert said.count("error: process 0 of 2 on host desk-a: the disk is full") == 1
    assert attempt.saved()


@pytest.mark.skipif(not FULL, reason="a round trip of 0.4 s takes minutes: make test-full")
def test_a_slow_link_is_not_taken_for_a_lost_host(
    one_process: dict[int, dict[str, str]], hosts: Hosts, few_mnist: Path, tmp_path: Path
) -> None:
    """200 ms each way, 5 % of the frames lost."""
    folders = [clone(tmp_path / name, few_mnist, 2) for name in "ab"]
    set_params(folders[0], {"runtime": {"hosts": 2}})
    hosts.slow(1, 0.2, 0.05)
    attempt = Attempt(hosts, folders, desk(2))
    assert attempt.codes() == [0, 0], attempt.said
    assert outputs(folders[0]) == one_process[2]


@pytest.mark.timeout(3600)
@pytest.mark.skipif(not FULL, reason="20 kills of three hosts take half an hour: make test-full")
def test_the_bytes_survive_random_kills(hosts: Hosts, few_mnist: Path, tmp_path: Path) -> None:
    """In one MLflow run."""
    epochs, kills = 100, 20
    straight = clone(tmp_path / "straight", few_mnist, epochs)
    assert run_stage(straight, "train").returncode == 0
    folders = [clone(tmp_path / name, few_mnist, epochs) for name in "abc"]
    set_params(folders[0], {"runtime": {"hosts": 3, "tracking": {"enabled": True}}})
    draw, killed = random.Random(5), []
    for _ in range(kills):
        attempt = Attempt(hosts, folders, desk(3))
        attempt.await_state(attempt.saved())
        time.sleep(draw.uniform(0.0, 0.3))
        killed.append(draw.randrange(3))
        hosts.kill(killed[-1])
        codes = attempt.codes(ENDS)
        assert [code for index, code in enumerate(codes) if index != killed[-1]] == [2, 2], attempt.said
        print(f"killed {killed}, after the states {sorted(attempt.saved())}", flush=True)
    last = Attempt(hosts, folders, desk(3))
    assert last.codes() == [0, 0, 0], last.said
    assert outputs(folders[0]) == outputs(straight)
    asked = subprocess.run(
        [sys.executable, "-c", _RUNS],
        cwd=folders[0],
        env=stage_environment(PYTHONPATH="src"),
        capture_output=True,
        text=True,
    )
    assert asked.stdout.splitlines()[-1] == "['FINISHED']", asked.stdout + asked.stderr
