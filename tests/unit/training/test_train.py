"""The train stage on 180 tiny images: every setting of `train` changes what it should, and a lack of memory."""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from samebits.base.errors import Interrupted, UserError
from samebits.base.files import read_json, sha256_file
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import DatasetInfo, read_info
from samebits.models.convnet import ConvNet, Settings
from samebits.params.augment import AugmentParams
from samebits.params.runtime import RuntimeParams
from samebits.params.train import AdamParams, ScheduleParams, SGDParams, TrainParams
from samebits.tasks.classification import Settings as TaskSettings
from samebits.tracking.journal.tracker import NullTracker
from samebits.training import loop
from samebits.training.flops import PEAKS
from samebits.training.train import train
from tests.helpers.interrupt import StopAfter

BASE: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 32,
    "precision": "fp32",
    "threads": 1,
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    "schedule": {"name": "linear", "warmup": 0.2, "final": 0.1},
}
ADAM = {"name": "adam", "lr": 0.01, "weight_decay": 0.01}
NO_AUGMENT = AugmentParams()


pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture(scope="module")
def prepared(contexts: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return contexts(tmp_path_factory.mktemp("train") / "project")


@pytest.fixture
def context(prepared: Any, tmp_path: Path) -> Any:
    """A project with prepared data and nothing trained."""
    shutil.copytree(prepared.project.prepared, tmp_path / "data" / "prepared")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    prepared.said.clear()
    given = vars(prepared) | {
        "project": Project(tmp_path, tmp_path),
        "runtime": RuntimeParams(device="cpu", workers=0, progress="off", checkpoint_seconds=1e6),
        "stop": StopRequest(),
    }
    return type(prepared)(**given)


def run(
    context: Any,
    *,
    seed: int = 3,
    augment: AugmentParams = NO_AUGMENT,
    weights: Any = "none",
    smoothing: float = 0.0,
    **changes: Any,
) -> str:
    """Train with `BASE` and `changes`; the hash of the weights."""
    train(
        seed,
        "strict",
        TaskSettings(name="classification", class_weights=weights, label_smoothing=smoothing),
        Settings(name="convnet", stages=[[4, 8]]),
        augment,
        TrainParams.model_validate(BASE | changes),
        context=context,
    )
    return sha256_file(context.project.checkpoint / "model.safetensors")


def optimizer(**changes: Any) -> dict[str, Any]:
    return {"optimizer": BASE["optimizer"] | changes}


def schedule(**changes: Any) -> dict[str, Any]:
    return {"schedule": BASE["schedule"] | changes}


WSD = {"name": "wsd", "warmup": 0.0, "decay": 0.2}
WINDOW = {"shuffle": "window", "shuffle_window": 1}

# What is changed: from these settings, to those.
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "epochs": ({}, {"epochs": 3}),
    "batch_size": ({}, {"batch_size": 16}),
    "micro_batch_size": ({}, {"micro_batch_size": 16}),
    "shuffle": ({}, WINDOW),
    "shuffle_window": (WINDOW, WINDOW | {"shuffle_window": 3}),
    "precision": ({}, {"precision": "bf16"}),
    "optimizer": ({}, {"optimizer": ADAM}),
    "schedule": ({}, {"schedule": {"name": "constant"}}),
    "gradient_clip": ({}, {"gradient_clip": 0.01}),
    "ema_decay": ({}, {"ema_decay": 0.9}),
    "sgd.name": ({}, {"optimizer": ADAM}),
    "sgd.lr": ({}, optimizer(lr=0.2)),
    "sgd.momentum": ({}, optimizer(momentum=0.5)),
    "sgd.nesterov": ({}, optimizer(nesterov=False)),
    "sgd.weight_decay": ({}, optimizer(weight_decay=0.1)),
    "adam.name": ({"optimizer": ADAM}, {"optimizer": ADAM | {"name": "adamw"}}),
    "adam.lr": ({"optimizer": ADAM}, {"optimizer": ADAM | {"lr": 0.02}}),
    "adam.beta1": ({"optimizer": ADAM}, {"optimizer": ADAM | {"beta1": 0.5}}),
    "adam.beta2": ({"optimizer": ADAM}, {"optimizer": ADAM | {"beta2": 0.9}}),
    "adam.eps": ({"optimizer": ADAM}, {"optimizer": ADAM | {"eps": 0.1}}),
    "adam.weight_decay": ({"optimizer": ADAM}, {"optimizer": ADAM | {"weight_decay": 0.1}}),
    "schedule.name": ({}, schedule(name="cosine")),
    "schedule.warmup": ({}, schedule(warmup=0.6)),
    "schedule.warmup_steps": ({}, schedule(warmup_steps=4)),
    "schedule.final": ({}, schedule(final=0.9)),
    "schedule.decay": ({"schedule": WSD}, {"schedule": WSD | {"decay": 0.8}}),
    "elastic": ({"micro_batch_size": 16}, {"micro_batch_size": 16, "elastic": True}),
}
ELSEWHERE = {
    "audit_steps", "bucket_by_length", "channels_last", "compile", "threads", "select", "patience",
    "on_out_of_memory", "keep_state", "shard", "checkpoint_activations",
}  # fmt: skip
"""Have a test of their own below, in test_loop.py, test_shards.py, test_blocks.py, commitment/, resume/test_go_on.py
or, for the order of batches, data/test_order.py."""


