"""Progress of a long loop: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from tqdm import tqdm

_LINE_SECONDS = 10.0


class Progress:
    """Shows steps done, the latest loss, samples/s and the time left.

    Args:
        mode: `auto` is a bar if stderr is a terminal, else `lines`.
        total: steps in all; `done`: steps made by an earlier run.
        say: prints one line.
    """

    def __init__(
        self,
        mode: Literal["auto", "bar", "lines", "off"],
        total: int,
        done: int,
        say: Callable[[str], None],
    ) -> None:
        if mode == "auto":
            mode = "bar" if sys.stderr.isatty() else "lines"
        self._mode = mode
        self._total = total
        self._first = done
        self._say = say
        self._loss: float | None = None
        self._samples = 0
        self._started = self._shown = time.monotonic()
        self._bar = tqdm(total=total, initial=done, unit="step", dynamic_ncols=True) if mode == "bar" else None

    def update(self, step: int, loss: float | None, samples: int) -> None:
        """Step number `step` (counted from 1) is done; it took `samples` samples."""
        self._samples += samples
        self._loss = self._loss if loss is None else loss
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
            if loss is not None:
                self._bar.set_postfix_str(f"loss {loss:.4f}, {self.samples_per_second:,.0f} samples/s")
        elif self._mode == "lines" and time.monotonic() - self._shown >= _LINE_SECONDS:
            self._shown = time.monotonic()
            left = (self._shown - self._started) / (step - self._first) * (self._total - step)
            loss_text = "" if self._loss is None else f", loss {self._loss:.4f}"
            self._say(
                f"step {step}/{self._total}{loss_text}, {self.samples_per_second:,.0f} samples/s, {left:.0f} s left"
            )

    def line(self, text: str) -> None:
        """Print a line, above the bar where there is one; nothing if progress is off."""
        if self._mode == "off":
            return
        if self._bar is not None:
            self._bar.clear()
        self._say(text)
        if self._bar is not None:
            self._bar.refresh()
        self._shown = time.monotonic()

    @property
    def samples_per_second(self) -> float:
        """Since the start of this process's part of the training, validation included."""
        return self._samples / max(1e-9, time.monotonic() - self._started)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
