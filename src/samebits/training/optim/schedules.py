"""The learning rate as a pure function of the step, so that it has no state to save."""

from __future__ import annotations

import math

from samebits.params.train import ScheduleParams

_FEW = 10
"""Falls of fewer steps do not reach 0: in longer ones, one update at rate 0 costs nothing."""


def lr_multiplier(settings: ScheduleParams, step: int, total: int) -> float:
    """Learning rate of update `step` (0 .. total - 1) as a fraction of the peak.

    Rises linearly over `warmup_steps`, or over the first `warmup` share of the steps, never starting at 0; then falls
    to `final` along a line or half a cosine (Loshchilov and Hutter, 2017), or stays; `wsd` stays, and falls along a
    line over the last `decay` share of the steps (Hu et al., 2024). `final` is the rate of the last update; a fall to 0
    of a few steps would lose much of a short training with it, so it gets to 0 one step later.
    """
    warmup = _warmup(settings, total)
    if step < warmup:
        return (step + 1) / warmup
    if settings.name == "constant":
        return 1.0
    start = _decay_start(settings, total)
    if step < start:
        return 1.0
    steps = total - start
    if settings.final == 0.0 and steps < _FEW:
        steps += 1
    progress = (step - start + 1) / steps
    shape = 0.5 * (1.0 + math.cos(math.pi * progress)) if settings.name == "cosine" else 1.0 - progress
    return settings.final + (1.0 - settings.final) * shape


def _warmup(settings: ScheduleParams, total: int) -> int:
    return round(settings.warmup * total) if settings.warmup_steps is None else settings.warmup_steps


def _decay_start(settings: ScheduleParams, total: int) -> int:
    warmup = _warmup(settings, total)
    return max(warmup, total - round(settings.decay * total)) if settings.name == "wsd" else warmup


def open_steps(settings: ScheduleParams, total: int) -> int:
    """Number of first updates whose rates are those of every longer training: a state up to there can go on."""
    if settings.warmup_steps is None and settings.warmup:
        return 0
    return total if settings.name == "constant" else min(total, _decay_start(settings, total))


def parting_step(one: ScheduleParams, one_total: int, other: ScheduleParams, other_total: int) -> int:
    """The first update at which two trainings have different rates; the length of the shorter one if there is none."""
    steps = min(one_total, other_total)
    return next(
        (s for s in range(steps) if lr_multiplier(one, s, one_total) != lr_multiplier(other, s, other_total)), steps
    )
