"""The loop on random images and a linear model: updates, accumulation, clipping, scaling, stops, what is told."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from samebits.base.errors import Interrupted, UserError
from samebits.base.files import json_bytes
from samebits.base.signals import StopRequest
from samebits.compute.hardware import Precision
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import Split
from samebits.params.train import TrainParams
from samebits.preprocess.image import Normalize
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature
from samebits.tasks import Task
from samebits.tasks.classification import Classification
from samebits.training import loop
from samebits.training.loop import Observer, OutOfMemory, Training, out_of_memory
from samebits.training.optim.ema import ModelEma
from samebits.training.optim.optimizers import build_optimizer
from samebits.training.resume.state import TrainingState
from samebits.training.validation import validate

FP32 = Precision("fp32", None, scaled=False)
SHAPE = (3, 4, 4)
PLAIN_SGD = {"name": "sgd", "lr": 0.5, "momentum": 0.0}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def split(name: str, count: int) -> Split:
    random = np.random.Generator(np.random.Philox(11))
    images = random.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    inputs = ImageInputs(shape=list(SHAPE), mean=[0.5] * 3, std=[0.25] * 3)
    signature = Signature(inputs=inputs, target=ClassTarget(classes=["a", "b", "c", "d", "e"]))
    info = cast(Any, SimpleNamespace(signature=signature))
    return Split(info, cast(Any, name), random.integers(0, 5, count), [images], (count,))


def make(
    model: nn.Module | None = None, precision: Precision = FP32, micro: int | None = None, **settings: Any
) -> Training:
    """A training of 4 batches of 8 an epoch."""
    values = {"batch_size": 8, "epochs": 2, "optimizer": PLAIN_SGD, "schedule": {"name": "constant", "warmup": 0.0}}
    train = TrainParams.model_validate(values | settings)
    if model is None:
        torch.manual_seed(2)
        model = nn.Sequential(nn.Flatten(), nn.Linear(48, 5))
    return Training(
        task=Classification(0.0),
        settings=train,
        seed=1,
        device=torch.device("cpu"),
        precision=precision,
        preprocess=Normalize([0.5] * 3, [0.25] * 3),
        batches=Batches(split("train", 35), batch_size=train.batch_size, seed=1),
        validation=split("validation", 10),
        micro_batch_size=micro or train.micro_batch_size or train.batch_size,
        workers=0,
        state=TrainingState(
            model=model,
            optimizer=build_optimizer(model, train.optimizer),
            average=ModelEma(model, train.ema_decay) if train.ema_decay else None,
            scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10) if precision.scaled else None,
        ),
    )


class Told:
    """Notes what the loop tells."""

    def __init__(self, save_seconds: float = 1e9, then: Callable[[int], None] = lambda _: None) -> None:
        self.points: list[tuple[int, dict[str, float]]] = []
        self.steps: list[tuple[int, int]] = []
        self.saves = 0
        self._then = then
        self.observer = Observer(
            lambda row, step: self.points.append((step, row)), self._step, self._save, save_seconds
        )

    def _step(self, step: int, _: float | None, samples: int) -> None:
        self.steps.append((step, samples))
        self._then(step)

    def _save(self) -> None:
        self.saves += 1


def run(training: Training, told: Told | None = None, stop: StopRequest | None = None) -> Training:
    training.run((told or Told()).observer, stop or StopRequest())
    return training


def weights(training: Training) -> Tensor:
    return torch.cat([each.detach().flatten() for each in training.state.model.parameters()]).clone()


def scripted(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
    """Validation losses by epoch."""

    def validate(self: Training) -> dict[str, float]:
        return {"loss": losses[self.state.step // self.batches.steps_per_epoch - 1]}

    monkeypatch.setattr(loop, "validate", validate)


def test_every_batch_is_trained_on_and_told() -> None:
    told = Told()
    training = run(make(), told)
    assert training.total_steps == 8
    assert told.steps == [(step, 8) for step in range(1, 9)]
    assert told.saves == 0
    assert [step for step, row in told.points if "val/loss" in row] == [4, 8]
    assert [row["epoch"] for row in training.state.curve if "epoch" in row] == [1, 2]
    # The epoch is a column of the curve's file, and no metric of its own.
    kept = [{name: value for name, value in row.items() if name != "epoch"} for row in training.state.curve]
    assert [{"step": step, **row} for step, row in told.points] == kept


def test_layers_train_in_every_epoch_and_frozen_ones_never() -> None:
    still, moving = nn.BatchNorm1d(48), nn.BatchNorm1d(48)
    model = nn.Sequential(nn.Flatten(), still, moving, nn.Linear(48, 5))
    training = dataclasses.replace(make(model), frozen=(still,))
    means: list[Tensor] = []
    # Validation, which puts all layers into eval mode, lies between the epochs of 4 steps.
    run(training, Told(then=lambda _: means.append(cast(Tensor, moving.running_mean).clone())))
    assert all(not torch.equal(*pair) for pair in itertools.pairwise(means))
    assert torch.equal(cast(Tensor, still.running_mean), torch.zeros(48))
    assert int(cast(Tensor, moving.num_batches_tracked)) == 8


def test_the_curve_holds_the_mean_loss_of_each_step_and_it_falls() -> None:
    told = Told()
    run(make(epochs=10), told)
    losses = [row["train/loss"] for _, row in told.points if "train/loss" in row]
    assert losses[0] == pytest.approx(math.log(5), abs=1.0)
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) / 2


def test_the_rate_follows_the_schedule() -> None:
    told = Told()
    run(make(schedule={"name": "linear", "warmup": 0.5, "final": 0.2}), told)
    rates = [row["train/lr"] for _, row in told.points if "train/lr" in row]
    assert rates == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_one_update_is_the_rate_times_the_gradient() -> None:
    training = make(epochs=1, schedule={"name": "linear", "warmup": 0.0, "final": 0.0})
    before, batch = weights(training), training.batches.batch(0)
    model = training.state.model
    nn.functional.cross_entropy(model(training.preprocess(batch.inputs)), batch.targets).backward()
    gradient = torch.cat([cast(Tensor, each.grad).flatten() for each in model.parameters()])
    stop = StopRequest()
    stop.requested = True
    with pytest.raises(Interrupted):
        run(training, stop=stop)
    assert torch.allclose(weights(training), before - 0.5 * 0.8 * gradient, atol=1e-6)


@pytest.mark.parametrize("micro", [4, 2, 1, 3])
def test_accumulation_equals_the_whole_batch(micro: int) -> None:
    assert torch.allclose(weights(run(make(micro=micro))), weights(run(make())), atol=1e-5)


@pytest.mark.parametrize("precision", [FP32, Precision("fp32", None, scaled=True)], ids=["plain", "scaled"])
def test_clipping_bounds_every_update(precision: Precision) -> None:
    seen: list[Tensor] = []
    training = make(precision=precision, gradient_clip=0.01)
    seen.append(weights(training))
    run(training, Told(then=lambda _: seen.append(weights(training))))
    moved = [(after - before).norm().item() for before, after in itertools.pairwise(seen)]
    assert moved == pytest.approx([0.5 * 0.01] * 8, rel=1e-2)
    free = make(precision=precision)
    assert (weights(run(free)) - seen[0]).norm() > 0.5 * 0.01 * 8


def test_scaled_gradients_give_the_same_updates() -> None:
    scaled = run(make(precision=Precision("fp32", None, scaled=True), optimizer={"name": "adamw", "lr": 0.01}))
    plain = run(make(optimizer={"name": "adamw", "lr": 0.01}))
    assert torch.allclose(weights(scaled), weights(plain), atol=1e-5)


def test_an_overflow_skips_the_update_and_lowers_the_scale() -> None:
    training = make(precision=Precision("fp32", None, scaled=True), epochs=1)
    scaler = cast(torch.amp.GradScaler, training.state.scaler)
    passes = itertools.count()
    training.state.model[1].weight.register_hook(lambda gradient: gradient * (1.0 if next(passes) else math.inf))
    before = weights(training)
    seen: list[Tensor] = []
    run(training, Told(then=lambda _: seen.append(weights(training))))
    assert torch.equal(seen[0], before)
    assert not torch.equal(seen[1], before)
    assert torch.isfinite(weights(training)).all()
    assert scaler.get_scale() == 2.0**9


class BadLoss(Task):
    """The loss of classification, and not finite at the third forward pass."""

    def __init__(self, value: float) -> None:
        self.value, self.passes, self.task = value, 0, Classification(0.0)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.passes += 1
        return self.task.loss(outputs, targets) * (self.value if self.passes == 3 else 1.0)

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return self.task.metric_sums(outputs, targets)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_update(value: float) -> None:
    training = dataclasses.replace(make(optimizer=PLAIN_SGD | {"momentum": 0.9}, ema_decay=0.9), task=BadLoss(value))
    seen: list[Tensor] = []
    told = Told(save_seconds=0.0, then=lambda _: seen.append(weights(training)))
    with pytest.raises(UserError, match=r"the loss is (nan|inf) at step 3 of 8") as error:
        run(training, told)
    assert "train.gradient_clip" in error.value.fix
    assert training.state.step == 2
    assert torch.equal(weights(training), seen[-1])
    assert told.saves == 2


class Root(nn.Module):
    """A linear model; from its third training pass on, its loss stays what it was and its gradient is NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.passes = nn.Linear(48, 5), 0

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layer(inputs.flatten(1))
        self.passes += self.training
        if self.training and self.passes >= 3:
            zero = (self.layer.bias - self.layer.bias.detach()).sum()
            outputs = outputs + (zero * zero).sqrt()
        return outputs