def test_every_setting_has_a_test() -> None:
    keys = set(TrainParams.model_fields)
    for prefix, section in (("sgd", SGDParams), ("adam", AdamParams), ("schedule", ScheduleParams)):
        keys |= {f"{prefix}.{name}" for name in section.model_fields}
    assert keys == set(CHANGES) | ELSEWHERE


@pytest.mark.parametrize("key", CHANGES)
def test_a_setting_changes_the_weights(key: str, context: Any) -> None:
    old, new = CHANGES[key]
    if repr(old) not in _BEFORE:
        _BEFORE[repr(old)] = run(context, **old)
    assert run(context, **new) != _BEFORE[repr(old)]


OTHERS: dict[str, dict[str, Any]] = {
    "seed": {"seed": 4},
    "augmentation": {"augment": AugmentParams(shift=1)},
    "label smoothing": {"smoothing": 0.2},
}
"""Of other sections than `train`."""


@pytest.mark.parametrize("change", OTHERS)
def test_other_sections_change_the_weights_too(change: str, context: Any) -> None:
    if repr({}) not in _BEFORE:
        _BEFORE[repr({})] = run(context)
    assert run(context, **OTHERS[change]) != _BEFORE[repr({})]


_BEFORE: dict[str, str] = {}
"""Hashes of the weights by settings that several changes begin with. The next test says that they repeat."""


def test_the_same_settings_give_the_same_weights(context: Any) -> None:
    assert run(context) == run(context)


def test_what_a_killed_training_left_half_written_goes(context: Any) -> None:
    folders = [context.project.checkpoint, context.project.reports / "train"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / ".metrics.json.abc.tmp").touch()
    run(context)
    assert [path for folder in folders for path in folder.glob(".*")] == []


