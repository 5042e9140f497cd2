"""Signals ask, the code grants: at once, when it looks, and never twice in vain."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from samebits.base import signals as module
from samebits.base.errors import Interrupted
from samebits.base.signals import StopRequest

SRC = Path(__file__).resolve().parents[3] / "src"
BOTH = [signal.SIGINT, signal.SIGTERM]
ALL = [*BOTH, signal.SIGHUP]


@pytest.fixture
def prctl(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What was asked of the kernel; the test process itself must outlive its parent's whims."""
    asked: list[tuple[int, int]] = []
    library = SimpleNamespace(prctl=lambda option, value: asked.append((option, value)))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    return asked


@pytest.fixture
def stop(prctl: list[tuple[int, int]]) -> Iterator[StopRequest]:
    before = {number: signal.getsignal(number) for number in ALL}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and stays so
    request = StopRequest()
    request.install()
    yield request
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ALL)
def test_a_signal_stops_at_once(stop: StopRequest, number: signal.Signals) -> None:
    with pytest.raises(Interrupted, match=f"stopped by {number.name}"):
        signal.raise_signal(number)
    assert stop.requested


@pytest.mark.parametrize("number", ALL)
def test_deferred_only_notes_it(stop: StopRequest, number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    with stop.deferred():
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested
    assert f"{number.name}: saving the state" in capsys.readouterr().err


@pytest.mark.parametrize("second", BOTH)
def test_a_second_signal_stops_at_once_even_when_deferred(stop: StopRequest, second: signal.Signals) -> None:
    with stop.deferred():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted, match=second.name):
            signal.raise_signal(second)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_what_comes_with_a_closed_terminal_stops_once(stop: StopRequest, second: signal.Signals) -> None:
    with stop.deferred():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(second)  # DVC's death, told by the kernel
        with pytest.raises(Interrupted, match="SIGINT"):
            signal.raise_signal(signal.SIGINT)


def test_under_nohup_a_closed_terminal_stops_nothing(prctl: list[tuple[int, int]]) -> None:
    before = {number: signal.getsignal(number) for number in ALL}
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    request = StopRequest()
    request.install()
    signal.raise_signal(signal.SIGHUP)
    for number, handler in before.items():
        signal.signal(number, handler)
    assert not request.requested


def test_nothing_that_catches_exceptions_swallows_a_stop(stop: StopRequest) -> None:
    with pytest.raises(Interrupted), contextlib.suppress(Exception):
        signal.raise_signal(signal.SIGTERM)


def test_deferring_ends_with_its_block_also_after_an_error(stop: StopRequest) -> None:
    with pytest.raises(ValueError, match="in the block"), stop.deferred():
        raise ValueError("in the block")
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("number", ALL)
def test_ignored_signals_do_nothing(stop: StopRequest, number: signal.Signals) -> None:
    stop.ignore()
    signal.raise_signal(number)
    assert not stop.requested


def test_the_parents_death_is_asked_for_on_linux_alone(
    prctl: list[tuple[int, int]], stop: StopRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [(1, signal.SIGTERM)] if sys.platform == "linux" else []
    assert prctl == expected
    monkeypatch.setattr(module, "sys", SimpleNamespace(platform="darwin"))
    stop.install()
    assert prctl == expected


LATE = """
import time
time.sleep(0.3)
"""
CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from samebits.base.errors import Interrupted
from samebits.base.signals import StopRequest
folder = Path(sys.argv[2])
try:
    StopRequest().install()
    (folder / "ready").write_text("")
    time.sleep(20)
    (folder / "draft").write_text("nobody asked to stop")
except Interrupted as error:
    (folder / "draft").write_text(str(error))
(folder / "draft").rename(folder / "result")
"""
PARENT = """
import os, signal, subprocess, sys, time
from pathlib import Path
subprocess.Popen([sys.executable, sys.argv[3], *sys.argv[1:3]])
ready = Path(sys.argv[2]) / "ready"
while not ready.exists():
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of a parent's death")
@pytest.mark.parametrize(("stage", "result"), [("train", "stopped by SIGTERM"), ("", "nobody asked to stop")])
def test_dvc_that_died_while_python_started_is_noticed(tmp_path: Path, stage: str, result: str) -> None:
    (tmp_path / "child.py").write_text(LATE + CHILD.replace("sleep(20)", "sleep(1)"))
    environ = os.environ | {"DVC_STAGE": stage} if stage else {k: v for k, v in os.environ.items() if k != "DVC_STAGE"}
    # The shell that starts it ends at once, so that it has no program of Python above it but where init is one.
    line = f"setsid {sys.executable} child.py {SRC} {tmp_path} &"
    subprocess.run(["/bin/sh", "-c", line], cwd=tmp_path, env=environ, check=True, timeout=60)
    file, deadline = tmp_path / "result", time.monotonic() + 30
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert file.read_text() == result


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell of a parent's death")
def test_the_death_of_the_parent_is_a_sigterm(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, "parent.py", str(SRC), str(tmp_path), "child.py"]
    assert subprocess.run(command, cwd=tmp_path, timeout=60).returncode == -signal.SIGKILL
    result = tmp_path / "result"
    deadline = time.monotonic() + 30  # the child gives up after 20
    while not result.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert result.read_text() == "stopped by SIGTERM"
