"""Real processes, a real SQLite store and a real `mlflow server` on loopback; what is killed is killed with SIGKILL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psutil
import pytest

from samebits.tracking.journal.record import read_records
from samebits.tracking.upload.sync import sync
from tests.helpers.amount import FULL
from tests.helpers.mlflow_site import PATIENCE_S, Server, Site, eventually, once, points_of, runs_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


# For the figures of docs/tracking.md: TEST_ROUNDS=10 TEST_SERVER_KILLS=20 python -m pytest -m slow THIS_FILE
ROUNDS = int(os.environ.get("TEST_ROUNDS", "1"))
SERVER_KILLS = int(os.environ.get("TEST_SERVER_KILLS", "5" if FULL else "2"))


def sender_of(site: Site) -> psutil.Process:
    """The sender's process, once it holds its record."""
    (record,) = read_records(site.project)

    def found() -> list[psutil.Process]:
        return [p for p in psutil.process_iter(["cmdline"]) if str(record.folder) in (p.info["cmdline"] or [])]

    eventually(lambda: bool(found()))
    return found()[0]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "project")
    yield made
    made.settle(delivered=False)


def local(site: Site) -> str:
    return f"sqlite:///{site.project.mlruns}/mlflow.db"


def test_four_stages_are_one_finished_run(site: Site) -> None:
    output = "".join(site.run(stage) for stage in ("prepare", "train", "evaluate", "export"))
    assert "warning" not in output
    site.settle()
    (run,) = runs_of(local(site))
    assert run.info.status == "FINISHED"
    expected = once("prepare", 20) | once("train", 20) | once("evaluate", 20) | once("export", 20)
    assert points_of(local(site), run) == expected
    assert set(run.data.metrics) >= {f"time/{stage}_s" for stage in ("prepare", "train", "evaluate", "export")}
    assert run.data.params == {"seed": "0"}
    assert run.data.tags["env.gpu.count"].isdigit()


def test_a_killed_stage_goes_on_in_its_run(site: Site) -> None:
    process = site.start("train", last=10_000, pause=0.002)
    eventually(lambda: bool(read_records(site.project)) and len(journal(site)) > 200)
    process.kill()
    process.communicate()
    reached = journal(site).count(b'"k":"metrics"')
    record = read_records(site.project)[0].folder
    eventually(lambda: (record / "mlflow.json").exists() and statuses(site) == ["KILLED"])
    site.run("train", first=max(0, reached - 50), last=reached + 50)
    site.settle()
    (run,) = runs_of(local(site))
    assert run.info.status == "FINISHED"
    assert points_of(local(site), run) == once("train", reached + 50)


def journal(site: Site) -> bytes:
    """The journal of the first stage."""
    return read_records(site.project)[0].segments()[0].path.read_bytes()


def statuses(site: Site) -> list[str]:
    return [run.info.status for run in runs_of(local(site))]


@pytest.mark.alone
def test_a_killed_sender_is_replaced_and_nothing_is_doubled(site: Site) -> None:
    process = site.start("train", last=3000, pause=0.005)
    eventually(lambda: bool(read_records(site.project)))
    for _ in range(3):
        sender = sender_of(site)
        time.sleep(2.0)
        sender.kill()
        eventually(lambda sender=sender: not sender.is_running() or sender.status() == psutil.STATUS_ZOMBIE)
        # Another stage of the same parameters would start one; here the sync command does.
        record = read_records(site.project)[0].folder
        subprocess.Popen(
            [sys.executable, "-m", "samebits.tracking.upload.sender", str(record), str(site.project.home)],
            cwd=site.project.home,
            env=site.environ,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    process.communicate(timeout=PATIENCE_S)
    site.settle()
    (run,) = runs_of(local(site))
    assert run.info.status == "FINISHED"
    assert points_of(local(site), run) == once("train", 3000)


@pytest.mark.alone
def test_a_sender_that_is_starved_is_replaced_by_one_that_is_not(site: Site) -> None:
    """Work at idle priority is given up at once: the process that replaces the sender does all of it."""
    process = site.start("train", last=300, pause=0.01)
    eventually(lambda: bool(read_records(site.project)))
    sender_of(site).kill()
    record = read_records(site.project)[0].folder
    lines = [
        "import sys, pathlib",
        "from samebits.tracking.upload import idle_priority, sender",
        "idle_priority.IdleWorker.__init__.__defaults__ = (0.0,)",
        "idle_priority._restore_priority = lambda thread: False",
        f"sender.main(pathlib.Path({str(record)!r}), pathlib.Path({str(site.project.home)!r}), idle=True)",
    ]
    starved = subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)], cwd=site.project.home, env=site.environ, stderr=subprocess.DEVNULL
    )
    eventually(lambda: psutil.Process(starved.pid).cmdline()[-1:] == ["--now"])
    process.communicate(timeout=PATIENCE_S)
    site.settle()
    assert starved.wait(PATIENCE_S) == 0
    (run,) = runs_of(local(site))
    assert run.info.status == "FINISHED"
    assert points_of(local(site), run) == once("train", 300)


