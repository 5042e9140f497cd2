"""What surrounds the loop in the process that records: the saved state, progress, curves, profile and speed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from samebits.base.decimals import shown
from samebits.base.errors import Interrupted
from samebits.base.progress import Progress
from samebits.pipeline.context import StageContext
from samebits.training.commitment.states import AuditStates
from samebits.training.flops import flops_a_sample, peak_flops
from samebits.training.loop import Observer, Training
from samebits.training.optim.finite import require_finite_state
from samebits.training.outputs import write_curves
from samebits.training.profiler import Profiler, TorchProfiler
from samebits.training.resume.state import TrainingState, metrics_of, step_of
from samebits.training.resume.store import StateStore

_CURVES_SECONDS = 2.0
"""Between two writings of the curves of a running training."""


def restore(state: TrainingState, store: StateStore, kept: AuditStates, context: StageContext) -> None:
    """Go on from the newest saved state, if there is one."""
    saved = store.load(state.problem)
    if saved is None:
        return
    if not kept.covers(saved[1]["step"]):
        context.say(f"states of before step {saved[1]['step']} that train.audit_steps keeps are gone: starting afresh")
        store.clear()
        return
    state.restore(*saved)
    context.say(f"resuming at step {state.step}")


def replay_curve(state: TrainingState, context: StageContext) -> None:
    """Record what a state says of the steps before it."""
    if not state.step:
        return
    for row in state.curve:
        # Points that the run already has are dropped; a run that was begun anew gets its whole curve.
        context.tracker.metrics(metrics_of(row), step_of(row))
    context.tracker.tags({"samebits.resumed_at_step": str(state.step)})


def run_training(
    training: Training, store: StateStore, kept: AuditStates, context: StageContext, keep_at: int | None = None
) -> None:
    """Run the loop: progress, curves and saved states, those for an audit, and the one kept after step `keep_at`."""
    state = training.state
    if state.step == 0:
        kept.step_done(state)

    def save(write: Callable[[Mapping[str, torch.Tensor], dict[str, Any]], None] = store.save) -> None:
        require_finite_state(state.damaged(state.tensors()), state.step)
        # The journal must hold every point that the saved state will not make again.
        context.tracker.flush()
        write(state.whole(), state.counters())

    def step_done(state: TrainingState) -> None:
        kept.step_done(state)
        if state.step == keep_at:
            save(store.keep)

    context.tracker.computes()
    if state.step == keep_at and store.kept() is None:
        save(store.keep)  # it begins at this very step, gone on from another training
    profiler = (
        TorchProfiler(training.device, context.project.state / "profile") if context.runtime.profile else Profiler()
    )
    try:
        speed = _run_loop(training, save, step_done, profiler, context)
    except Interrupted:
        _keep_profile(profiler, context)
        raise
    kept.finish(state)
    if keep_at is not None and store.kept() is None:
        save(store.keep)  # it stopped early, before that step
    _keep_profile(profiler, context)
    _report_speed(training, speed, context)


def _run_loop(
    training: Training,
    save: Callable[[], None],
    step_done: Callable[[TrainingState], None],
    profiler: Profiler,
    context: StageContext,
) -> float:
    """The loop to its end; samples per second.

    Raises:
        Interrupted: a stop was asked for.
    """
    state = training.state
    written = -_CURVES_SECONDS
    epoch_began = time.monotonic()

    def log_metrics(metrics: dict[str, float], step: int) -> None:
        nonlocal written
        context.tracker.metrics(metrics, step)
        if time.monotonic() - written >= _CURVES_SECONDS and any(name.startswith("val/") for name in metrics):
            # Best effort: if the curves cannot be written now, the outputs report it later.
            with contextlib.suppress(OSError):
                write_curves(state.curve, context.project.reports / "train")
            written = time.monotonic()

    def epoch_done(epoch: int, metrics: dict[str, float]) -> None:
        nonlocal epoch_began
        now = time.monotonic()
        progress.line(epoch_line(epoch, training.settings.epochs, metrics, now - epoch_began))
        epoch_began = now

    with Progress(context.runtime.progress, training.total_steps, state.step, context.say) as progress:
        observer = Observer(
            log_metrics=log_metrics,
            progress=progress.update,
            save=save,
            save_seconds=context.runtime.checkpoint_seconds,
            epoch_done=epoch_done,
            step_done=step_done,
            profiler=profiler,
        )
        with context.stop.deferred(), contextlib.closing(profiler):
            training.run(observer, context.stop)
    return progress.samples_per_second


def epoch_line(epoch: int, epochs: int, metrics: dict[str, float], seconds: float) -> str:
    """`epoch 3/5: loss 0.5213, validation loss 0.1178, accuracy 0.9931, 4.9 s`."""
    others = {name.removeprefix("val/"): value for name, value in metrics.items() if not name.endswith("/loss")}
    return ", ".join(
        [
            f"epoch {epoch}/{epochs}: loss {shown(metrics['train/loss'])}",
            f"validation loss {shown(metrics['val/loss'])}",
            *(f"{name} {shown(value)}" for name, value in others.items()),
            f"{seconds:.1f} s",
        ]
    )


def _keep_profile(profiler: Profiler, context: StageContext) -> None:
    """Write what was measured, of a training that was stopped, too: people look at the first minute and stop."""
    if isinstance(profiler, TorchProfiler):
        for file in profiler.write():
            context.tracker.artifact(file, "profile")
        context.say(f"profile: {profiler.table_file}\n{profiler.table()}")


def _report_speed(training: Training, samples_per_second: float, context: StageContext) -> None:
    """Samples and operations per second, beside the measured peak of the machine."""
    measured = {"train/samples_per_second": samples_per_second}
    line = f"{samples_per_second:,.0f} samples/s"
    batches = training.batches
    steps = batches.steps_per_epoch
    epoch = max(0, training.state.step - 1) // steps * steps  # the last one, whose order is at hand
    cut = training.state.shards is not None  # such a model runs in all processes or in none
    operations = (
        None
        if cut
        else flops_a_sample(
            training.state.model, training.preprocess, lambda step: batches.batch(epoch + step).inputs, steps
        )
    )
    if operations:
        speed = operations * samples_per_second
        peak = peak_flops(context.project.state, training.device, training.precision) * training.group.size
        measured |= {"train/gflop_per_second": speed / 1e9, "train/mfu": speed / peak}
        line += f", {speed / 1e9:,.0f} GFLOP/s, {speed / peak:.0%} of the {training.precision.name} peak measured here"
    context.say(line)
    context.tracker.summary(measured)
