"""Who writes a run, and when it last did: how a dead run is told from a live one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from samebits.tracking.journal.record import ProcessId

PROCESS_TAG, BEAT_TAG = "samebits.process", "samebits.heartbeat"
"""Tags of a run that no journal stands behind (a sweep's own): its process as JSON, and when it last lived
(seconds since 1970)."""


def process_of(tags: Mapping[str, str]) -> ProcessId | None:
    """The process that a run's tag names; None without one that can be read."""
    try:
        return ProcessId(**json.loads(tags[PROCESS_TAG]))
    except (KeyError, TypeError, ValueError):
        return None


def last_sign(start_ms: int | None, tags: Mapping[str, str], metric_times_ms: Iterable[int]) -> float:
    """The newest sign of life of a run, in seconds since 1970: its start, a heartbeat, a point of a metric.

    The machine is sampled every 10 s while a stage runs, so a live run is never silent for long.
    """
    beat = tags.get(BEAT_TAG, "")
    signs = [(start_ms or 0) / 1000, *(time / 1000 for time in metric_times_ms)]
    signs += [float(beat)] if beat.isdigit() else []
    return max(signs)