def test_a_failed_stage_has_its_traceback(site: Site) -> None:
    site.run("train", end="FAILED")
    site.settle()
    (run,) = runs_of(local(site))
    assert run.info.status == "FAILED"
    assert run.data.tags["samebits.error"] == "train: Traceback: boom"
    found = site.project.mlruns / "artifacts" / run.info.run_id / "artifacts" / "errors" / "train.txt"
    assert found.read_text() == "Traceback: boom"


def test_a_moved_repository_keeps_its_artifacts(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    site.run("train")
    site.settle()
    shutil.move(site.project.home, tmp_path / "elsewhere")
    moved = Site(tmp_path / "elsewhere")
    (run,) = runs_of(local(moved))
    assert run.info.artifact_uri.startswith("mlruns/artifacts/")
    monkeypatch.chdir(moved.project.home)
    got = MlflowClient(local(moved)).download_artifacts(run.info.run_id, "params.yaml", str(tmp_path))
    assert Path(got).read_text() == "seed: 0\n"
    moved.run("evaluate")
    moved.settle()
    (run,) = runs_of(local(moved))
    assert points_of(local(moved), run) == once("train", 20) | once("evaluate", 20)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_eight_executions_at_once_on_a_store_that_does_not_exist(site: Site, number: int) -> None:
    processes = [site.start("train", seed=seed, last=200) for seed in range(8)]
    outputs = [process.communicate(timeout=PATIENCE_S)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes), outputs
    site.settle()
    runs = runs_of(local(site))
    assert [run.info.status for run in runs] == ["FINISHED"] * 8
    assert all(points_of(local(site), run) == once("train", 200) for run in runs)
    logs = [(record.folder / "sender.log").read_text() for record in read_records(site.project)]
    assert not any("Traceback" in log for log in logs), logs


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server")
    yield made
    made.kill()


def test_a_server_that_is_down_costs_one_warning_and_sync_sends(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samebits.tracking.upload.sender.GIVE_UP_S", 1.0)
    site = Site(tmp_path / "project", server.uri)
    output = site.run("train")
    assert output.count("warning") == 1
    assert f"{server.uri} cannot be reached" in output
    assert "samebits runs sync" in output
    site.settle(delivered=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    server.start()
    cwd = Path.cwd()
    try:
        report = sync(site.project)
    finally:
        os.chdir(cwd)
    assert (len(report.sent), report.waiting, report.problem) == (1, {}, "")
    (run,) = runs_of(server.uri)
    assert run.info.status == "FINISHED"
    assert points_of(server.uri, run) == once("train", 20)


def test_a_server_that_is_killed_again_and_again_has_each_point_once(tmp_path: Path, server: Server) -> None:
    server.start()
    site = Site(tmp_path / "project", server.uri)
    last = 600 * SERVER_KILLS
    process = site.start("train", last=last, pause=0.02)
    random = Random(0)
    kills = 0
    while kills < SERVER_KILLS and process.poll() is None:
        time.sleep(random.uniform(0.0, 1.0))
        server.kill()
        server.start()
        kills += 1
    print(f"{kills} kills under the training")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    site.settle()
    (run,) = runs_of(server.uri)
    assert run.info.status == "FINISHED"
    assert points_of(server.uri, run) == once("train", last)
