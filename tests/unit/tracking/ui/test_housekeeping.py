from __future__ import annotations

import contextlib
import json
import os
import shlex
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.tracking.journal.record import Execution, ProcessId
from samebits.tracking.tracking_uri import Target, check_scheme
from samebits.tracking.ui.heartbeat import BEAT_TAG, PROCESS_TAG, last_sign, process_of
from samebits.tracking.ui.housekeeping import _death, clean, journal_states, old_file_store, runs_status
from samebits.tracking.upload.sync import waiting_events

if TYPE_CHECKING:
    from .conftest import Recorded


def run_of(started_s: float, tags: dict[str, str] | None = None, points_s: tuple[float, ...] = ()) -> Any:
    metrics = [SimpleNamespace(timestamp=int(time_s * 1000)) for time_s in points_s]
    info = SimpleNamespace(start_time=int(started_s * 1000))
    return SimpleNamespace(info=info, data=SimpleNamespace(tags=tags or {}, _metric_objs=metrics))


def tagged(process: ProcessId) -> dict[str, str]:
    return {PROCESS_TAG: json.dumps(asdict(process))}


def test_a_dead_run_is_told_from_a_live_one(recorded: Recorded, dead: ProcessId) -> None:
    now, long_ago = time.time(), time.time() - 7200
    live, elsewhere = ProcessId.of(os.getpid()), ProcessId("another machine", 1, "x")
    assert _death(run_of(long_ago, tagged(live)), None, 1800) == ""
    assert "is dead" in _death(run_of(now, tagged(dead)), None, 1800)
    assert "no sign of life" in _death(run_of(long_ago, tagged(elsewhere)), None, 1800)
    beat = {BEAT_TAG: str(int(now))}
    assert _death(run_of(long_ago, tagged(elsewhere) | beat), None, 1800) == ""
    assert _death(run_of(long_ago, points_s=(long_ago, now - 60)), None, 1800) == ""
    assert "no sign of life for 120 minutes" in _death(run_of(long_ago), None, 1800)
    assert _death(run_of(now), recorded.record, 1800) == "its execution is dead"
    recorded.record.executions = [Execution(live)]
    assert _death(run_of(long_ago), recorded.record, 1800) == ""


def test_signs_of_life() -> None:
    assert last_sign(5000, {}, []) == 5.0
    assert last_sign(None, {BEAT_TAG: "7"}, [6000]) == 7.0
    assert last_sign(5000, {BEAT_TAG: "soon"}, [6000]) == 6.0
    assert process_of({PROCESS_TAG: "no JSON"}) is None
    assert process_of({PROCESS_TAG: '{"host": "a"}'}) is None


def test_the_journals_states(project: Project, recorded: Recorded) -> None:
    recorded.finished_stage("train", points=3)
    (state,) = journal_states(project)
    assert (state.state, state.waiting) == ("waiting", 6)
    sent = {"offsets": {"001-train": recorded.record.segments()[0].end()}, "problem": "", "tried": 1.0}
    (recorded.record.folder / "sent.json").write_text(json.dumps(sent))
    (state,) = journal_states(project)
    assert (state.state, state.waiting) == ("delivered", 0)
    assert "1 journals of 1 are delivered whole" in runs_status(project).text()
    (recorded.record.folder / "sent.json").write_text(json.dumps({"problem": "http://u:pw@h cannot be reached"}))
    told = runs_status(project).text()
    assert "6 events wait; samebits runs sync sends them" in told
    assert "(http://h cannot be reached)" in told
    recorded.record.executions = [Execution(ProcessId.of(os.getpid()))]
    recorded.record.save()
    assert journal_states(project)[0].state == "running"


def test_an_old_file_store_is_named_with_mlflows_own_command(project: Project) -> None:
    assert old_file_store(project) == ""
    (project.mlruns / "0").mkdir(parents=True)
    (project.mlruns / "0" / "meta.yaml").write_text("name: Default\n")
    assert f"mlflow migrate-filestore --source {project.mlruns}" in old_file_store(project)
    assert "mlflow migrate-filestore" in runs_status(project).text()


OLD_STORE = """
import sys, mlflow
client = mlflow.MlflowClient("file://" + sys.argv[1])
run = client.create_run(client.create_experiment("old"), run_name="a run of old")
client.log_metric(run.info.run_id, "loss", 0.5, step=3)
client.set_terminated(run.info.run_id)
"""


@pytest.mark.slow
def test_the_command_that_is_named_migrates_a_real_file_store(project: Project) -> None:
    environ = os.environ | {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    subprocess.run([sys.executable, "-c", OLD_STORE, str(project.mlruns)], env=environ, check=True, cwd=project.home)
    _, _, command = old_file_store(project).partition(": ")
    done = subprocess.run([sys.executable, "-m", *shlex.split(command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with contextlib.closing(sqlite3.connect(project.mlruns / "migrated.db")) as store:
        assert store.execute("SELECT name, status FROM runs").fetchall() == [("a run of old", "FINISHED")]
        assert store.execute("SELECT value, step FROM metrics").fetchall() == [(0.5, 3)]


@pytest.mark.parametrize("uri", ["mlruns", "/a/b", "C:\\runs", "file:///a"])
def test_a_file_store_as_target_is_refused_with_mlflows_own_command(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(UserError, match="file store") as caught:
        check_scheme(Target(uri, local=False))
    assert "mlflow migrate-filestore --source" in caught.value.fix
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    check_scheme(Target(uri, local=False))


@pytest.mark.slow
def test_clean_closes_the_dead_and_leaves_the_living(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from samebits.tracking.tracking_uri import pick_target
    from samebits.tracking.upload.mlflow_store import MlflowStore

    monkeypatch.chdir(project.home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert clean(project) == 0  # and no store is made
    assert not (project.mlruns / "mlflow.db").exists()
    store = MlflowStore(project, pick_target(project, {}))
    experiment = store.prepare("samebits")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        tags = {"dead": tagged(ProcessId.of(child.pid)), "live": tagged(ProcessId.of(os.getpid())), "fresh": {}}
        runs = {n: store.client.create_run(experiment, tags=t, run_name=n).info.run_id for n, t in tags.items()}
        said: list[str] = []
        assert clean(project, said.append) == 0
    finally:
        child.kill()
        child.wait()
    assert clean(project, said.append) == 1
    assert said[0].startswith("closed dead: its process")
    found = {name: store.client.get_run(run_id).info.status for name, run_id in runs.items()}
    assert found == {"dead": "KILLED", "live": "RUNNING", "fresh": "RUNNING"}
    assert Path.cwd() == project.home


def test_what_is_worth_no_run_does_not_wait(project: Project, recorded: Recorded) -> None:
    recorded.finished_stage("prepare")
    (state,) = journal_states(project)
    assert (state.state, state.waiting) == ("delivered", 0)
    assert "wait" not in runs_status(project).text()
    assert waiting_events(project) == 0
    recorded.finished_stage("train")
    assert journal_states(project)[0].state == "waiting"
