from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time

import pytest

from samebits.base.paths import Project
from samebits.pipeline.context import STAGES
from samebits.pipeline.fingerprint import Fingerprint
from samebits.tracking.journal import record
from samebits.tracking.journal.record import (
    Execution,
    Opened,
    ProcessId,
    current_execution,
    dvc_call,
    open_record,
    read_records,
)


def open_as(project: Project, monkeypatch: pytest.MonkeyPatch, anchor: ProcessId, stage: str, **more: str) -> Opened:
    """Open a stage's record in an execution that is anchored at a given process."""
    current = Execution(anchor, more.pop("exp", ""), more.pop("command", ""))
    monkeypatch.setattr(record, "current_execution", lambda: current)
    known = Fingerprint(more.pop("inputs", "a"), dict.fromkeys(STAGES, more.pop("code", "1")))
    fields = {"name": "mnist", "experiment": "samebits", "data_digest": ""} | more
    return open_record(project, stage=stage, fingerprint=known, **fields)


def die(opened: Opened) -> None:
    """Make the stage that opened a record look dead."""
    opened.record.processes = []
    opened.record.save()
    opened.journal.close()


def finish(opened: Opened, stage: str, status: str = "FINISHED") -> None:
    opened.journal.append("end", stage=stage, status=status)
    die(opened)


@pytest.mark.parametrize(
    ("command", "call"),
    [
        (["/usr/bin/python3", "/home/a/.venv/bin/dvc", "repro"], "dvc repro"),
        (["/usr/bin/python3", "-m", "dvc", "exp", "run"], "dvc exp run"),
        (["C:\\x\\dvc.exe", "repro"], "dvc repro" if os.name == "nt" else None),
        (["/opt/dvc/dvc", "repro", "-f"], "dvc repro -f"),
        (["python3.11", "-X", "utf8", "/x/dvc", "repro"], None),
        (["/bin/sh", "-c", "dvc repro"], None),
        (["vim", "dvc"], None),
        (["python", "stages/train.py", "dvc"], None),
        ([], None),
    ],
)
def test_dvc_is_told_by_its_command_line(command: list[str], call: str | None) -> None:
    assert dvc_call(command) == call


def test_a_process_is_alive_until_it_is_reaped_or_a_zombie() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = ProcessId.of(child.pid)
    assert process.alive()
    assert not ProcessId(process.host, process.pid, "another start").alive()
    assert not ProcessId("another host", process.pid, process.born).alive()
    child.kill()
    deadline = time.monotonic() + 10
    while process.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process.alive()  # a zombie: nobody has waited for it yet
    child.wait()
    assert not process.alive()


def test_without_dvc_above_a_stage_is_its_own_execution() -> None:
    assert current_execution({"DVC_EXP_NAME": "brave-fox"}).experiment == "brave-fox"


def test_stages_of_one_execution_share_a_record(
    project: Project, monkeypatch: pytest.MonkeyPatch, dead: ProcessId
) -> None:
    first = open_as(project, monkeypatch, dead, "prepare")
    finish(first, "prepare")
    second = open_as(project, monkeypatch, dead, "train", data_digest="d")
    assert (first.first, second.first) == (True, False)
    assert second.record.folder == first.record.folder
    assert second.record.data_digest == "d"
    assert second.journal.path.name == "002-train.jsonl"


def test_an_interrupted_execution_is_continued(
    project: Project, monkeypatch: pytest.MonkeyPatch, dead: ProcessId
) -> None:
    first = open_as(project, monkeypatch, dead, "train")
    first.journal.append("start", t=1000)
    first.journal.append("metrics", t=3500)
    die(first)
    again = open_as(project, monkeypatch, ProcessId(dead.host, dead.pid, "later"), "train", exp="brave-fox")
    assert again.continued
    assert again.record.folder == first.record.folder
    assert again.record.name == "brave-fox"
    assert again.earlier_s == 2.5


def test_a_stage_that_finished_begins_a_new_record(
    project: Project, monkeypatch: pytest.MonkeyPatch, dead: ProcessId
) -> None:
    first = open_as(project, monkeypatch, dead, "train")
    finish(first, "train")
    later = ProcessId(dead.host, dead.pid, "later")
    evaluated = open_as(project, monkeypatch, later, "evaluate")
    assert evaluated.continued  # the rest of the same pipeline
    die(evaluated)
    repeated = open_as(project, monkeypatch, ProcessId(dead.host, dead.pid, "latest"), "train")
    assert not repeated.continued
    assert repeated.record.folder != first.record.folder
    assert next(record.key for record in read_records(project)) == repeated.record.key


