"""Segments computed again, in this process, on a tiny project whose training kept states."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256_file, write_json
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.params.schema import read_params
from samebits.pipeline.context import StageContext
from samebits.provenance.audit.audit import choose
from samebits.provenance.audit.recompute import Job, Result, recompute
from samebits.stage import load_body, sections_of
from samebits.tracking.journal.tracker import NullTracker
from samebits.training.commitment.record import AuditRecord, read_record
from samebits.training.resume.saved import COUNTERS, STATE, state_folder
from tests.helpers.workspace import ROOT, set_params

TRAIN: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 32,
    "precision": "fp32",
    "threads": 1,
    "audit_steps": 4,
    "patience": 1,
    "select": "best",
    # Nothing is learnt, so that the training stops early.
    "optimizer": {"name": "sgd", "lr": 1e-9, "momentum": 0.0, "weight_decay": 0.0},
}
LAST = 15
"""The end of the third of four epochs of 5 steps: the second one stays the best."""

pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture(scope="module")
def trained(contexts: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which a training that stopped early kept its states."""
    workspace = tmp_path_factory.mktemp("trained") / "project"
    contexts(workspace)
    shutil.copy(ROOT / "params.yaml", workspace)
    (workspace / "dvc.yaml").write_text("stages: {}\n")
    model = {"name": "convnet", "stages": [[4, 8]]}
    set_params(workspace, {"train": TRAIN, "runtime": {"progress": "off"}}, replace={"model": model})
    params = read_params(workspace / "params.yaml")
    project = Project(workspace, workspace)
    context = StageContext("train", project, params.runtime, NullTracker(), StopRequest())
    body = load_body("samebits.training.train:train")
    body(*(params.sections[section] for section in sections_of(body)), context=context)
    return workspace


@pytest.fixture
def workspace(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "project"))


def record(workspace: Path) -> AuditRecord:
    return read_record(workspace / "models" / "checkpoint")


def job(workspace: Path, *starts: int) -> Job:
    found = record(workspace)
    segments = [(start.step, end.step) for start, end in choose(found, len(found.segments), starts)]
    return Job(
        origin=found.origin,
        segments=segments,
        last=found.states[-1].step,
        states=workspace / "models" / "states",
        into=workspace / "computed",
    )


def computed(workspace: Path) -> list[int]:
    """The steps of computed states that are the recorded ones, to the last bit."""
    into = workspace / "computed"
    return [
        state.step
        for state in record(workspace).states
        if (folder := state_folder(into, state.step)).exists()
        and (sha256_file(folder / STATE), sha256_file(folder / COUNTERS)) == (state.tensors, state.counters)
    ]


def test_every_segment_and_the_model_come_out_again(workspace: Path) -> None:
    assert [state.step for state in record(workspace).states] == [0, 4, 8, 12, LAST]
    files = {file.name: sha256_file(file) for file in (workspace / "models" / "checkpoint").iterdir()}
    task = job(workspace)
    (workspace / "models" / "checkpoint" / "model.safetensors").unlink()
    result = recompute(workspace, task)
    assert result.failed == {}
    assert result.finished, "it stops early here, too"
    assert result.facts["threads"] == "1"
    assert computed(workspace) == [0, 4, 8, 12, LAST]
    assert {file.name: sha256_file(file) for file in (workspace / "models" / "checkpoint").iterdir()} == files


def test_a_training_that_goes_on_is_not_finished(workspace: Path) -> None:
    task = job(workspace, 4).model_copy(update={"last": 12})
    assert not recompute(workspace, task).finished


def test_another_state_leads_elsewhere(workspace: Path) -> None:
    file = state_folder(workspace / "models" / "states", 4) / STATE
    tensors = load_file(file)
    tensors["model.head.bias"][0] += 1.0
    save_file(tensors, file)
    recompute(workspace, job(workspace, 4, 8))
    assert computed(workspace) == [0, 12]


