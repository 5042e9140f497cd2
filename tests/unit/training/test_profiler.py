"""The profile of a training: phases that add up, a trace that opens, and nothing measured when nobody asked."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
from pathlib import Path

import pytest
import torch

from samebits.training import profiler
from samebits.training.profiler import PHASES, Profiler, TorchProfiler

CPU = torch.device("cpu")


def seconds_of(profile: TorchProfiler) -> dict[str, float]:
    """Phase -> seconds, as the table prints them."""
    rows = [line.split() for line in profile.table().splitlines()[1:-1]]
    return {row[0]: float(row[1]) for row in rows}


def steps(profile: Profiler, count: int) -> None:
    weight = torch.ones(64, 64)
    for item in profile.iter_data(range(count)):
        with profile("forward"):
            weight @ (weight * item)
        profile.step()


def test_a_plain_clock_passes_items_through_and_takes_any_phase() -> None:
    plain, items = Profiler(), [1, 2]
    assert plain.iter_data(items) is items
    with plain("forward"):
        plain.step()


def test_the_phases_and_the_rest_add_up(tmp_path: Path) -> None:
    profile = TorchProfiler(CPU, tmp_path)
    for _ in profile.iter_data(iter([time.sleep(0.05), None])):
        with profile("backward"):
            time.sleep(0.05)
        profile.step()
    found = seconds_of(profile)
    assert set(found) == {*PHASES, "other", "all"}
    assert found["backward"] >= 0.1
    assert found["all"] == pytest.approx(sum(value for name, value in found.items() if name != "all"), abs=0.06)
    assert profile.table().endswith("2 steps; 0 more traced\n")


def test_an_exception_inside_a_phase_gets_out_and_its_time_is_counted(tmp_path: Path) -> None:
    profile = TorchProfiler(CPU, tmp_path)

    def fail() -> None:
        with profile("data"):
            time.sleep(0.02)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seconds_of(profile)["data"] >= 0.02


def test_the_trace_holds_phases_and_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "_TRACE_AFTER", 2)
    monkeypatch.setattr(profiler, "_TRACE_STEPS", 3)
    profile = TorchProfiler(CPU, tmp_path / "new")
    steps(profile, 8)
    assert profile.write() == [profile.table_file, profile.trace_file]
    names = [event.get("name") for event in json.loads(gzip.decompress(profile.trace_file.read_bytes()))["traceEvents"]]
    assert names.count("aten::mm") == 3
    assert "forward" in names
    text = profile.table_file.read_text()
    assert "aten::mm" in text
    assert "5 steps; 3 more traced" in text


def test_a_training_that_ends_inside_the_trace_still_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiler, "_TRACE_AFTER", 2)
    profile = TorchProfiler(CPU, tmp_path)
    steps(profile, 4)
    assert profile.trace_file in profile.write()


def test_a_training_that_is_stopped_inside_the_trace_leaves_the_profiler_to_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiler, "_TRACE_AFTER", 1)
    for name in ("stopped", "next"):
        with contextlib.closing(TorchProfiler(CPU, tmp_path / name)) as profile:
            steps(profile, 2)
        assert profile.trace_file.is_file()


def test_a_training_too_short_for_a_trace_says_so(tmp_path: Path) -> None:
    profile = TorchProfiler(CPU, tmp_path)
    steps(profile, 3)
    assert profile.write() == [profile.table_file]
    assert "fewer steps" in profile.table_file.read_text()