@pytest.mark.parametrize("settings", [{}, {"gradient_clip": 1.0}, {"elastic": True, "micro_batch_size": 4}], ids=str)
def test_a_gradient_that_is_not_finite_stops_before_the_update(settings: dict[str, Any]) -> None:
    passes = 2 if "elastic" in settings else 1
    model = Root()
    model.passes = 2 - 2 * passes
    training = make(model, ema_decay=0.9, **settings)
    seen: list[Tensor] = []
    told = Told(save_seconds=0.0, then=lambda _: seen.append(weights(training)))
    with pytest.raises(UserError, match=r"the gradient of layer.bias is not finite at step 3 of 8") as error:
        run(training, told)
    assert "square root" in error.value.fix
    assert torch.equal(weights(training), seen[-1])
    assert not training.state.damaged(training.state.tensors())
    assert told.saves == 2


def test_a_scale_that_no_gradient_fits_ends_the_training() -> None:
    model = Root()
    model.passes = 3
    training = make(model, Precision("fp16", torch.float16, scaled=True), epochs=10)
    before = weights(training)
    with pytest.raises(UserError, match=r"not finite at any scale of the loss"):
        run(training)
    assert torch.equal(weights(training), before)


def test_a_validation_loss_that_is_not_finite_is_an_empty_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [math.nan, math.inf])
    training = make(select="best", patience=2, epochs=3)
    told = Told()
    run(training, told)
    assert [row["val/loss"] for row in training.state.curve if "epoch" in row] == [None, None]
    assert json_bytes(training.state.counters())
    assert training.state.best is None
    assert training.state.step == 8
    # The tracker names what it cannot record.
    assert [math.isfinite(row["val/loss"]) for _, row in told.points if "val/loss" in row] == [False, False]


