"""Some epochs and then more are the bytes of all of them at once; what cannot be gone on from says why."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from samebits.base.errors import Interrupted, UserError
from samebits.base.files import read_json, sha256_file, write_bytes, write_json
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.models.convnet import Settings
from samebits.params.augment import AugmentParams
from samebits.params.runtime import RuntimeParams
from samebits.params.train import TrainParams
from samebits.pipeline.dvc_cache import Objects
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.tasks.classification import Settings as TaskSettings
from samebits.training import curve
from samebits.training.resume import go_on
from samebits.training.resume.kept import NOTHING_KEPT
from samebits.training.resume.saved import COMPLETE, COUNTERS, RECEIVED, STATE, write_complete
from samebits.training.resume.store import StateStore
from samebits.training.train import train
from tests.helpers.interrupt import StopAfter
from tests.helpers.kept_state import lock_kept

SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9}
BASE: dict[str, Any] = {
    "batch_size": 32, "precision": "fp32", "threads": 1, "keep_state": True, "optimizer": SGD,
    "schedule": {"name": "constant", "warmup_steps": 3},
}  # fmt: skip
WSD = {"name": "wsd", "warmup_steps": 3, "decay": 0.4}
FEW, MORE = 2, 5

pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture(scope="module")
def prepared(contexts: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return contexts(tmp_path_factory.mktemp("train") / "project")


@pytest.fixture
def new(prepared: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Makes projects with prepared data and nothing trained."""
    # The rows of the curves of few and more epochs lie at other steps, as they do in long trainings.
    monkeypatch.setattr(curve, "CURVE_POINTS", 6)
    monkeypatch.setattr(go_on, "open_objects", lambda workspace: Objects(workspace / "cache"))

    def make(name: str) -> Any:
        folder = tmp_path / name
        shutil.copytree(prepared.project.prepared, folder / "data" / "prepared")
        (folder / "dvc.yaml").write_text("stages: {}\n")
        said: list[str] = []
        given = vars(prepared) | {
            "project": Project(folder, folder),
            "runtime": RuntimeParams(device="cpu", workers=0, progress="off", checkpoint_seconds=1e6),
            "stop": StopRequest(), "said": said, "say": said.append,
        }  # fmt: skip
        return type(prepared)(**given)

    return make


def run(context: Any, epochs: int, seed: int = 3, **changes: Any) -> dict[str, str]:
    """Train; the hash of every file that is an output."""
    train(
        seed, "strict", TaskSettings(name="classification"), Settings(name="convnet", stages=[[4, 8]]), AugmentParams(),
        TrainParams.model_validate(BASE | {"epochs": epochs} | changes), context=context,
    )  # fmt: skip
    folders = (context.project.checkpoint, context.project.kept_state, context.project.reports / "train")
    return {f"{path.parent.name}/{path.name}": sha256_file(path) for each in folders for path in each.iterdir()}


def told(context: Any, beginning: str) -> str:
    return next((line for line in context.said if line.startswith(beginning)), "")


WAYS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "adamw and an average": {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1}, "ema_decay": 0.9},
    "muon": {"optimizer": {"name": "muon", "lr": 0.01}},
    "wsd": {"schedule": WSD, "ema_decay": 0.9},
    "best": {"select": "best", "patience": 4},
    "accumulated": {"micro_batch_size": 16, "elastic": True, "gradient_clip": 1.0},
}


@pytest.mark.parametrize("way", WAYS)
def test_some_epochs_and_then_more_are_the_bytes_of_all_at_once(way: str, new: Callable[[str], Any]) -> None:
    straight = run(new("straight"), MORE, **WAYS[way])
    assert {f"training_state/{name}" for name in (STATE, COUNTERS, COMPLETE)} < set(straight)
    context = new("split")
    assert run(context, FEW, **WAYS[way]) != straight
    lock_kept(context, FEW)
    assert run(context, MORE, **WAYS[way]) == straight
    place = {"wsd": "step 6 (epoch 1.2 of 2)"}.get(way, "step 10 (epoch 2 of 2)")
    assert told(context, "going on") == f"going on from {place} of the finished training of 2 epochs in dvc.lock"


