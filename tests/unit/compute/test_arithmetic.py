"""Classes of processors: what they have, and what is said of a processor that is not of one."""

from __future__ import annotations

import platform

import pytest

from samebits.compute import arithmetic
from samebits.compute.arithmetic import ARITHMETIC, portable_variables, unsupported

V3 = ARITHMETIC["portable"]
V4 = ARITHMETIC["portable-v4"]


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(arithmetic, "cpu_model", lambda: "a CPU")
    return monkeypatch


def test_a_processor_of_the_class_is_told_the_kernels_of_the_class(processor: pytest.MonkeyPatch) -> None:
    processor.setattr(arithmetic, "cpu_flags", lambda: V4.flags | {"avx512_bf16"})
    for mode, wanted in ARITHMETIC.items():
        assert unsupported(mode) is None
        assert portable_variables(mode) == wanted.variables
    assert V3.variables.keys() == V4.variables.keys()


def test_without_avx2_a_run_is_one_of_its_own_kind(processor: pytest.MonkeyPatch) -> None:
    processor.setattr(arithmetic, "cpu_flags", lambda: V3.flags - {"avx2", "fma"})
    assert unsupported("portable") == "a CPU lacks avx2, fma"
    assert portable_variables("portable") == {}


def test_a_processor_may_be_of_the_lower_class_alone(processor: pytest.MonkeyPatch) -> None:
    processor.setattr(arithmetic, "cpu_flags", lambda: V3.flags)
    assert unsupported("portable") is None
    assert str(unsupported("portable-v4")).startswith("a CPU lacks avx512bw, ")
    assert portable_variables("portable-v4") == {}


def test_a_system_that_tells_nothing_of_its_processor_is_named(processor: pytest.MonkeyPatch) -> None:
    processor.setattr(arithmetic, "cpu_flags", frozenset)
    processor.setattr(platform, "system", lambda: "Darwin")
    assert unsupported("portable") == "Darwin does not tell the instruction sets of its CPU"


def test_other_machines_and_modes_are_not_portable(processor: pytest.MonkeyPatch) -> None:
    assert unsupported("strict") == "reproducibility: strict"
    processor.setattr(platform, "machine", lambda: "aarch64")
    assert unsupported("portable") == "aarch64 is no x86-64"
    assert portable_variables("portable") == portable_variables("strict") == {}