def test_patience_ends_the_training_and_a_resumed_one_stays_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [3.0, 2.0, 2.5, 2.0, 1.0])
    training = run(make(epochs=5, patience=2))
    assert (training.state.step, training.state.best_epoch, training.state.best_loss) == (16, 2, 2.0)
    run(training)
    assert training.state.step == 16
    assert run(make(epochs=5)).state.step == 20
    assert run(make(epochs=5, patience=3)).state.step == 20


@pytest.mark.parametrize("ema", [None, 0.9])
def test_the_best_weights_are_kept_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch, ema: float | None) -> None:
    scripted(monkeypatch, [3.0, 1.0, 2.0])
    training = make(epochs=3, select="best", ema_decay=ema)
    seen: dict[int, dict[str, Tensor]] = {}

    def note(step: int) -> None:
        seen[step] = {name: value.clone() for name, value in training.state.eval_model.state_dict().items()}

    run(training, Told(then=note))
    best = training.state.best
    assert best is not None
    assert all(torch.equal(value, seen[8][name]) for name, value in best.items())
    assert not any(torch.equal(value, seen[12][name]) for name, value in best.items())
    assert run(make(epochs=3, select="last")).state.best is None


def test_validation_is_the_mean_over_the_split_whatever_the_batches() -> None:
    training = make()
    whole = next(iter(Batches(training.validation, batch_size=10, seed=0).stream(0, 1, 0)))
    with torch.no_grad():
        outputs = training.state.model(training.preprocess(whole.inputs))
    expected = {
        "loss": nn.functional.cross_entropy(outputs, whole.targets).item(),
        "accuracy": (outputs.argmax(1) == whole.targets).double().mean().item(),
    }
    assert validate(training) == pytest.approx(expected, rel=1e-5)  # batches of 8 and 2
    assert validate(make(micro=3)) == pytest.approx(expected, rel=1e-5)