def test_a_training_that_kept_its_state_has_the_bytes_of_one_that_did_not(new: Callable[[str], Any]) -> None:
    context = new("one")
    kept = run(context, FEW)
    plain = run(context, FEW, keep_state=False)
    assert {name: kept[name] for name in plain if not name.startswith("training_state/")} == {
        name: value for name, value in plain.items() if not name.startswith("training_state/")
    }
    assert [path.name for path in context.project.kept_state.iterdir()] == [COMPLETE]
    assert dvc_md5(context.project.kept_state) == NOTHING_KEPT


def kill_after(monkeypatch: pytest.MonkeyPatch, saves: int) -> None:
    """Of the next training, so many states are saved; then its process is gone, without a word."""
    write = StateStore._write
    left = [saves]

    def counted(self: StateStore, *state: Any) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        write(self, *state)

    monkeypatch.setattr(StateStore, "_write", counted)


@pytest.mark.parametrize("saves", [1, 3, 11, 20])
def test_a_training_that_goes_on_may_be_killed_too(
    saves: int, new: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = run(new("straight"), MORE, schedule=WSD)
    context = new("split")
    run(context, FEW, schedule=WSD)
    lock_kept(context, FEW)
    context.runtime = context.runtime.model_copy(update={"checkpoint_seconds": 1e-9})
    with monkeypatch.context() as patch:
        kill_after(patch, saves)
        with pytest.raises(KeyboardInterrupt):
            run(context, MORE, schedule=WSD)
    assert run(context, MORE, schedule=WSD) == straight
    # The one after step 15, before the decay, was kept although later ones were saved.
    assert read_json(context.project.kept_state / COUNTERS)["step"] == 15


def test_a_kept_state_that_is_lost_is_computed_again(new: Callable[[str], Any]) -> None:
    straight = run(new("straight"), MORE, schedule=WSD)
    context = new("killed")
    context.stop = StopAfter(19)
    with pytest.raises(Interrupted):
        run(context, MORE, schedule=WSD)
    (kept,) = (context.project.state / "resume").glob("*/kept_state")
    shutil.rmtree(kept)
    context.stop = StopRequest()
    assert run(context, MORE, schedule=WSD) == straight


def test_an_early_stop_keeps_the_last_state(new: Callable[[str], Any]) -> None:
    hasty = {"patience": 1, "optimizer": SGD | {"lr": 3.0}, "seed": 3}
    straight = run(new("straight"), 9, **hasty)
    context = new("split")
    run(context, 8, **hasty)
    step = read_json(context.project.kept_state / COUNTERS)["step"]
    assert step < 40
    lock_kept(context, 8)
    assert run(context, 9, **hasty) == straight
    assert told(context, "going on from").startswith(f"going on from step {step}")


def test_a_constant_rate_may_be_followed_by_a_decay(new: Callable[[str], Any]) -> None:
    straight = run(new("straight"), MORE, schedule=WSD)
    context = new("split")
    run(context, FEW)
    lock_kept(context, FEW)
    assert run(context, MORE, schedule=WSD) == straight
    assert told(context, "going on from step 10")


def test_an_interrupted_training_goes_on_with_more_epochs(new: Callable[[str], Any]) -> None:
    straight = run(new("straight"), MORE)
    context = new("split")
    context.stop = StopAfter(7)
    with pytest.raises(Interrupted):
        run(context, FEW)
    context.stop = StopRequest()
    assert run(context, MORE) == straight
    assert told(context, "going on") == "going on from step 7 (epoch 1.4 of 2) of an interrupted training"


MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "audit": ({"audit_steps": 4}, "train.audit_steps needs the states from step 0 on"),
    "lr": (
        {"optimizer": SGD | {"lr": 0.2}}, "it is of another training: its train.optimizer.lr is 0.05, here 0.2",
    ),
    "seed": ({"seed": 4}, "it is of another training: its seed is 3, here 4"),
    "decay": (
        {"schedule": WSD | {"decay": 0.9}},
        "it is of step 10 (epoch 2 of 2), and its learning rates are those of 5 epochs for the first 3 steps alone",
    ),
    "share": (
        {"schedule": {"name": "constant", "warmup": 0.2}, "keep_state": False},
        "it is of step 10 (epoch 2 of 2), and its learning rates are those of 5 epochs for the first 0 steps alone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_another_training_starts_afresh_and_says_why(case: str, new: Callable[[str], Any]) -> None:
    changes, problem = MISFITS[case]
    context = new("one")
    run(context, FEW)
    lock_kept(context, FEW)
    assert run(context, MORE, **changes) == run(new("straight"), MORE, **changes)
    name = "not going on from the finished training of 2 epochs in dvc.lock: "
    assert told(context, "not going on") == name + problem


def test_fewer_epochs_start_afresh_and_as_many_are_run_again(new: Callable[[str], Any]) -> None:
    context = new("one")
    run(context, MORE)
    lock_kept(context, MORE)
    run(context, FEW)
    assert told(context, "not going on").endswith("finished training of 5 epochs in dvc.lock: it has more epochs")
    run(context, MORE)
    assert not told(context, "going on")


def test_who_wants_to_start_afresh_does(new: Callable[[str], Any]) -> None:
    context = new("one")
    run(context, FEW)
    lock_kept(context, FEW)
    context.runtime = context.runtime.model_copy(update={"resume": "never"})
    run(context, MORE)
    assert not [line for line in context.said if "going on" in line]


def test_the_hardware_is_looked_up_in_the_facts(new: Callable[[str], Any]) -> None:
    context = new("one")
    run(context, FEW)
    lock_kept(context, FEW)
    file = context.project.reports / "facts.json"
    noted = read_json(file)
    noted["stages"]["stage"]["facts"]["cpu"] = "Another CPU"
    write_json(file, noted)
    run(context, MORE)
    assert "its hardware.cpu is Another CPU, here " in told(context, "not going on")
    file.unlink()
    context.said.clear()
    run(context, MORE)
    assert "reports/facts.json does not say on which hardware" in told(context, "not going on")


def test_a_schedule_without_a_step_to_keep_is_refused(new: Callable[[str], Any]) -> None:
    with pytest.raises(UserError, match="no state to keep: of 10 steps, none lies before the decay") as error:
        run(new("one"), FEW, schedule={"name": "wsd", "warmup": 0.0, "decay": 1.0})
    assert "train.schedule.decay" in error.value.fix


def spoil(what: str, folder: Path) -> None:
    """Change a state and write hashes that fit, as somebody would who means harm."""
    counters = read_json(folder / COUNTERS)
    tensors = load((folder / STATE).read_bytes())
    first = next(name for name in tensors if name.startswith("model.") and tensors[name].ndim > 1)
    if what == "pickle":
        write_bytes(folder / STATE, pickle.dumps({"a": 1}))
    elif what == "step":
        counters["step"] = -1
    elif what == "counters":
        counters["curve"] = "none"
    elif what == "deep":
        for _ in range(500):
            counters["training"]["inputs"]["task"] = {"a": counters["training"]["inputs"]["task"]}
    else:
        if what == "shape":
            tensors[first] = tensors[first].flatten()
        elif what == "nan":
            tensors[first] = torch.full_like(tensors[first], torch.nan)
        elif what == "lacks":
            del tensors[first]
        elif what == "losses":
            tensors["losses"] = tensors["losses"][:-1]
        elif what == "slot":
            tensors["optimizer.99.momentum_buffer"] = torch.zeros(3)
        write_bytes(folder / STATE, save(tensors))
    write_json(folder / COUNTERS, counters)
    write_complete(folder)


HARM = {
    "pickle": "its tensors cannot be read", "step": "its counters are no state's: step",
    "shape": "it is of another model",
    "counters": "its counters are no state's: curve", "deep": "it is of another training", "nan": "is not finite",
    "lacks": "it lacks model.", "losses": "it is of another model: losses", "slot": "optimizer.99.momentum_buffer",
}  # fmt: skip


def test_a_state_that_was_tampered_with_is_left_alone(new: Callable[[str], Any]) -> None:
    context = new("one")
    context.stop = StopAfter(7)
    with pytest.raises(Interrupted):
        run(context, FEW)
    context.stop = StopRequest()
    (state,) = (context.project.state / "resume").glob("*/0000000007")
    (state.parent / RECEIVED).touch()
    good = {path.name: path.read_bytes() for path in state.iterdir()}
    for what, problem in HARM.items():
        for name, data in good.items():
            (state / name).write_bytes(data)
        spoil(what, state)
        context.said.clear()
        context.stop = StopAfter(1)
        with pytest.raises(Interrupted):
            run(context, MORE)
        assert problem in told(context, "not going on from the state that was received: "), what
        shutil.rmtree(next(path.parent for path in state.parent.parent.glob("*/0000000001")))
