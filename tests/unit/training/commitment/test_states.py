"""States that a training keeps: the same ones however it was interrupted, and no other bit because of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import Interrupted, UserError
from samebits.base.files import sha256_file
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.models.convnet import Settings
from samebits.params.augment import AugmentParams
from samebits.params.runtime import RuntimeParams
from samebits.params.train import TrainParams
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.tasks.classification import Settings as TaskSettings
from samebits.training.commitment.record import AUDIT, read_record
from samebits.training.resume.saved import COUNTERS, STATE, state_folder
from samebits.training.train import train
from tests.helpers.interrupt import StopAfter

BASE: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 32,
    "precision": "fp32",
    "threads": 1,
    "ema_decay": 0.9,
    "optimizer": {"name": "adamw", "lr": 0.01},
    "audit_steps": 3,
}
STEPS = [0, 3, 6, 9, 10]

pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture(scope="module")
def prepared(contexts: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return contexts(tmp_path_factory.mktemp("kept") / "project")


@pytest.fixture
def context(prepared: Any, tmp_path: Path) -> Any:
    shutil.copytree(prepared.project.prepared, tmp_path / "data" / "prepared")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    prepared.said.clear()
    given = vars(prepared) | {
        "project": Project(tmp_path, tmp_path),
        "runtime": RuntimeParams(device="cpu", workers=0, progress="off", checkpoint_seconds=1e6),
        "stop": StopRequest(),
    }
    return type(prepared)(**given)


def run(context: Any, reproducibility: Any = "strict", **changes: Any) -> tuple[str, str]:
    """The hashes of the weights and of all kept states."""
    settings = TrainParams.model_validate(BASE | changes)
    task = TaskSettings(name="classification")
    model = Settings(name="convnet", stages=[[4, 8]])
    train(3, reproducibility, task, model, AugmentParams(shift=1), settings, context=context)
    return sha256_file(context.project.checkpoint / "model.safetensors"), dvc_md5(context.project.states)


def root(context: Any) -> str:
    return read_record(context.project.checkpoint).root


def test_states_are_kept_and_change_no_bit_of_the_weights(context: Any) -> None:
    weights, _ = run(context)
    project, record = context.project, read_record(context.project.checkpoint)
    assert [state.step for state in record.states] == STEPS
    for state in record.states:
        folder = state_folder(project.states, state.step)
        assert (sha256_file(folder / STATE), sha256_file(folder / COUNTERS)) == (state.tensors, state.counters)
    assert sorted(path.name for path in project.states.iterdir()) == [f"{step:010d}" for step in STEPS]
    assert not list((project.state / "resume").glob("*/*")), "a finished training leaves nothing beside"

    assert run(context, audit_steps=None)[0] == weights
    assert list(project.states.iterdir()) == [], "an output of DVC has to be there"
    assert not (project.checkpoint / AUDIT).exists()


def test_a_training_that_ends_with_a_stretch_keeps_the_last_state_once(context: Any) -> None:
    run(context, audit_steps=5)
    assert [state.step for state in read_record(context.project.checkpoint).states] == [0, 5, 10]


def test_one_stretch_may_be_longer_than_the_training(context: Any) -> None:
    run(context, audit_steps=1000)
    assert [state.step for state in read_record(context.project.checkpoint).states] == [0, 10]


@pytest.mark.parametrize("looks", [2, 3, 9])
def test_an_interrupted_training_keeps_the_same_states(looks: int, context: Any) -> None:
    expected = run(context), root(context)
    context.stop = StopAfter(looks)
    with pytest.raises(Interrupted):
        run(context)
    shutil.rmtree(context.project.states)  # as DVC does before it runs a stage
    context.stop = StopRequest()
    assert (run(context), root(context)) == expected
    assert any(line.startswith("resuming at step") for line in context.said)


@pytest.mark.parametrize("harm", [shutil.rmtree, lambda folder: (folder / STATE).write_bytes(b"x")])
def test_without_a_state_that_it_kept_a_training_starts_afresh(harm: Any, context: Any) -> None:
    expected = run(context), root(context)
    context.stop = StopAfter(5)
    with pytest.raises(Interrupted):
        run(context)
    (folder,) = (context.project.state / "resume").glob("*/kept")
    harm(state_folder(folder, 3))
    context.stop = StopRequest()
    assert (run(context), root(context)) == expected
    assert "states of before step 5 that train.audit_steps keeps are gone: starting afresh" in context.said


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_bits_that_nobody_promises_cannot_be_audited(mode: str, context: Any) -> None:
    with pytest.raises(UserError, match=f"reproducibility: {mode} does not promise the same bits"):
        run(context, mode)
    with pytest.raises(UserError, match="halve lets a machine's memory decide"):
        run(context, on_out_of_memory="halve")
    assert run(context, mode, audit_steps=None)
