"""The training loop: forward, loss, backward, step.

One loop for every task. What the next step needs is in `TrainingState`; everything random or scheduled is a function of
(seed, step), so a loop that starts at step n does what the uninterrupted one did from there on.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import nn

from samebits.base.errors import Interrupted
from samebits.base.signals import StopRequest
from samebits.checkpoints.tied import named_weights
from samebits.compute import determinism
from samebits.compute.deterministic_errors import deterministic_errors
from samebits.compute.distributed import Team
from samebits.compute.hardware import Precision
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import Split
from samebits.data.loading.sequential import Batch, sequential
from samebits.params.augment import AugmentParams
from samebits.params.train import TrainParams
from samebits.tasks import Deriving, Task
from samebits.training.optim.finite import finite, require_finite_step, require_scale
from samebits.training.optim.gradients import Flat, elastic, plain
from samebits.training.optim.mixup import mix
from samebits.training.optim.optimizers import set_learning_rate
from samebits.training.optim.schedules import rate
from samebits.training.profiler import Clock
from samebits.training.resume.state import TrainingState

CURVE_POINTS = 400
"""Points of a training curve, whatever the number of steps; `golden.loss_trace` raises it to see each."""

_VALIDATION_BATCH = 500

_IMAGE_AXES = 4
"""Axes of a batch of images: [N, C, H, W]."""


class OutOfMemory(Exception):
    """A micro-batch did not fit. The state may be half-updated: go on from a saved one."""


@dataclass(frozen=True)
class Observer:
    """What the loop tells the outside. None of it can change what is computed.

    Attributes:
        point: a row of the training curve: metrics by name, and the step.
        progress: steps made, the latest loss if one was read, samples in the step.
        save: keep the state now.
        save_seconds: the longest time between two saves.
        clock: is told which phase of a step begins.
    """

    point: Callable[[dict[str, float], int], None]
    progress: Callable[[int, float | None, int], None]
    save: Callable[[], None]
    save_seconds: float
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True)
class Training:
    """One training: fixed parts (here) and changing ones (`state`).

    Attributes:
        prepare: stored samples on the device to model inputs (normalisation).
        micro_batch_size: samples a forward pass.
        workers: threads that prepare batches ahead.
        team: the processes that train this model together.
        mixing: mixup or cutmix of a micro-batch; None is off.
        frozen: layers that stay in eval mode: normalisation whose statistics do not move.
    """

    task: Task
    settings: TrainParams
    seed: int
    device: torch.device
    precision: Precision
    prepare: nn.Module
    batches: Batches
    validation: Split
    micro_batch_size: int
    workers: int
    state: TrainingState
    team: Team = field(default_factory=Team)
    mixing: AugmentParams | None = None
    frozen: tuple[nn.Module, ...] = ()

    @property
    def total_steps(self) -> int:
        return self.settings.epochs * self.batches.steps_per_epoch

    def run(self, observer: Observer, stop: StopRequest) -> None:
        """Train from `state.step` to the end, or to an early stop.

        Raises:
            Interrupted: a stop was asked for; the state is saved.
            UserError: the loss or its gradient is not finite, or an operation is not deterministic; the weights were
                not updated with it.
            OutOfMemory: a micro-batch did not fit.
        """
        state, settings, total, clock = self.state, self.settings, self.total_steps, observer.clock
        forward = torch.compile(state.model) if settings.compile else state.model
        curve_every = max(1, total // CURVE_POINTS)
        saved_at = time.monotonic()
        flat = Flat(state.model)
        stream = self.batches.stream(state.step, total, self.workers)
        named = deterministic_errors(state.model, watch_backward=not settings.compile)
        self._train_mode()
        with contextlib.closing(stream), out_of_memory(), named:
            for batch in clock.waits(stream):
                if self._stops_early():
                    break
                share = rate(settings.schedule, state.step, total)
                set_learning_rate(state.optimizer, settings.optimizer.lr * share)

                loss = self._update(forward, batch, flat, clock)

                state.loss_sum += loss
                state.loss_count += 1
                state.step += 1
                epoch_ends = state.step % self.batches.steps_per_epoch == 0
                shown = None
                with clock("logging"):
                    if state.step % curve_every == 0 or epoch_ends:
                        shown = self._point(observer, share)
                if epoch_ends:
                    with clock("validation"):
                        self._end_epoch(observer)
                        self._train_mode()
                with clock("logging"):
                    observer.progress(state.step, shown, len(batch.targets))
                clock.step()
                if self.team.any(stop.requested, self.device):
                    observer.save()
                    raise Interrupted(f"stopped at step {state.step} of {total}; the state is saved")
                if time.monotonic() - saved_at >= observer.save_seconds:
                    with clock("checkpoint"):
                        observer.save()
                    saved_at = time.monotonic()

    def _train_mode(self) -> None:
        """Layers as in training, but for frozen ones. Not at each step: it would take 2 % of a short one."""
        self.state.model.train()
        for layer in self.frozen:
            layer.eval()

    def _update(
        self, forward: Callable[[torch.Tensor], torch.Tensor], batch: Batch, flat: Flat, clock: Clock
    ) -> torch.Tensor:
        """One update of the weights from one batch; returns the batch's mean loss, float64 on the device."""
        state, settings, team = self.state, self.settings, self.team
        state.optimizer.zero_grad(set_to_none=True)
        samples = batch.inputs.to(self.device, non_blocking=True).split(self.micro_batch_size)
        targets = batch.targets.to(self.device, non_blocking=True).split(self.micro_batch_size)

        def run(index: int) -> torch.Tensor:
            determinism.seed_torch(self.seed, determinism.STEP, state.step, index)
            with clock("forward"):
                inputs, wanted = self._inputs(samples[index]), targets[index]
                if self.mixing is not None:
                    inputs, wanted = mix(inputs, wanted, len(self.validation.info.classes), self.mixing)
                with self._autocast():
                    outputs = forward(inputs)
                    loss = self.task.loss(outputs, wanted)
                loss = loss * (len(targets[index]) / len(batch.targets))
            with clock("backward"):
                (state.scaler.scale(loss) if state.scaler else loss).backward()
            return loss.detach().double()

        count = len(samples)
        if settings.elastic:
            total = elastic(run, count, flat, team)
        else:
            mine = range(team.rank * count // team.size, (team.rank + 1) * count // team.size)
            total = plain(run, mine, flat, team)
        with clock("optimizer"):
            # A scaler looks for itself, and leaves the update out.
            seen = [] if state.scaler else [each.grad for each in flat.parameters if each.grad is not None]
            require_finite_step(total, state.model, seen, state.step + 1, self.total_steps)
            self._step()
        return total

    def _step(self) -> None:
        """Clip the gradients, update the weights and their average."""
        state, settings = self.state, self.settings
        if settings.gradient_clip is not None:
            if state.scaler:
                state.scaler.unscale_(state.optimizer)
            nn.utils.clip_grad_norm_(state.model.parameters(), settings.gradient_clip)
        if state.scaler:
            state.scaler.step(state.optimizer)
            state.scaler.update()
        else:
            state.optimizer.step()
        if state.average:
            state.average.update(state.step)

    def _inputs(self, samples: torch.Tensor) -> torch.Tensor:
        inputs: torch.Tensor = self.prepare(samples)
        if inputs.ndim == _IMAGE_AXES and self.settings.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def _autocast(self) -> torch.autocast:
        dtype = self.precision.dtype
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    def _point(self, observer: Observer, share: float) -> float:
        """One row of the training curve: the mean loss since the row before."""
        state = self.state
        require_scale(state.scaler, state.step, self.total_steps)
        loss = state.loss_sum.item() / state.loss_count
        state.loss_sum.zero_()
        state.loss_count = 0
        row = {"train/loss": loss, "train/lr": self.settings.optimizer.lr * share}
        self._record(observer, row)
        return loss

    def _record(self, observer: Observer, row: dict[str, float]) -> None:
        state = self.state
        # An empty cell: JSON, in which the state is saved, has no NaN.
        state.curve.append({"step": state.step, **{name: finite(value) for name, value in row.items()}})
        observer.point({name: value for name, value in row.items() if name != "epoch"}, state.step)

    def _end_epoch(self, observer: Observer) -> None:
        """Validate, and remember the weights if they are the best so far."""
        state = self.state
        metrics = self.validate()
        epoch = state.step // self.batches.steps_per_epoch
        self._record(observer, {"epoch": epoch} | {f"val/{name}": value for name, value in metrics.items()})
        if metrics["loss"] < state.best_loss:
            state.best_loss, state.best_epoch = metrics["loss"], epoch
            if self.settings.select == "best":
                state.best = {name: value.detach().clone() for name, value in named_weights(state.evaluated).items()}

    def _stops_early(self) -> bool:
        """No better validation loss for `patience` epochs. A function of the state, so a resumed run stops, too."""
        patience, state = self.settings.patience, self.state
        epoch, within = divmod(state.step, self.batches.steps_per_epoch)
        return patience is not None and within == 0 and epoch > 0 and epoch - state.best_epoch >= patience

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Metrics of the validation split, means over its samples, in the precision of training.

        Each process takes its share of the batches; the sums of the batches are added in their order.
        """
        model, team = self.state.evaluated.eval(), self.team
        size = min(_VALIDATION_BATCH, self.micro_batch_size)
        count = math.ceil(len(self.validation) / size)
        if count < team.size:
            team = Team()  # too few to share out
        rows: dict[int, dict[str, torch.Tensor]] = {}
        for number, batch in enumerate(sequential(self.validation, size)):
            if number % team.size != team.rank:
                continue
            with self._autocast():
                outputs = model(self._inputs(batch.inputs.to(self.device)))
            rows[number] = self.task.measure(outputs, batch.targets.to(self.device))
        names = sorted(next(iter(rows.values()), {}))
        sums = torch.zeros(count, len(names), dtype=torch.float64, device=self.device)
        for number, row in rows.items():
            sums[number] = torch.stack([row[name].double() for name in names])
        total = torch.zeros(len(names), dtype=torch.float64, device=self.device)
        for row_sums in team.sum(sums):
            total += row_sums
        means = {name: value / len(self.validation) for name, value in zip(names, total.tolist(), strict=True)}
        return means | (self.task.derived(means) if isinstance(self.task, Deriving) else {})


@contextlib.contextmanager
def out_of_memory() -> Iterator[None]:
    """Tell a lack of memory, which torch reports in two ways, from every other error."""
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