def test_each_epoch_is_a_line(context: Any) -> None:
    context.runtime = RuntimeParams(device="cpu", workers=0, progress="lines", checkpoint_seconds=1e6)
    run(context)
    lines = [line for line in context.said if line.startswith("epoch ")]
    number = r"\d+\.\d{4}"
    assert [line.partition(":")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all(
        re.fullmatch(rf"epoch ./2: loss {number}, validation loss {number}, accuracy {number}, \d+\.\d s", line)
        for line in lines
    )
    last = read_json(context.project.reports / "train" / "metrics.json")["val"]
    assert f"validation loss {last['loss']:.4f}, accuracy {last['accuracy']:.4f}" in lines[-1]


def test_the_curves_can_be_seen_while_it_trains(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    curves = context.project.reports / "train" / "curves.csv"
    monkeypatch.setattr("samebits.training.train.write_outputs", lambda *_: seen.append(curves.read_text()))
    with pytest.raises(FileNotFoundError):
        run(context)
    assert "val/accuracy" in seen[0].splitlines()[0]
    assert len(seen[0].splitlines()) > 1


def test_a_profile_changes_no_bit_and_says_where_the_time_went(context: Any) -> None:
    plain = run(context)
    context.runtime = context.runtime.model_copy(update={"profile": True})
    assert run(context) == plain
    assert "backward" in (context.project.state / "profile" / "phases.txt").read_text()
    assert any("profile" in line for line in context.said)


def test_the_speed_is_told_next_to_the_peak(context: Any) -> None:
    run(context)
    line = next(line for line in context.said if "GFLOP/s" in line)
    assert "samples/s" in line
    assert "peak measured here" in line


class Noted(NullTracker):
    """Keeps the final values, and the files with their contents."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.files: dict[str, bytes] = {}

    def summary(self, values: Mapping[str, float]) -> None:
        self.values |= values

    def artifact(self, path: Path, folder: str = "") -> None:
        self.files[f"{folder}/{path.name}"] = path.read_bytes()


def test_a_profile_is_attached_to_the_run(context: Any) -> None:
    context.tracker = Noted()
    context.runtime = context.runtime.model_copy(update={"profile": True})
    run(context, epochs=6)  # the trace begins after 20 steps
    phases = context.tracker.files["profile/phases.txt"].decode()
    assert "backward" in phases
    assert "convolution" in phases
    assert b"traceEvents" in gzip.decompress(context.tracker.files["profile/trace.json.gz"])


def test_the_speed_and_its_share_of_the_peak_are_recorded(context: Any) -> None:
    context.tracker = Noted()
    run(context)
    values = context.tracker.values
    assert values["train/samples_per_second"] > 0
    (peak,) = read_json(context.project.state / PEAKS).values()
    assert values["train/gflop_per_second"] * 1e9 / peak == pytest.approx(values["train/mfu"])
    said = next(line for line in context.said if "GFLOP/s" in line)
    assert f"{values['train/samples_per_second']:,.0f} samples/s" in said


MIXING = {
    "mixup": AugmentParams(mixup=0.4),
    "cutmix": AugmentParams(cutmix=1.0),
    "both": AugmentParams(mixup=0.4, cutmix=1.0),
}


def test_each_kind_of_mixing_makes_other_weights(context: Any) -> None:
    assert len({run(context, augment=each) for each in (NO_AUGMENT, *MIXING.values())}) == 4


@pytest.mark.parametrize("name", MIXING)
def test_mixing_gives_the_same_bits_again_and_after_a_stop(name: str, context: Any) -> None:
    expected = run(context, augment=MIXING[name])
    assert run(context, augment=MIXING[name]) == expected
    context.stop = StopAfter(4)
    with pytest.raises(Interrupted, match="stopped at step 4 of"):
        run(context, augment=MIXING[name])
    context.stop = StopRequest()
    assert run(context, augment=MIXING[name]) == expected
    assert "resuming at step 4" in context.said


def test_a_training_that_is_stopped_leaves_its_profile(context: Any) -> None:
    context.tracker = Noted()
    context.runtime = context.runtime.model_copy(update={"profile": True})
    context.stop = StopAfter(4)
    with pytest.raises(Interrupted, match="stopped at step 4 of"):
        run(context)
    assert "4 steps; 0 more traced" in context.tracker.files["profile/phases.txt"].decode()


def test_class_weights_change_what_is_learnt(context: Any) -> None:
    counts = read_info(context.project.prepared).class_counts["train"]
    assert len(set(counts)) > 1
    hashes = {run(context, weights=weights) for weights in ("none", "balanced", {"3": 9.0}, {"3": 9.0, "4": 0.5})}
    assert len(hashes) == 4


def test_balanced_weights_are_those_that_the_counts_of_the_training_split_give(context: Any) -> None:
    info = read_info(context.project.prepared)
    counts = info.class_counts["train"]
    by_hand = {name: sum(counts) / (len(counts) * n) for name, n in zip(info.classes, counts, strict=True)}
    assert run(context, weights=by_hand) == run(context, weights="balanced")


def test_a_weight_for_no_class_stops_before_the_first_step(context: Any) -> None:
    with pytest.raises(UserError, match=r"names 11, which is no class"):
        run(context, weights={"11": 2.0})
    assert not context.project.checkpoint.exists()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_those_asked_for(threads: int, context: Any) -> None:
    run(context, threads=threads)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("wanted", [True, False])
def test_channels_last_is_the_layout_of_the_weights(
    wanted: bool, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    layouts: list[bool] = []
    finish = loop.Training.run

    def watched(self: loop.Training, *arguments: Any) -> None:
        weight = self.state.model.get_parameter("features.1.0.weight")
        layouts.append(weight.is_contiguous(memory_format=torch.channels_last))
        finish(self, *arguments)

    monkeypatch.setattr(loop.Training, "run", watched)
    run(context, channels_last=wanted)
    assert layouts == [wanted]


def script_validation(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
    def validate(self: loop.Training) -> dict[str, float]:
        return {"loss": losses[self.state.step // self.batches.steps_per_epoch - 1]}

    monkeypatch.setattr(loop, "validate", validate)


def test_best_saves_the_epoch_with_the_lowest_validation_loss(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    script_validation(monkeypatch, [2.0, 1.0, 1.5])
    best = run(context, epochs=3, select="best")
    assert read_json(context.project.checkpoint / "config.json")["epoch"] == 2
    metrics = read_json(context.project.reports / "train" / "metrics.json")
    assert (metrics["val"]["loss"], metrics["model"]["epoch"], metrics["train"]["epochs"]) == (1.0, 2, 3)
    assert run(context, epochs=3, select="last") != best
    assert read_json(context.project.checkpoint / "config.json")["epoch"] == 3


def test_patience_stops_early(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    script_validation(monkeypatch, [1.0, 1.5, 0.5])
    run(context, epochs=3, patience=1)
    assert read_json(context.project.checkpoint / "config.json")["epoch"] == 2
    run(context, epochs=3)
    assert read_json(context.project.checkpoint / "config.json")["epoch"] == 3


def limit_memory(monkeypatch: pytest.MonkeyPatch, size: int, passes: int = 0) -> list[int]:
    """After so many forward passes, those of more than `size` samples do not fit; gives the sizes that did."""
    fitted: list[int] = []
    forward = ConvNet.forward

    def limited(self: ConvNet, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            if len(images) > size and len(fitted) >= passes:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")
            fitted.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(ConvNet, "forward", limited)
    return fitted


def test_halve_goes_on_with_the_same_effective_batch(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(context, micro_batch_size=8)
    steps = read_json(context.project.checkpoint / "config.json")["step"]
    context.said.clear()
    fitted = limit_memory(monkeypatch, 8)
    assert run(context, on_out_of_memory="halve") == expected
    assert read_json(context.project.checkpoint / "config.json")["step"] == steps
    assert fitted == [8] * (4 * steps)
    assert [line for line in context.said if "out of memory" in line] == [
        "out of memory at 32 samples per forward pass; continuing with 16, 32 per update",
        "out of memory at 16 samples per forward pass; continuing with 8, 32 per update",
    ]


def test_halve_goes_on_from_the_saved_state(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context.runtime = context.runtime.model_copy(update={"checkpoint_seconds": 1e-9})
    fitted = limit_memory(monkeypatch, 16, passes=3)
    run(context, on_out_of_memory="halve")
    assert "resuming at step 3" in context.said
    steps = read_json(context.project.checkpoint / "config.json")["step"]
    assert fitted == [32] * 3 + [16] * (2 * (steps - 3))


@pytest.mark.parametrize(("batch", "try_next"), [(32, 16), (30, 15), (33, 11), (7, 1)])
def test_stop_names_the_size_to_try(batch: int, try_next: int, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_memory(monkeypatch, 1)
    with pytest.raises(UserError, match=f"out of memory at {batch} samples") as error:
        run(context, batch_size=batch, on_out_of_memory="stop")
    assert f"set train.micro_batch_size: {try_next} (the effective batch stays {batch})" in error.value.fix
    assert not context.project.checkpoint.exists()


def test_a_single_sample_that_does_not_fit_ends_it(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_memory(monkeypatch, 0)
    with pytest.raises(UserError, match="one sample at a time") as error:
        run(context, on_out_of_memory="halve")
    assert "smaller model" in error.value.fix


def test_a_finished_training_leaves_no_state(context: Any) -> None:
    context.runtime = context.runtime.model_copy(update={"checkpoint_seconds": 1e-9})
    run(context)
    assert [path for path in (context.project.state / "resume").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("given", "in_memory", "threads"), [(None, True, 0), (None, False, 1), (0, False, 0), (3, True, 3)]
)
def test_threads_that_prepare_batches_on_a_cpu(
    given: int | None, in_memory: bool, threads: int, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    stream = Batches.stream
    monkeypatch.setattr(Batches, "stream", lambda self, *steps: asked.append(steps[2]) or stream(self, *steps))
    # A split counts as too large for memory once no byte of it is allowed there.
    if not in_memory:
        monkeypatch.setattr(DatasetInfo, "split_bytes", lambda *_: 1 << 60)
    runtime = context.runtime.model_copy(update={"workers": given})
    run(type(context)(**(vars(context) | {"runtime": runtime})), epochs=1)
    assert asked == [threads]


@pytest.mark.parametrize(
    ("shuffle", "in_memory", "told"), [("full", False, 1), ("window", False, 0), ("full", True, 0)]
)
def test_the_order_that_is_slow_from_disk_is_told(
    shuffle: str, in_memory: bool, told: int, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not in_memory:
        monkeypatch.setattr(DatasetInfo, "split_bytes", lambda *_: 1 << 60)
    run(context, epochs=1, shuffle=shuffle)
    assert len([line for line in context.said if "train.shuffle: window" in line]) == told