def test_the_average_is_what_is_validated() -> None:
    training = make(ema_decay=0.9)
    average = training.state.average
    assert average is not None
    with torch.no_grad():
        average.model[1].weight.zero_()
        average.model[1].bias.zero_()
    assert validate(training)["loss"] == pytest.approx(math.log(5))


def test_a_request_to_stop_is_granted_after_the_step_with_the_state_saved() -> None:
    stop = StopRequest()

    def ask(step: int) -> None:
        stop.requested = step == 3

    told = Told(then=ask)
    with pytest.raises(Interrupted, match="stopped at step 3 of 8; the state is saved"):
        run(make(), told, stop)
    assert told.saves == 1


def test_the_state_is_saved_as_often_as_asked() -> None:
    told = Told(save_seconds=0.0)
    run(make(), told)
    assert told.saves == 8


def test_dropout_does_not_depend_on_what_was_drawn_before() -> None:
    def model() -> nn.Module:
        torch.manual_seed(2)
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 5))

    drawn = run(make(model()), Told(then=lambda step: torch.rand(step).sum()))
    assert torch.equal(weights(drawn), weights(run(make(model()))))
    assert not torch.equal(weights(drawn), weights(run(make())))


class Watched(nn.Module):
    """Notes the layout of its inputs and the type it computes in."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(48, 5)
        self.layouts: set[bool] = set()
        self.types: set[torch.dtype] = set()

    def forward(self, images: Tensor) -> Tensor:
        self.layouts.add(images.is_contiguous(memory_format=torch.channels_last))
        outputs: Tensor = self.linear(images.flatten(1))
        self.types.add(outputs.dtype)
        return outputs


@pytest.mark.parametrize("wanted", [True, False])
def test_channels_last_is_the_layout_of_every_input(wanted: bool) -> None:
    model = Watched()
    run(make(model, channels_last=wanted))
    assert model.layouts == {wanted}


@pytest.mark.parametrize(
    ("precision", "computed"),
    [(FP32, torch.float32), (Precision("bf16", torch.bfloat16, scaled=False), torch.bfloat16)],
    ids=["fp32", "bf16"],
)
def test_the_precision_is_what_the_model_computes_in(precision: Precision, computed: torch.dtype) -> None:
    model = Watched()
    run(make(model, precision))
    assert model.types == {computed}
    assert model.linear.weight.dtype == torch.float32


@pytest.mark.parametrize("wanted", [True, False])
def test_compile_is_asked_of_torch(wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda model: asked.append(model) or model)
    training = run(make(compile=wanted))
    assert asked == ([training.state.model] if wanted else [])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory.\nmuch more"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_a_lack_of_memory_is_told_from_other_errors(error: Exception) -> None:
    with pytest.raises(OutOfMemory, match="memory"), out_of_memory():
        raise error
    with pytest.raises(RuntimeError, match="another"), out_of_memory():
        raise RuntimeError("another")


class _OfValid(Classification):
    """Labels above 2 are not counted."""

    def count(self, targets: Tensor) -> int:
        return int((targets <= 2).sum())

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.metric_sums(outputs, targets)["loss"] / max(1, self.count(targets))

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        valid = targets <= 2
        return {"loss": nn.functional.cross_entropy(outputs[valid], targets[valid], reduction="sum")}


def test_parts_of_a_batch_weigh_as_much_as_the_task_counts_in_them() -> None:
    """Of what the targets count, parts hold different shares, some none at all: the sum is that of the whole batch."""
    found = {}
    for micro in (8, 4, 2, 1):
        training = dataclasses.replace(make(micro=micro), task=_OfValid(0.0))
        counts = [int((training.batches.batch(0).targets[at : at + micro] <= 2).sum()) for at in range(0, 8, micro)]
        assert micro == 8 or len(set(counts)) > 1
        run(training)
        found[micro] = (training.state.losses, weights(training), validate(training)["loss"])
    for micro in (4, 2, 1):
        for part, whole in zip(found[micro], found[8], strict=True):
            torch.testing.assert_close(torch.as_tensor(part), torch.as_tensor(whole), rtol=1e-5, atol=1e-6)


def test_validation_is_a_mean_over_what_the_task_counts() -> None:
    training = dataclasses.replace(make(), task=_OfValid(0.0))
    images, labels = training.validation.samples(np.arange(10, dtype=np.int64))
    with torch.no_grad():
        outputs = training.state.model.eval()(training.preprocess(torch.from_numpy(images)))
    expected = _OfValid(0.0).loss(outputs, torch.from_numpy(labels)).item()
    assert validate(training)["loss"] == pytest.approx(expected, rel=1e-6)
