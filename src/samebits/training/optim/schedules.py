"""The learning rate as a pure function of the step, so that it has no state to save."""

from __future__ import annotations

import math

from samebits.params.train import ScheduleParams


def rate(settings: ScheduleParams, step: int, total: int) -> float:
    """The share of the peak learning rate at which update `step` (0 .. total - 1) is made.

    Rises linearly over the first `warmup` share of the steps, never starting at 0; then falls to `final` along a
    line or half a cosine (Loshchilov and Hutter, 2017), or stays; `wsd` stays, and falls along a line over the last
    `decay` share of the steps (Hu et al., 2024).
    """
    warmup = round(settings.warmup * total)
    if step < warmup:
        return (step + 1) / warmup
    if settings.name == "constant":
        return 1.0
    start = max(warmup, total - round(settings.decay * total)) if settings.name == "wsd" else warmup
    if step < start:
        return 1.0
    progress = (step - start + 1) / max(1, total - start)
    shape = 0.5 * (1.0 + math.cos(math.pi * progress)) if settings.name == "cosine" else 1.0 - progress
    return settings.final + (1.0 - settings.final) * shape
