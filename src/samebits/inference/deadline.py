"""An end for runs of a model that take too long, by one thread for all of them.

A timer per run would start a thread for each: on a busy machine that takes longer than a small model's answer.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

_TICK_S = 0.25


class _Deadlines:
    def __init__(self) -> None:
        self._running: dict[int, tuple[float, Any]] = {}
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def limit(self, options: Any, seconds: float) -> Iterator[None]:
        self._running[id(options)] = time.monotonic() + seconds, options
        if self._thread is None or not self._thread.is_alive():  # none is, in a forked process
            self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
            self._thread.start()
        try:
            yield
        finally:
            del self._running[id(options)]

    def _watch(self) -> None:
        while True:
            time.sleep(_TICK_S)
            for late, options in list(self._running.values()):
                if time.monotonic() > late:
                    options.terminate = True


_DEADLINES = _Deadlines()


def limited(options: Any, seconds: float) -> contextlib.AbstractContextManager[None]:
    """While it is entered, sets `terminate` of ONNX Runtime's `RunOptions` once so many seconds have passed."""
    return _DEADLINES.limit(options, seconds)
