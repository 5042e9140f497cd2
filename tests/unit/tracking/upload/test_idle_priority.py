from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from samebits.tracking.upload.idle_priority import IdleWorker, Preempted, flush_requested

ON_LINUX = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="the policy is Linux's")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "hurry"


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root."""
    monkeypatch.setattr("samebits.tracking.upload.idle_priority._restore_priority", lambda thread: False)


@ON_LINUX
def test_the_work_is_idle_and_who_waits_for_it_is_not(mark: Path) -> None:
    policies: list[int] = []
    IdleWorker(mark).do(lambda: policies.append(os.sched_getscheduler(0)), meanwhile=lambda: None)
    assert policies == [os.SCHED_IDLE]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_something_else_is_done_meanwhile(mark: Path) -> None:
    calls = threading.Event()
    IdleWorker(mark).do(lambda: assert_soon(calls), meanwhile=calls.set)


def assert_soon(event: threading.Event) -> None:
    assert event.wait(30)


@pytest.mark.usefixtures("unprivileged")
def test_work_that_comes_to_nothing_is_given_up(mark: Path) -> None:
    stuck = threading.Event()
    with pytest.raises(Preempted):
        IdleWorker(mark, longest=0.2).do(lambda: assert_soon(stuck), meanwhile=lambda: None)
    stuck.set()


@pytest.mark.usefixtures("unprivileged")
def test_who_waits_is_not_kept_waiting(mark: Path) -> None:
    stuck = threading.Event()
    began = time.monotonic()

    def touch_once() -> None:
        # Later than the work began, by the clock of files, too.
        if not mark.exists() and time.monotonic() - began > 0.2:
            mark.touch()

    with pytest.raises(Preempted):
        IdleWorker(mark, longest=60).do(lambda: assert_soon(stuck), meanwhile=touch_once)
    assert 1.0 < time.monotonic() - began < 30
    stuck.set()


def test_a_mark_of_before_hurries_nobody(mark: Path) -> None:
    mark.touch()
    os.utime(mark, (time.time() - 100, time.time() - 100))
    IdleWorker(mark, longest=60).do(lambda: time.sleep(1.5), meanwhile=lambda: None)
    assert flush_requested(mark, time.time() - 200)
    assert not flush_requested(mark, time.time() - 50)
    assert not flush_requested(mark.with_name("none"), 0.0)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may")
@ON_LINUX
def test_with_privileges_the_work_goes_on_as_any(mark: Path) -> None:
    policies: list[int] = []

    def work() -> None:
        until = time.monotonic() + 30
        while os.sched_getscheduler(0) == os.SCHED_IDLE and time.monotonic() < until:
            time.sleep(0.01)
        policies.append(os.sched_getscheduler(0))

    IdleWorker(mark, longest=0.1).do(work, meanwhile=lambda: None)
    assert policies == [os.SCHED_OTHER]
