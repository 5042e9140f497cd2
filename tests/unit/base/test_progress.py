"""Progress as a bar on a terminal and as few lines elsewhere."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from samebits.base import progress as module
from samebits.base.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def test_a_line_every_ten_seconds(clock: Clock) -> None:
    said: list[str] = []
    with Progress("lines", 30, 0, said.append) as progress:
        for step in range(1, 31):
            clock.now += 1.0
            progress.update(step, 1.0 / step if step % 5 == 0 else None, 50)
    assert said == [
        "step 10/30, loss 0.1000, 50 samples/s, 20 s left",
        "step 20/30, loss 0.0500, 50 samples/s, 10 s left",
        "step 30/30, loss 0.0333, 50 samples/s, 0 s left",
    ]


def test_a_resumed_run_counts_its_own_time(clock: Clock) -> None:
    said: list[str] = []
    progress = Progress("lines", 100, 80, said.append)
    clock.now += 20.0
    progress.update(90, None, 400)
    assert said == ["step 90/100, 20 samples/s, 20 s left"]
    assert progress.samples_per_second == 20.0


def test_off_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with Progress("off", 2, 0, said.append) as progress:
        for step in (1, 2):
            clock.now += 60.0
            progress.update(step, 1.0, 8)
            progress.line(f"epoch {step}/2")
    assert said == []
    assert capsys.readouterr().err == ""


def test_a_bar_shows_step_and_loss_and_is_closed(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with Progress("bar", 4, 2, said.append) as progress:
        progress.update(3, None, 8)
        progress.update(4, 0.25, 8)
    shown = capsys.readouterr().err
    assert "4/4" in shown
    assert "loss 0.2500" in shown
    assert shown.endswith("\n")
    assert said == []


@pytest.mark.parametrize("terminal", [True, False])
def test_auto_is_a_bar_on_a_terminal_alone(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    said: list[str] = []
    with Progress("auto", 1, 0, said.append) as progress:
        progress.update(1, None, 8)
        progress.line("epoch 1/1")
    assert said == ["epoch 1/1"]
    assert ("1/1" in capsys.readouterr().err) is terminal
