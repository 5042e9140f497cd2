"""What a run says of its kind of hardware, and of that of dvc.lock."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.training import kind as module
from samebits.training.kind import kind_lines

HERE = {"cpu_design": "AuthenticAMD 25 17", "threads": "2", "device": "cpu"}
PORTABLE = {"arithmetic": "x86-64-v3", "threads": "2", "device": "cpu"}
FACTS = {"cpu": "AMD EPYC", "libc": "glibc 2.36"}


def lines(
    made: dict[str, str], kind: dict[str, str], why: str | None, monkeypatch: pytest.MonkeyPatch, *, fixed: bool = True
) -> list[str]:
    monkeypatch.setattr(module, "_kind_of_lock", lambda _: made)
    return kind_lines(Path(), kind, why, fixed=fixed)


def test_the_kind_of_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    said = lines(HERE | FACTS, HERE, "reproducibility: strict", monkeypatch)
    assert said == [
        "portable: no (reproducibility: strict)",
        "dvc.lock was made on this kind of hardware: expect its bits",
    ]
    other_processor = FACTS | PORTABLE | {"cpu": "Intel"}
    assert lines(other_processor, PORTABLE, None, monkeypatch) == [
        "portable: yes (x86-64-v3)", "dvc.lock was made on this kind of hardware: expect its bits"
    ]  # fmt: skip


def test_another_kind_is_named_with_what_differs_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    made = HERE | FACTS | {"cpu_design": "GenuineIntel 6 207"}
    said = lines(made, HERE, "reproducibility: strict", monkeypatch, fixed=False)
    assert "cpu_design GenuineIntel 6 207, here AuthenticAMD 25 17" in said[1]
    assert "threads" not in said[1]
    assert "reproducibility: portable" in said[2]
    assert "write bf16 or fp32" in said[3]
    assert len(lines(made, HERE, "reproducibility: strict", monkeypatch)) == 3


def test_pytorchs_builds_of_a_release_are_one_kind_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    made = HERE | {"torch": "2.14.1+cu130"}
    why = "reproducibility: strict"
    assert "on this kind" in lines(made, HERE | {"torch": "2.14.1+cpu"}, why, monkeypatch)[1]
    assert "on this kind" in lines(made, HERE | {"torch": "2.14.1"}, why, monkeypatch)[1]
    assert "torch 2.14.1+cu130, here 2.15.0+cpu" in lines(made, HERE | {"torch": "2.15.0+cpu"}, why, monkeypatch)[1]
    assert "here 2.14.1+gitab12" in lines(made, HERE | {"torch": "2.14.1+gitab12"}, why, monkeypatch)[1]
    gpu = {"device": "cuda"}
    assert "here 2.14.1+cu126" in lines(made | gpu, HERE | gpu | {"torch": "2.14.1+cu126"}, why, monkeypatch)[1]


def test_portable_bits_are_not_those_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    said = lines(PORTABLE | FACTS, HERE | {"device": "cuda"}, "device cuda", monkeypatch)
    assert "arithmetic x86-64-v3, here none" in said[1]
    assert "device cpu, here cuda" in said[1]
    assert len(said) == 2, "it is set to portable already"


def test_a_variable_that_picked_kernels_then_and_does_not_now_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = lines(HERE | FACTS | {"ONEDNN_MAX_CPU_ISA": "AVX2"}, HERE, "reproducibility: strict", monkeypatch)
    assert "ONEDNN_MAX_CPU_ISA AVX2, here none" in said[1]


def test_nothing_is_said_of_a_lock_that_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert lines({}, HERE, "x", monkeypatch) == ["portable: no (x)"]
    monkeypatch.undo()
    assert kind_lines(tmp_path, HERE, "x", fixed=True) == ["portable: no (x)"]