def test_a_stage_whose_outputs_dvc_did_not_take_continues_its_record(
    project: Project, monkeypatch: pytest.MonkeyPatch, dead: ProcessId
) -> None:
    first = open_as(project, monkeypatch, dead, "train", command="dvc repro")
    finish(first, "train")
    again = open_as(project, monkeypatch, ProcessId(dead.host, dead.pid, "later"), "train", command="dvc repro")
    assert again.continued
    assert again.record.folder == first.record.folder


@pytest.mark.parametrize(("key", "value"), [("inputs", "b"), ("code", "2"), ("data_digest", "other")])
def test_other_parameters_code_or_data_begin_a_new_record(
    project: Project, monkeypatch: pytest.MonkeyPatch, dead: ProcessId, key: str, value: str
) -> None:
    first = open_as(project, monkeypatch, dead, "train", data_digest="d")
    die(first)
    fields = {"data_digest": "d"} | {key: value}
    again = open_as(project, monkeypatch, ProcessId(dead.host, dead.pid, "later"), "train", **fields)
    assert not again.continued


def test_a_stage_that_outlived_its_dvc_is_waited_for_and_its_run_continued(
    project: Project, monkeypatch: pytest.MonkeyPatch, dead: ProcessId
) -> None:
    first = open_as(project, monkeypatch, dead, "train")
    orphan = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    first.record.processes = [ProcessId.of(orphan.pid)]
    first.record.save()
    first.journal.close()

    def end() -> None:
        assert orphan.stdin is not None
        orphan.stdin.close()
        orphan.wait()

    ending = threading.Timer(0.5, end)
    ending.start()
    again = open_as(project, monkeypatch, ProcessId(dead.host, dead.pid, "later"), "train")
    ending.join()
    assert again.continued
    assert again.record.folder == first.record.folder


def test_an_orphan_that_does_not_end_keeps_its_run(
    project: Project, monkeypatch: pytest.MonkeyPatch, dead: ProcessId
) -> None:
    monkeypatch.setattr(record, "ORPHAN_SECONDS", 0.2)
    first = open_as(project, monkeypatch, dead, "train")
    first.record.processes = [ProcessId.of(os.getppid())]
    first.record.save()
    again = open_as(project, monkeypatch, ProcessId(dead.host, dead.pid, "later"), "train")
    assert not again.continued
    assert again.record.folder != first.record.folder


def test_a_living_execution_is_not_taken_over(
    project: Project, monkeypatch: pytest.MonkeyPatch, dead: ProcessId
) -> None:
    here = ProcessId.of(os.getpid())
    first = open_as(project, monkeypatch, here, "train")
    second = open_as(project, monkeypatch, dead, "train")
    assert second.record.folder != first.record.folder


def test_a_record_of_another_machine_is_alive_while_it_writes(
    project: Project, monkeypatch: pytest.MonkeyPatch, dead: ProcessId
) -> None:
    first = open_as(project, monkeypatch, ProcessId("another", 1, "x"), "train")
    die(first)
    assert first.record.alive()
    old = time.time() - 1000
    os.utime(first.journal.path, (old, old))
    assert not first.record.alive()


def test_a_job_of_a_queue_goes_on_with_the_run_of_its_attempt_on_another_machine(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and with no other one's."""
    there, here = ProcessId("node-1", 7, "then"), ProcessId.of(os.getpid())
    first = open_as(project, monkeypatch, there, "train", exp="base")
    first.journal.append("start", stage="train")
    die(first)
    assert first.record.alive()
    monkeypatch.setenv(record.ONLY_VARIABLE, "1")
    other = open_as(project, monkeypatch, ProcessId("node-2", 8, "then"), "train", exp="wide")
    assert not other.continued
    again = open_as(project, monkeypatch, here, "train", exp="base")
    assert again.continued
    assert again.record.key == first.record.key


def test_an_unreadable_record_is_left_alone(project: Project) -> None:
    folder = record.runs_folder(project) / "broken"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{")
    assert read_records(project) == []


def test_the_host_is_part_of_a_process() -> None:
    assert ProcessId.of(os.getpid()).host == platform.node()
