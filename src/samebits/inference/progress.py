"""How far a long job of answers is, on stderr: a line from time to time; on a terminal one that changes."""

from __future__ import annotations

import sys
import time

_SECONDS, _TERMINAL_SECONDS = 10.0, 0.5


class Progress:
    """Says nothing about a short job. On a terminal that shows the answers, it would stand between them."""

    def __init__(self, *, prints: bool) -> None:
        self._began = self._shown = time.monotonic()
        self._bar = sys.stderr.isatty()
        self._quiet = prints and sys.stdout.isatty()
        self._open = False

    def show(self, samples: int, errors: int) -> None:
        """So many are answered, errors among them."""
        now = time.monotonic()
        if self._quiet or now - self._shown < (_TERMINAL_SECONDS if self._bar else _SECONDS):
            return
        self._shown, self._open = now, self._bar
        failed = f", {errors:,} of them cannot be used" if errors else ""
        line = f"{samples:,} samples{failed}, {samples / (now - self._began):,.0f} per second"
        print(f"\r{line}\x1b[K" if self._bar else line, end="" if self._bar else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line off the terminal."""
        if self._open:
            self._open = False
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
