"""The training loop: forward, loss, backward, step.

One loop for every task. What the next step needs is in `TrainingState`; everything random or scheduled is a function of
(seed, step), so a loop that starts at step n does what the uninterrupted one did from there on.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import nn

from samebits.base.errors import Interrupted
from samebits.base.signals import StopRequest
from samebits.compute import determinism
from samebits.compute.deterministic_errors import deterministic_errors
from samebits.compute.distributed import ProcessGroup
from samebits.compute.hardware import Precision
from samebits.compute.turns import Turns
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import Split
from samebits.data.loading.sequential import Batch
from samebits.metrics.own import OwnMetric
from samebits.params.augment import AugmentParams
from samebits.params.train import ScheduleParams, TrainParams
from samebits.tasks import Task
from samebits.training.blocks import checkpointed
from samebits.training.curve import CurveRows, as_row
from samebits.training.optim.clip import clip_rows
from samebits.training.optim.finite import require_finite_step, require_scale
from samebits.training.optim.gradients import (
    FlatGradients,
    all_reduce_grads,
    micro_batches_of,
    reduce_deterministic,
    reduce_sharded,
)
from samebits.training.optim.mixup import mix
from samebits.training.optim.optimizers import set_learning_rate
from samebits.training.optim.schedules import lr_multiplier
from samebits.training.profiler import Profiler
from samebits.training.resume.state import TrainingState
from samebits.training.validation import validate

_IMAGE_AXES = 4
"""Axes of a batch of images: [N, C, H, W]."""


class OutOfMemory(Exception):
    """A micro-batch did not fit. The state may be half-updated: go on from a saved one."""


@dataclass(frozen=True)
class Observer:
    """What the loop reports. None of it can change what is computed.

    Attributes:
        log_metrics: a row of the training curve: metrics by name, and the step.
        progress: steps made, the latest loss if one was read, samples in the step.
        save: keep the state now.
        save_seconds: the longest time between two saves.
        epoch_done: number of the epoch, its mean training loss as `train/loss`, the validation metrics as `val/NAME`.
        step_done: look at the state that a step leaves, validation and all.
        profiler: is called with the phase of a step that begins.
    """

    log_metrics: Callable[[dict[str, float], int], None]
    progress: Callable[[int, float | None, int], None]
    save: Callable[[], None]
    save_seconds: float
    epoch_done: Callable[[int, dict[str, float]], None] = lambda *_: None
    step_done: Callable[[TrainingState], None] = lambda _: None
    profiler: Profiler = field(default_factory=Profiler)


@dataclass(frozen=True)
class Training:
    """One training: fixed parts (here) and changing ones (`state`).

    Attributes:
        preprocess: stored samples on the device to model inputs (normalisation).
        micro_batch_size: samples per forward pass.
        workers: threads that prepare batches ahead.
        group: the processes that train this model together.
        mixing: mixup or cutmix of a micro-batch; None is off.
        multiplier: learning rate of a step as a fraction of the peak, from schedule, step and total.
        frozen: layers that stay in eval mode: normalisation whose statistics do not move.
        own_metrics: of the user's own, beside those of the task, on the validation split.
        turns: with other processes on the same cores.
    """

    task: Task
    settings: TrainParams
    seed: int
    device: torch.device
    precision: Precision
    preprocess: nn.Module
    batches: Batches
    validation: Split
    micro_batch_size: int
    workers: int
    state: TrainingState
    group: ProcessGroup = field(default_factory=ProcessGroup)
    mixing: AugmentParams | None = None
    frozen: tuple[nn.Module, ...] = ()
    multiplier: Callable[[ScheduleParams, int, int], float] = lr_multiplier
    own_metrics: tuple[OwnMetric, ...] = ()
    turns: Turns = field(default_factory=lambda: Turns(wanted=False))

    @property
    def total_steps(self) -> int:
        return self.settings.epochs * self.batches.steps_per_epoch

    @property
    def rows(self) -> CurveRows:
        return CurveRows(self.settings, self.batches.steps_per_epoch)

    def run(self, observer: Observer, stop: StopRequest) -> None:
        """Train from `state.step` to the end, or to an early stop.

        Raises:
            Interrupted: a stop was asked for; the state is saved.
            UserError: the loss or its gradient is not finite, or an operation is not deterministic; the weights were
                not updated with it.
            OutOfMemory: a micro-batch did not fit.
        """
        state, settings, total, profiler = self.state, self.settings, self.total_steps, observer.profiler
        forward = torch.compile(state.model) if settings.compile else state.model
        rows = self.rows
        state.reserve(total, self.device)
        saved_at = time.monotonic()
        flat = FlatGradients(state.model)
        stream = self.batches.stream(state.step, total, self.workers)
        named = deterministic_errors(state.model, watch_backward=not settings.compile)
        self._train_mode()
        saving = checkpointed(state.model) if settings.checkpoint_activations else contextlib.nullcontext()
        with contextlib.closing(stream), out_of_memory(), named, saving, self.turns:
            for batch in profiler.iter_data(stream):
                if self._stops_early():
                    break
                rate = self.multiplier(settings.schedule, state.step, total)
                set_learning_rate(state.optimizer, settings.optimizer.lr * rate)

                loss = self._update(forward, batch, flat, profiler)

                state.losses[state.step] = loss
                state.step += 1
                epoch_ends = state.step % self.batches.steps_per_epoch == 0
                shown = None
                with profiler("logging"):
                    if rows.at(state.step):
                        shown = self._log_row(observer)
                if epoch_ends:
                    with profiler("validation"):
                        self._end_epoch(observer)
                        self._train_mode()
                with profiler("logging"):
                    observer.progress(state.step, shown, len(batch.targets))
                with profiler("checkpoint"):
                    observer.step_done(state)
                profiler.step()
                if self.group.any(stop.requested, self.device):
                    observer.save()
                    raise Interrupted(f"stopped at step {state.step} of {total}; the state is saved")
                due = time.monotonic() - saved_at >= observer.save_seconds
                if self.group.any(due, self.device) if state.shards else due:
                    with profiler("checkpoint"):
                        observer.save()
                    saved_at = time.monotonic()
                self.turns.step()

    @property
    def finished(self) -> bool:
        """Whether the training ends with the state it has."""
        return self.state.step >= self.total_steps or self._stops_early()

    def _train_mode(self) -> None:
        """Layers as in training, but for frozen ones. Not at each step: it would take 2 % of a short one."""
        self.state.model.train()
        for layer in self.frozen:
            layer.eval()

    def _update(
        self, forward: Callable[[torch.Tensor], torch.Tensor], batch: Batch, flat: FlatGradients, profiler: Profiler
    ) -> torch.Tensor:
        """One update of the weights from one batch; returns the batch's mean loss, float64 on the device."""
        state, settings, group = self.state, self.settings, self.group
        state.optimizer.zero_grad(set_to_none=True)
        samples = batch.inputs.to(self.device, non_blocking=True).split(self.micro_batch_size)
        targets = batch.targets.to(self.device, non_blocking=True).split(self.micro_batch_size)

        counted = max(1, self.task.count(batch.targets))

        def run(index: int) -> torch.Tensor:
            determinism.seed_torch(self.seed, determinism.STEP, state.step, index)
            with profiler("forward"):
                inputs, wanted = self.inputs(samples[index]), targets[index]
                if self.mixing is not None:
                    inputs, wanted = mix(inputs, wanted, len(self.validation.info.classes), self.mixing)
                with self.autocast():
                    outputs = forward(inputs)
                    loss = self.task.loss(outputs, wanted)
                loss = loss * (self.task.count(targets[index]) / counted)
            with profiler("backward"):
                (state.scaler.scale(loss) if state.scaler else loss).backward()
            return loss.detach().double()

        count = len(samples)
        if state.shards:
            total = reduce_sharded(run, count, flat, state.shards)
        elif settings.elastic:
            total = reduce_deterministic(run, count, flat, group)
        else:
            mine = micro_batches_of(group.rank, group.size, count)
            total = all_reduce_grads(run, mine, flat, group)
        with profiler("optimizer"):
            # A scaler looks for itself, and leaves the update out.
            seen = {} if state.scaler else state.gradients()
            require_finite_step(total, seen, state.step + 1, self.total_steps, group if state.shards else None)
            self._step()
        return total

    def _step(self) -> None:
        """Clip the gradients, update the weights and their average."""
        state, settings = self.state, self.settings
        if settings.gradient_clip is not None:
            if state.scaler:
                state.scaler.unscale_(state.optimizer)
            if settings.shard:
                rows = {name: len(each) for name, each in state.model.named_parameters()}
                clip_rows(state.gradients(), rows, settings.gradient_clip, self.group)
            else:
                nn.utils.clip_grad_norm_(state.model.parameters(), settings.gradient_clip)
        if state.scaler:
            state.scaler.step(state.optimizer)
            state.scaler.update()
        else:
            state.optimizer.step()
        if state.average:
            state.average.update(state.step)

    def inputs(self, samples: torch.Tensor) -> torch.Tensor:
        """What the model is given of stored samples."""
        inputs: torch.Tensor = self.preprocess(samples)
        if inputs.ndim == _IMAGE_AXES and self.settings.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def autocast(self) -> torch.autocast:
        """The precision of forward pass and loss."""
        dtype = self.precision.dtype
        # What is kept for a second use would be a copy of the whole model.
        cache = not self.settings.shard
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None, cache_enabled=cache)

    def _log_row(self, observer: Observer) -> float:
        require_scale(self.state.scaler, self.state.step, self.total_steps)
        row = self.rows.values(self.state, self.state.step)
        self._record(observer, row)
        return row["train/loss"]

    def _record(self, observer: Observer, row: dict[str, float]) -> None:
        state = self.state
        state.curve.append(as_row(state.step, row))
        observer.log_metrics({name: value for name, value in row.items() if name != "epoch"}, state.step)

    def _end_epoch(self, observer: Observer) -> None:
        """Validate, and remember the weights if they are the best so far."""
        state = self.state
        metrics = validate(self)
        epoch = state.step // self.batches.steps_per_epoch
        validated = {f"val/{name}": value for name, value in metrics.items()}
        self._record(observer, {"epoch": epoch} | validated)
        training_loss = state.losses[state.step - self.batches.steps_per_epoch : state.step].mean().item()
        observer.epoch_done(epoch, {"train/loss": training_loss} | validated)
        if metrics["loss"] < state.best_loss:
            state.best_loss, state.best_epoch = metrics["loss"], epoch
            if self.settings.select == "best":
                state.best = {name: value.detach().clone() for name, value in state.weights().items()}

    def _stops_early(self) -> bool:
        """No better validation loss for `patience` epochs. A function of the state, so a resumed run stops, too."""
        patience, state = self.settings.patience, self.state
        epoch, within = divmod(state.step, self.batches.steps_per_epoch)
        return patience is not None and within == 0 and epoch > 0 and epoch - state.best_epoch >= patience


@contextlib.contextmanager
def out_of_memory() -> Iterator[None]:
    """Raise OutOfMemory for the ways in which torch reports a lack of memory."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(str(error).splitlines()[0]) from None
    except MemoryError as error:
        raise OutOfMemory(str(error) or "the process has no more memory") from None
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise OutOfMemory(str(error).splitlines()[0]) from None
