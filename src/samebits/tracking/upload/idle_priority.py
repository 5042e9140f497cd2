"""Run work at idle CPU priority until a stage waits for it.

A training's threads wait for each other after each product, and spin meanwhile: if the sender takes the core of one,
both lose it. On Linux a thread may be of the policy "idle": it runs where a core has nothing else to do, and is pushed
off at once. Without privileges it never gets out of that policy again, and neither does a process. So the work has a
thread of its own, and the one that waits for it has normal priority and can replace the process.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LONGEST_S = 60.0
"""A training that leaves no time at all must not keep its run out of MLflow for longer."""
_FLUSH_GRACE_S = 1.0
_POLL_S = 0.1


class Preempted(Exception):
    """The work got no CPU time. Its thread is still busy with it, so the process has to be replaced."""


def flush_requested(mark: Path, since: float) -> bool:
    """Whether a stage has touched the mark since then, in seconds since 1970."""
    try:
        return mark.stat().st_mtime > since
    except OSError:
        return False


class IdleWorker:
    """Runs work at idle CPU priority.

    Args:
        mark: a file that a stage touches when it waits.
    """

    def __init__(self, mark: Path, longest: float = LONGEST_S) -> None:
        self._mark = mark
        self._longest = longest

    def do(self, work: Callable[[], None], meanwhile: Callable[[], None]) -> None:
        """Do the work; call `meanwhile` repeatedly until it is done.

        Raises:
            Preempted: if it is not done after `longest` seconds, or one second after a stage began to wait, and its
                thread may not get normal priority.
        """
        thread = threading.Thread(target=_run_idle, args=(work,), daemon=True)
        began, started = time.monotonic(), time.time()
        thread.start()
        normal_priority = False
        while thread.is_alive():
            thread.join(_POLL_S)
            meanwhile()
            over = time.monotonic() - began > self._longest
            if not normal_priority and (over or flush_requested(self._mark, started)):
                normal_priority = _restore_priority(thread)
                if not normal_priority and thread.is_alive() and (over or self._patience_ends()):
                    raise Preempted

    def _patience_ends(self) -> bool:
        return not flush_requested(self._mark, time.time() - _FLUSH_GRACE_S)


def _restore_priority(thread: threading.Thread) -> bool:
    """Allowed for root and for users who may raise priorities (RLIMIT_NICE)."""
    try:
        os.sched_setscheduler(thread.native_id or 0, os.SCHED_OTHER, os.sched_param(0))
    except (OSError, AttributeError):
        return False
    return True


def _run_idle(work: Callable[[], None]) -> None:
    if hasattr(os, "SCHED_IDLE"):
        # 0 is this thread. A sandbox may forbid it: then the work runs at normal priority.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    work()
