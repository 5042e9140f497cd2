"""Some epochs and then more are the bytes of all of them at once; what cannot be gone on from says why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samebits.base.files import sha256_file
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
from samebits.training.resume.saved import COMPLETE
from samebits.training.train import train
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
    assert {"state/state.safetensors", "state/counters.json", "state/complete.json"} < set(straight)
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
    assert {name: kept[name] for name in plain if not name.startswith("state/")} == {
        name: value for name, value in plain.items() if not name.startswith("state/")
    }
    assert [path.name for path in context.project.kept_state.iterdir()] == [COMPLETE]
    assert dvc_md5(context.project.kept_state) == NOTHING_KEPT
