from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import samebits
from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.params.runtime import RuntimeParams, TrackingParams
from samebits.tracking.journal import spawn
from samebits.tracking.journal.journal import Event
from samebits.tracking.journal.record import read_records
from samebits.tracking.journal.run_state import should_create_run
from samebits.tracking.journal.tracker import NullTracker, Tracker, open_tracker

PARAMS = {"data": {"source": "mnist"}, "model": {"name": "convnet", "width": 8}, "train": {"lr": 0.1}, "seed": 0}


@pytest.fixture(autouse=True)
def no_sender(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No process is started, and nobody waits for one."""
    monkeypatch.setattr(spawn, "ensure_sender", lambda project, record: False)
    monkeypatch.setattr(spawn, "await_delivery", lambda *arguments: "")
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    return iter([None])


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def tracker(project: Project, said: list[str]) -> Tracker:
    project.params_file.write_text("seed: 0\n")
    return open_tracker(project, RuntimeParams(), stage="train", params=PARAMS, say=said.append)


def events(project: Project, kind: str) -> list[Event]:
    (record,) = read_records(project)
    return [event for segment in record.segments() for event in segment.events() if event["k"] == kind]


def tags(project: Project) -> dict[str, str]:
    return {name: value for event in events(project, "tags") for name, value in event["v"].items()}


def test_the_beginning_has_parameters_code_and_a_name(project: Project, tracker: Tracker) -> None:
    (params,) = events(project, "params")
    assert params["v"] == {
        "data.source": "mnist",
        "model.name": "convnet",
        "model.width": "8",
        "train.lr": "0.1",
        "seed": "0",
    }
    (start,) = events(project, "start")
    assert start["name"].startswith("mnist-convnet-")
    assert start["process"]["pid"] == os.getpid()
    (artifact,) = events(project, "artifact")
    assert (read_records(project)[0].folder / artifact["file"]).read_text() == "seed: 0\n"
    assert tags(project)["git.commit"] == "none"


def test_points_are_in_the_journal_after_a_flush(project: Project, tracker: Tracker) -> None:
    tracker.metrics({"train/loss": 0.5}, step=7)
    tracker.flush()
    assert [(event["step"], event["v"]) for event in events(project, "metrics")] == [(7, {"train/loss": 0.5})]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_named_in_a_tag(project: Project, tracker: Tracker, value: float) -> None:
    tracker.metrics({"train/loss": value, "train/lr": 0.1}, step=3)
    tracker.summary({"test/loss": value})
    assert events(project, "metrics")[0]["v"] == {"train/lr": 0.1}
    assert tags(project)["not_finite.train/loss"] == f"{value} at step 3"
    assert tags(project)["not_finite.test/loss"] == str(value)


def test_points_are_held_back_for_half_a_second_and_keep_their_order(
    project: Project, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000_000_000
    monkeypatch.setattr("samebits.tracking.journal.journal_tracker.time.time_ns", lambda: now)
    tracker.metrics({"loss": 1.0}, step=0)
    now += 400_000_000
    tracker.metrics({"loss": 0.5}, step=1)
    assert events(project, "metrics") == []
    now += 101_000_000
    tracker.metrics({"loss": 0.25}, step=2)
    assert [(event["step"], event["t"]) for event in events(project, "metrics")] == [
        (0, 1_000_000),
        (1, 1_000_400),
        (2, 1_000_501),
    ]
    tracker.metrics({"loss": 0.1}, step=3)
    tracker.tags({"a": "b"})
    (record,) = read_records(project)
    assert [event["k"] for event in record.segments()[0].events()][-2:] == ["metrics", "tags"]


def test_what_cannot_be_a_number_is_a_warning(project: Project, tracker: Tracker, said: list[str]) -> None:
    tracker.metrics({"loss": None}, 0)  # type: ignore[dict-item]
    tracker.summary({"loss": "x"})  # type: ignore[dict-item]
    tracker.metrics({"loss": 1.0}, 1)
    tracker.close("FINISHED")
    assert len(said) == 2
    assert [event["step"] for event in events(project, "metrics")] == [1]


def test_the_end_has_status_seconds_and_error(project: Project, tracker: Tracker) -> None:
    tracker.close("FINISHED")
    (end,) = events(project, "end")
    assert end["status"] == "FINISHED"
    (summary,) = events(project, "summary")
    assert list(summary["v"]) == ["time/train_s"]


def test_a_failure_attaches_its_traceback(project: Project, tracker: Tracker) -> None:
    tracker.close("FAILED", "Traceback: boom")
    assert events(project, "end")[0]["error"] == "Traceback: boom"
    artifact = events(project, "artifact")[-1]
    assert artifact["folder"] == "errors"
    assert (read_records(project)[0].folder / artifact["file"]).read_text() == "Traceback: boom"
    assert events(project, "summary") == []


def test_a_refused_value_leaves_no_run(project: Project, tracker: Tracker) -> None:
    tracker.close("FAILED", "train.optimizer.lr is wrong", refused=True)
    assert not should_create_run(read_records(project)[0].folder)


def test_what_fails_while_it_computes_is_a_run(project: Project, tracker: Tracker) -> None:
    tracker.metrics({"loss": 1.0}, 0)
    tracker.close("FAILED", "the loss is NaN", refused=True)
    assert should_create_run(read_records(project)[0].folder)


@pytest.mark.parametrize(("stage", "name"), [("train", "env.torch.threads"), ("export", "env.torch.threads.export")])
def test_the_facts_of_torch_are_those_of_the_computation(project: Project, stage: str, name: str) -> None:
    project.params_file.touch()
    tracker = open_tracker(project, RuntimeParams(), stage=stage, params=PARAMS)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    tracker.computes()
    torch.set_num_threads(before)
    tracker.close("FINISHED")
    found = {key: value for key, value in tags(project).items() if key.startswith("env.torch.threads")}
    assert found == {name: str(before + 1)}


def test_own_data_give_the_run_the_name_of_their_file(project: Project) -> None:
    project.params_file.touch()
    params = PARAMS | {"data": {"source": "data/raw/concrete.csv"}}
    open_tracker(project, RuntimeParams(), stage="train", params=params)
    assert read_records(project)[0].name.startswith("concrete-convnet-")


def test_an_artifact_is_copied_at_once(project: Project, tracker: Tracker, tmp_path: Path) -> None:
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"png")
    tracker.artifact(figure, "figures")
    figure.unlink()
    artifact = events(project, "artifact")[-1]
    assert artifact["folder"] == "figures"
    assert (read_records(project)[0].folder / artifact["file"]).read_bytes() == b"png"


def test_a_folder_of_artifacts_keeps_its_shape(project: Project, tracker: Tracker, tmp_path: Path) -> None:
    (tmp_path / "reports" / "inner").mkdir(parents=True)
    (tmp_path / "reports" / "a.txt").write_text("a")
    (tmp_path / "reports" / "inner" / "b.txt").write_text("b")
    tracker.artifact(tmp_path / "reports", "evaluation")
    found = {(Path(e["file"]).name, e["folder"]) for e in events(project, "artifact")}
    assert found >= {("a.txt", "evaluation"), ("b.txt", "evaluation/inner")}


def test_a_large_artifact_is_only_named(
    project: Project, tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samebits.tracking.journal.journal_tracker._ARTIFACT_LIMIT", 10)
    (tmp_path / "big.bin").write_bytes(b"x" * 11)
    tracker.artifact(tmp_path / "big.bin")
    assert "over the limit" in tags(project)["not_uploaded.big.bin"]


def test_a_missing_artifact_is_a_warning_and_the_rest_is_recorded(
    project: Project, tracker: Tracker, said: list[str]
) -> None:
    tracker.artifact(project.workspace / "nowhere.png")
    tracker.metrics({"loss": 1.0}, 0)
    tracker.flush()
    assert len(said) == 1
    assert "nowhere.png is not recorded" in said[0]
    assert len(events(project, "metrics")) == 1


def test_a_full_disk_is_one_warning_and_stops_nothing(
    project: Project, tracker: Tracker, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for step in range(5):
        tracker.metrics({"loss": 1.0}, step)
    tracker.flush()
    tracker.close("FINISHED")
    assert len(said) == 1
    assert "No space left on device" in said[0]


def test_a_folder_that_cannot_be_made_costs_the_record_only(project: Project, said: list[str]) -> None:
    project.state.write_text("a file where the folder should be")
    tracker = open_tracker(project, RuntimeParams(), stage="train", params=PARAMS, say=said.append)
    tracker.metrics({"loss": 1.0}, 0)
    tracker.close("FINISHED")
    assert len(said) == 1
    assert "not recorded" in said[0]


def test_a_skipped_training_is_replayed(project: Project, said: list[str]) -> None:
    reports = project.reports / "train"
    reports.mkdir(parents=True)
    project.params_file.touch()
    (reports / "curves.csv").write_text("step,epoch,train/loss,val/loss\n10,0,0.5,\n20,1,0.25,0.3\n")
    (reports / "metrics.json").write_text(json.dumps({"val": {"loss": 0.3}, "note": "x"}))
    open_tracker(project, RuntimeParams(), stage="evaluate", params=PARAMS, say=said.append)
    points = [(event["step"], event["v"]) for event in events(project, "metrics")]
    assert points == [(10, {"train/loss": 0.5}), (20, {"train/loss": 0.25, "val/loss": 0.3})]
    assert events(project, "summary")[0]["v"] == {"val/loss": 0.3}
    assert tags(project)["samebits.replayed.train"]
    assert said == []


def test_switched_off_it_writes_nothing(project: Project) -> None:
    runtime = RuntimeParams(tracking=TrackingParams(enabled=False))
    tracker = open_tracker(project, runtime, stage="train", params=PARAMS)
    assert isinstance(tracker, NullTracker)
    tracker.metrics({"loss": 1.0}, 0)
    tracker.close("FINISHED")
    assert not project.state.exists()


def test_required_tracking_fails_before_anything_else(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:hidden@127.0.0.1:9")
    runtime = RuntimeParams(tracking=TrackingParams(required=True))
    with pytest.raises(UserError, match="cannot be reached") as raised:
        open_tracker(project, runtime, stage="train", params=PARAMS)
    assert "hidden" not in str(raised.value)


def test_a_stage_imports_neither_mlflow_nor_torch_to_record() -> None:
    code = (
        "import sys, samebits.tracking.journal.tracker; "
        "print([m for m in ('mlflow', 'torch', 'pandas', 'numpy') if m in sys.modules])"
    )
    environ = dict(os.environ, PYTHONPATH=str(Path(samebits.__file__).parents[2]))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.strip() == "[]"
