"""The CPU: its name, its instruction sets and the cores that a process may use. Without torch, which takes seconds."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
"""Linux alone has it."""


def cpu_flags() -> frozenset[str]:
    """Instruction sets of the CPU as Linux names them; empty elsewhere."""
    return frozenset(_cpuinfo("flags").split() or _cpuinfo("Features").split())


def cpu_model() -> str:
    """The CPU's marketing name, else its architecture."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_design() -> str:
    """Vendor, family and model numbers: hypervisors give Zen 4 and Zen 5 the one marketing name `AMD EPYC`."""
    # Arm has no `model`; there implementer and part tell the core.
    fields = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")
    return " ".join(filter(None, map(_cpuinfo, fields)))


def _cpuinfo(field: str) -> str:
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == field:
            return value.strip()
    return ""


def core_numbers() -> list[int]:
    """The system's numbers of the cores this process may run on, ascending."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def cores() -> int:
    """Cores this process may run on, whatever OpenMP is allowed."""
    return len(core_numbers())


def available_cores() -> int:
    """Cores this process may use (its CPU affinity, OpenMP's limit), not the machine's."""
    return min(cores(), openmp_limit() or cores())


def openmp_limit() -> int | None:
    """`OMP_THREAD_LIMIT`; None where none is set."""
    limit = os.environ.get("OMP_THREAD_LIMIT", "").strip()
    return int(limit) if limit.isdecimal() and int(limit) else None
