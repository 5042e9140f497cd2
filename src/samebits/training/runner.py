"""What surrounds the loop in the process that records: the saved state, progress, curves, profile and speed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from samebits.base.errors import Interrupted
from samebits.base.progress import Progress
from samebits.pipeline.context import StageContext
from samebits.training.flops import flops_a_sample, peak_flops
from samebits.training.loop import Observer, Training
from samebits.training.optim.finite import require_finite_state
from samebits.training.outputs import write_curves
from samebits.training.profiler import Clock, Profile
from samebits.training.resume.state import TrainingState, metrics_of, step_of
from samebits.training.resume.store import StateStore

_CURVES_SECONDS = 2.0
"""Between two writings of the curves of a running training."""


def restore(state: TrainingState, store: StateStore, context: StageContext) -> None:
    """Go on from the newest saved state, if there is one."""
    saved = store.load(state.damaged)
    if saved is None:
        return
    state.restore(*saved)
    for row in state.curve:
        # Points that the run already has are dropped; a run that was begun anew gets its whole curve.
        context.tracker.metrics(metrics_of(row), step_of(row))
    context.say(f"resuming at step {state.step}")
    context.tracker.tags({"samebits.resumed_at_step": str(state.step)})


def drive(training: Training, store: StateStore, context: StageContext) -> None:
    """Drive the loop: progress, curves and saved states."""
    state = training.state

    def save() -> None:
        tensors = state.tensors()
        require_finite_state(state.damaged(tensors), state.step)
        # The journal must hold every point that the saved state will not make again.
        context.tracker.flush()
        store.save(tensors, state.counters())

    context.tracker.computes()
    clock = Profile(training.device, context.project.state / "profile") if context.runtime.profile else Clock()
    try:
        speed = _run(training, save, clock, context)
    except Interrupted:
        _keep_profile(clock, context)
        raise
    _keep_profile(clock, context)
    _report_speed(training, speed, context)


def _run(training: Training, save: Callable[[], None], clock: Clock, context: StageContext) -> float:
    """The loop to its end; samples a second.

    Raises:
        Interrupted: a stop was asked for.
    """
    state = training.state
    written = -_CURVES_SECONDS

    def point(metrics: dict[str, float], step: int) -> None:
        nonlocal written
        context.tracker.metrics(metrics, step)
        if time.monotonic() - written >= _CURVES_SECONDS and any(name.startswith("val/") for name in metrics):
            # A courtesy: what cannot be written now is said when the outputs are.
            with contextlib.suppress(OSError):
                write_curves(state.curve, context.project.reports / "train")
            written = time.monotonic()

    with Progress(context.runtime.progress, training.total_steps, state.step, context.say) as progress:
        observer = Observer(
            point=point,
            progress=progress.update,
            save=save,
            save_seconds=context.runtime.checkpoint_seconds,
            clock=clock,
        )
        with context.stop.deferred(), contextlib.closing(clock):
            training.run(observer, context.stop)
    return progress.samples_per_second


def _keep_profile(clock: Clock, context: StageContext) -> None:
    """Write what was measured, of a training that was stopped, too: one looks at the first minute and stops."""
    if isinstance(clock, Profile):
        for file in clock.write():
            context.tracker.artifact(file, "profile")
        context.say(f"profile: {clock.table_file}\n{clock.table()}")


def _report_speed(training: Training, samples_per_second: float, context: StageContext) -> None:
    """Samples and operations a second, next to what the machine reaches at best."""
    measured = {"train/samples_per_second": samples_per_second}
    line = f"{samples_per_second:,.0f} samples/s"
    batches = training.batches
    steps = batches.steps_per_epoch
    epoch = max(0, training.state.step - 1) // steps * steps  # the last one, whose order is at hand
    operations = flops_a_sample(
        training.state.model, training.prepare, lambda step: batches.batch(epoch + step).inputs, steps
    )
    if operations:
        speed = operations * samples_per_second
        peak = peak_flops(context.project.state, training.device, training.precision) * training.team.size
        measured |= {"train/gflop_per_second": speed / 1e9, "train/share_of_peak": speed / peak}
        line += f", {speed / 1e9:,.0f} GFLOP/s, {speed / peak:.0%} of the {training.precision.name} peak measured here"
    context.say(line)
    context.tracker.summary(measured)
