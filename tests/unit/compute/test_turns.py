"""Two computations on the same cores are never at work at once, and neither waits for ever."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from samebits.compute import turns
from samebits.compute.turns import Turns


@pytest.fixture(autouse=True)
def _two_threads_short_turns(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(turns, "_TURN_SECONDS", 0.02)
    monkeypatch.setattr(turns, "core_numbers", lambda: [0, 1])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_take_turns(tmp_path: Path) -> None:
    at_work: list[str] = []
    seen: list[str] = []
    said: dict[str, list[str]] = {"a": [], "b": []}

    def compute(name: str) -> None:
        with Turns(say=said[name].append, folder=tmp_path) as mine:
            for _ in range(60):
                at_work.append(name)
                assert at_work == [name]
                time.sleep(0.002)
                at_work.remove(name)
                seen.append(name)
                mine.step()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compute, said))
    changes = sum(one != other for one, other in itertools.pairwise(seen))
    assert sorted(seen) == ["a"] * 60 + ["b"] * 60
    assert 4 <= changes <= 40
    assert all(len(lines) <= 1 for lines in said.values())
    assert any(said.values())


def test_alone_nothing_is_waited_for_and_nothing_stays_locked(tmp_path: Path) -> None:
    said: list[str] = []
    with Turns(say=said.append, folder=tmp_path) as mine:
        for _ in range(5):
            time.sleep(0.01)
            mine.step()
        assert not _free(tmp_path / "0")
        assert not _free(tmp_path / "1")
    assert not said
    assert all(map(_free, tmp_path.iterdir()))


def test_one_thread_needs_no_turn(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    with Turns(folder=tmp_path / "none") as mine:
        mine.step()
    assert not (tmp_path / "none").exists()


def test_other_cores_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with Turns(folder=tmp_path):
        monkeypatch.setattr(turns, "core_numbers", lambda: [2, 3])
        with Turns(say=said.append, folder=tmp_path):
            pass
    assert not said


def test_two_of_half_the_cores_each_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "core_numbers", lambda: [0, 1, 2, 3])
    said: list[str] = []
    with Turns(say=said.append, folder=tmp_path), Turns(say=said.append, folder=tmp_path):
        assert not said
        with Turns(say=said.append, stopped=lambda: bool(said), folder=tmp_path):
            assert said


def test_one_that_hangs_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_PATIENCE_SECONDS", 0.05)
    with Turns(folder=tmp_path), Turns(folder=tmp_path) as mine:
        time.sleep(0.03)
        mine.step()


def test_a_stop_ends_the_waiting(tmp_path: Path) -> None:
    began = time.monotonic()
    with Turns(folder=tmp_path), Turns(stopped=lambda: True, folder=tmp_path):
        assert time.monotonic() - began < 5


def test_a_folder_that_cannot_be_used_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Turns(folder=tmp_path / "file") as mine:
        time.sleep(0.03)
        mine.step()


def _free(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        return False
    lock.release()
    return True