def _no_tensor(folder: Path) -> None:
    tensors = load_file(folder / STATE)
    del tensors["model.head.bias"]
    save_file(tensors, folder / STATE)


def _no_file(folder: Path) -> None:
    (folder / STATE).write_bytes(b"no tensors")


def _other_step(folder: Path) -> None:
    tensors = load_file(folder / STATE)
    save_file(tensors | {"losses": tensors["losses"][:3].clone()}, folder / STATE)
    write_json(folder / COUNTERS, read_json(folder / COUNTERS) | {"step": 3})


def _no_counters(folder: Path) -> None:
    write_json(folder / COUNTERS, [])


def _no_loss(folder: Path) -> None:
    (folder / COUNTERS).write_text((folder / COUNTERS).read_text().replace('"best_loss": ', '"best_loss": NaN, "x": '))


def _no_curve(folder: Path) -> None:
    write_json(folder / COUNTERS, read_json(folder / COUNTERS) | {"curve": {"a": 1}})


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (_no_tensor, "is none of this training"),
        (_no_file, "is none of this training"),
        (_no_counters, "is none of this training"),
        (_no_curve, "is none of this training"),
        (_no_loss, "its counters are no state's: best_loss"),
        (_other_step, "says that it is of step 3"),
    ],
)
def test_what_is_no_state_of_this_training_is_told(harm: Callable[[Path], None], why: str, workspace: Path) -> None:
    harm(state_folder(workspace / "models" / "states", 4))
    result = recompute(workspace, job(workspace, 4))
    assert why in result.failed[8]
    assert result.unusable == ""
    assert computed(workspace) == [0]


def test_a_fault_of_the_auditors_machine_is_no_finding(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr("samebits.training.loop.Training.run", run)
    with pytest.raises(RuntimeError, match="could not create a primitive"):
        recompute(workspace, job(workspace, 4))


def test_a_last_state_that_is_none_makes_no_model(workspace: Path) -> None:
    task = job(workspace, 12)
    _no_curve(state_folder(workspace / "models" / "states", LAST))
    result = recompute(workspace, task)
    assert "the state of step 15 is none of this training" in result.unusable
    assert result.failed == {}
    assert state_folder(workspace / "computed", LAST).exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 1}, "parameters.seed"), ({"train": {"optimizer": {"lr": 0.1}}}, r"parameters\.train\.optimizer\.lr")],
)
def test_other_parameters_are_named_before_anything_is_computed(
    change: dict[str, Any], named: str, workspace: Path
) -> None:
    task = job(workspace)
    set_params(workspace, change)
    with pytest.raises(UserError, match=f"is of another training than this commit's: {named}"):
        recompute(workspace, task)
    assert not (workspace / "computed").exists()


def test_precision_is_the_trainers_even_if_auto_would_be_another_here(workspace: Path) -> None:
    """`train.precision: auto` is a parameter like any other; what it came to is recorded beside it."""
    task = job(workspace, 0)
    task.origin.parameters["train"]["precision"] = "auto"
    set_params(workspace, {"train": {"precision": "auto"}})
    recompute(workspace, task)
    assert computed(workspace) == [0, 4]


def test_a_segment_is_drawn_anew_each_time_and_a_named_one_must_exist(workspace: Path) -> None:
    found = record(workspace)
    drawn = {choose(found, 1, ())[0][0].step for _ in range(100)}
    assert len(drawn) > 1
    assert [start.step for start, _ in choose(found, 99, ())] == [0, 4, 8, 12]
    with pytest.raises(UserError, match="no segment begins at step 3") as error:
        choose(found, 1, (3,))
    assert "each multiple of 4 below 15" in error.value.fix


def test_a_result_survives_json() -> None:
    result = Result(failed={8: "why"}, finished=True, facts={"threads": "1"})
    assert Result.model_validate_json(result.model_dump_json()) == result
