"""The CPU as Linux tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.compute import cpu


@pytest.mark.parametrize("line", ["flags\t\t: fpu bf16 sse", "Features\t: fp asimd bf16"])
def test_instruction_sets_and_name_as_linux_tells_them(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(
        f"processor\t: 0\nmodel name\t: A CPU: the second\n{line}\n\nprocessor\t: 1\nmodel name\t: Another\n"
    )
    monkeypatch.setattr(cpu, "CPUINFO", file)
    assert "bf16" in cpu.cpu_flags()
    assert cpu.cpu_model() == "A CPU: the second"


def test_a_system_without_cpuinfo_has_no_flags_and_still_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "absent")
    assert cpu.cpu_flags() == frozenset()
    assert cpu.cpu_model()


def test_cores_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.delenv("OMP_THREAD_LIMIT", raising=False)
    assert cpu.available_cores() == 3
    for limit, cores in {"2": 2, "8": 3, "0": 3, "": 3, "many": 3}.items():
        monkeypatch.setenv("OMP_THREAD_LIMIT", limit)
        assert cpu.available_cores() == cores, limit
