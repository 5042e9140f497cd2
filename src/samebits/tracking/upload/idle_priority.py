"""Work in time that nobody else wants, until somebody waits for it.

A training's threads wait for each other after each product, and spin meanwhile: if the sender takes the core of one,
both lose it. On Linux a thread may be of the policy "idle": it runs where a core has nothing else to do, and is pushed
off at once. Without privileges it never gets out of that policy again, and neither does a process. So the work has a
thread of its own, and the one that waits for it is an ordinary one, which can take the process's place.
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
_HURRIED_S = 1.0
_POLL_S = 0.1


class Starved(Exception):
    """The work was given no time. Its thread still hangs in it: the process has to be replaced."""


def hurried(mark: Path, since: float) -> bool:
    """Whether somebody has touched the mark since then, in seconds since 1970."""
    try:
        return mark.stat().st_mtime > since
    except OSError:
        return False


class Gently:
    """Does work at idle priority.

    Args:
        mark: a file that is touched when somebody waits.
    """

    def __init__(self, mark: Path, longest: float = LONGEST_S) -> None:
        self._mark = mark
        self._longest = longest

    def do(self, work: Callable[[], None], meanwhile: Callable[[], None]) -> None:
        """Do it, and call `meanwhile` every now and then until it is done.

        Raises:
            Starved: if it is not done after `longest` seconds, or a second after somebody began to wait, and its thread
                may not be made an ordinary one.
        """
        thread = threading.Thread(target=_idly, args=(work,), daemon=True)
        began, started = time.monotonic(), time.time()
        thread.start()
        ordinary = False
        while thread.is_alive():
            thread.join(_POLL_S)
            meanwhile()
            over = time.monotonic() - began > self._longest
            if not ordinary and (over or hurried(self._mark, started)):
                ordinary = _make_ordinary(thread)
                if not ordinary and thread.is_alive() and (over or self._patience_ends()):
                    raise Starved

    def _patience_ends(self) -> bool:
        return not hurried(self._mark, time.time() - _HURRIED_S)


def _make_ordinary(thread: threading.Thread) -> bool:
    """Root may, and who may raise priorities (RLIMIT_NICE)."""
    try:
        os.sched_setscheduler(thread.native_id or 0, os.SCHED_OTHER, os.sched_param(0))
    except (OSError, AttributeError):
        return False
    return True


def _idly(work: Callable[[], None]) -> None:
    if hasattr(os, "SCHED_IDLE"):
        # 0 is this thread. A sandbox may forbid it: then it is done as all else.
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    work()
